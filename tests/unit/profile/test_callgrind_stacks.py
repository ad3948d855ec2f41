"""Stacks out of callgrind's own file: whole chains in the names, and whose each is."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.process.callgrind import read_costs
from allocphase.profile.callgrind import stacks_of
from allocphase.profile.stacks import Frame, Kind

DRIVER = Path("/opt/allocphase-driver")
BELOW = "replay_alone'counted_replay'main'(below main)"
# As callgrind writes it with whole names: a function in a context, its lines, and its calls.
TEXT = f"""# callgrind format
version: 1
creator: callgrind-3.19.0
ob=/opt/allocphase-driver
fl=replay.inc
fn=replay_alone'counted_replay'main'(below main)
10 500
fn=counted_malloc'{BELOW}
20 7
cob=/opt/mine.so
cfn=malloc'counted_malloc'{BELOW}
calls=9 30
20 100
ob=/opt/mine.so
fl=/src/mine.c
fn=malloc'counted_malloc'{BELOW}
30 40
31 20
cfn=slow(void (*)(int))::'lambda'(int)'malloc'counted_malloc'{BELOW}
calls=1 40
31 40
fl=/src/slow.cc
fn=slow(void (*)(int))::'lambda'(int)'malloc'counted_malloc'{BELOW}
40 25
ob=/lib/libc.so.6
fl=???
fn=memset'slow(void (*)(int))::'lambda'(int)'malloc'counted_malloc'{BELOW}
0 15
fn=memset'{BELOW}
0 999
ob=/opt/mine.so
fn=0x00000000000000f3'free'counted_free'{BELOW}
0 3
fn=0x00000000000000f3'0x00000000000000f3'2'free'counted_free'{BELOW}
0 2
"""
MALLOC = Frame("malloc", "mine.so", Kind.ALLOCATOR)
LAMBDA = Frame("slow(void (*)(int))::'lambda'(int)", "mine.so", Kind.ALLOCATOR)


def lines(text: str) -> list[bytes]:
    return text.encode().splitlines(keepends=True)


def test_stacks_begin_where_the_driver_calls_the_allocator() -> None:
    stacks, rest = stacks_of(read_costs(lines(TEXT)), DRIVER, "/opt/mine.so")
    assert stacks[(MALLOC,)] == 60
    assert stacks[(MALLOC, LAMBDA)] == 25
    assert stacks[(MALLOC, LAMBDA, Frame("memset", "libc.so.6", Kind.OTHER))] == 15
    assert sum(stacks.values()) == 60 + 25 + 15 + 3 + 2
    assert rest == 500 + 7 + 999, "the replay, and what it does to the memory that it got"


def test_a_function_has_its_costliest_line_in_every_stack() -> None:
    stacks, _ = stacks_of(read_costs(lines(TEXT)), DRIVER, "/opt/mine.so")
    deepest = max(stacks, key=len)
    assert [frame.place for frame in deepest] == ["mine.c:30", "slow.cc:40", "libc.so.6"]


def test_what_has_no_name_is_where_it_lies_in_its_object_and_a_recursion_one_frame() -> None:
    stacks, _ = stacks_of(read_costs(lines(TEXT)), DRIVER, "/opt/mine.so")
    nameless = Frame("0xf3", "mine.so", Kind.ALLOCATOR)
    assert stacks[(Frame("free", "mine.so", Kind.ALLOCATOR), nameless)] == 5


def test_code_whose_object_callgrind_does_not_know_is_the_allocator_s() -> None:
    """gperftools' malloc and free, in a section of their own."""
    text = TEXT.replace("ob=/opt/mine.so\nfl=/src/mine.c", "ob=???\nfl=???")
    stacks, _ = stacks_of(read_costs(lines(text)), DRIVER, "/opt/mine.so")
    assert stacks[(MALLOC,)] == 60
    assert next(iter(stacks))[0].place == "mine.so"


def test_without_an_object_of_its_own_the_allocator_is_libc_s() -> None:
    text = TEXT.replace("/opt/mine.so", "/lib/libc.so.6")
    stacks, _ = stacks_of(read_costs(lines(text)), DRIVER, "")
    assert {frame.kind for stack in stacks for frame in stack} == {Kind.ALLOCATOR}


def test_what_is_no_profile_is_refused() -> None:
    with pytest.raises(ValueError, match="no profile of callgrind's"):
        read_costs([b"hello\n"])
