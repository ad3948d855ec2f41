"""Stacks and their tree: what a function took by itself, and with all that it called."""

from __future__ import annotations

from allocphase.profile.stacks import Frame, Kind, Profile, costliest, merged, tree

MALLOC, SLOW = (Frame(name, "mine.so", Kind.ALLOCATOR) for name in ("malloc", "slow"))
FREE = Frame("free", "mine.so", Kind.ALLOCATOR)
MEMSET = Frame("memset", "libc.so.6", Kind.OTHER)
FAULT = Frame("page fault", "kernel", Kind.KERNEL)
STACKS = {
    (MALLOC,): 40,
    (MALLOC, SLOW): 10,
    (MALLOC, SLOW, MEMSET): 5,
    (FREE,): 30,
    (FREE, SLOW): 10,
    (MALLOC, SLOW, FAULT): 5,
}
PROFILE = Profile(
    allocator="mine",
    tool="perf",
    unit="samples",
    stacks=STACKS,
    rest={"the replay itself": 100},
    how="by hand",
)


def test_each_node_has_its_own_and_all_below_the_costliest_first() -> None:
    malloc, free = tree(STACKS)
    assert (malloc.frame, malloc.own, malloc.total) == (MALLOC, 40, 60)
    assert (free.frame, free.own, free.total) == (FREE, 30, 40)
    (slow,) = malloc.children
    assert (slow.own, slow.total) == (10, 20)
    assert [(node.frame, node.total) for node in slow.children] == [(MEMSET, 5), (FAULT, 5)]


def test_the_costliest_functions_are_those_that_took_most_wherever_they_stand() -> None:
    assert costliest(STACKS, 3) == [(MALLOC, 40), (FREE, 30), (SLOW, 20)]


def test_shares_are_of_all_that_was_seen_by_whose_code_it_was() -> None:
    assert [(one.look, one.part) for one in PROFILE.shares] == [
        ("allocator", 0.45),
        ("other", 0.025),
        ("kernel", 0.025),
        ("rest", 0.5),
    ]


def test_what_calls_itself_is_one_frame() -> None:
    assert merged([MALLOC, SLOW, SLOW, FREE, SLOW]) == (MALLOC, SLOW, FREE, SLOW)


def test_a_frame_is_itself_whatever_line_was_its_costliest() -> None:
    assert Frame("f", "mine.so", Kind.OTHER, "a.c:1") == Frame("f", "mine.so", Kind.OTHER, "a.c:2")
