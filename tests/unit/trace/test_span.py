"""The span of traces: by hand, and against a walk over the generator's order."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase import scenario
from allocphase.trace import Kind, Touch, complete
from allocphase.trace.records import Draft, operations
from allocphase.trace.span import lane_loads, span


def drafted(slots: list[int], threads: list[int], *, lane: tuple[int, ...] | None = None) -> Draft:
    """Each slot by turns filled and emptied, by the thread that stands beside it; what is left is
    emptied at last by the thread of its last op.
    """
    kinds, seen = [], dict[int, int]()
    for slot in slots:
        kinds.append(Kind.FREE if seen.get(slot, 0) % 2 else Kind.MALLOC)
        seen[slot] = seen.get(slot, 0) + 1
    left = [slot for slot, times in seen.items() if times % 2]
    last = dict(zip(slots, threads, strict=True))
    return Draft(
        ops=operations(
            np.array([*kinds, *[Kind.FREE] * len(left)]), np.array([*slots, *left]), size=0
        ),
        thread=np.array([*threads, *(last[slot] for slot in left)], dtype=np.uint32),
        lane=lane,
    )


def walked(draft: Draft) -> int:
    """The span by its definition: op after op in the draft's order, which is a possible run."""
    assert draft.thread is not None
    of_thread, of_slot, ends = dict[int, int](), dict[int, int](), []
    for op, thread in zip(draft.ops["slot"].tolist(), draft.thread.tolist(), strict=True):
        ends.append(1 + max(of_thread.get(thread, 0), of_slot.get(op, 0)))
        of_thread[thread] = of_slot[op] = ends[-1]
    return max(ends)


@given(
    st.lists(st.tuples(st.integers(0, 4), st.integers(0, 2)), min_size=1, max_size=40).map(
        lambda pairs: [*pairs, (5, 0), (6, 1), (7, 2)]
    )
)
def test_the_span_is_what_a_walk_over_the_operations_finds(pairs: list[tuple[int, int]]) -> None:
    slots, threads = ([pair[i] for pair in pairs] for i in (0, 1))
    draft = drafted(slots, threads)
    expected = walked(draft)
    assert span(complete(draft, touch=Touch.NONE)) == expected


def test_threads_that_share_nothing_have_the_span_of_the_longest() -> None:
    trace = complete(drafted([0, 0, 1, 1, 2, 2], [0, 0, 1, 1, 1, 1]), touch=Touch.NONE)
    assert span(trace) == 4
    assert lane_loads(trace) == (2, 4)


def test_a_thread_begins_when_its_predecessor_has_ended() -> None:
    trace = complete(drafted([0, 0, 1, 1], [0, 0, 1, 1], lane=(0, 0)), touch=Touch.NONE)
    assert span(trace) == 4
    assert lane_loads(trace) == (4,)


def test_only_what_is_repeated_counts() -> None:
    """The build and the drain of one op each are no part of it; nor is who waits for them."""
    ops = operations(
        np.array([Kind.MALLOC, Kind.FREE, Kind.MALLOC, Kind.MALLOC, Kind.FREE, Kind.FREE]),
        np.array([0, 0, 0, 1, 1, 0]),
    )
    thread = np.array([0, 1, 1, 0, 0, 0], dtype=np.uint32)
    trace = complete(Draft(ops=ops, thread=thread, build_ops=1, drain_ops=1), touch=Touch.NONE)
    assert lane_loads(trace) == (2, 2)
    assert span(trace) == 2


@pytest.mark.parametrize(
    ("name", "changes", "at_once"),
    [
        ("glibc-thread", {"threads": 4, "replacements": 500}, 4.0),
        ("larson", {"threads": 3, "slots": 50, "replacements": 200}, 3.0),
        ("xmalloc", {"threads": 4, "batch_objects": 20}, 4.0),
        ("xmalloc", {"threads": 1, "batch_objects": 20}, 1.0),
        ("rptest-even", {"threads": 2, "loops": 50}, 2.0),
        ("mstress", {"threads": 2, "rounds": 2}, 1.5),  # the second has twice the work
        ("blow-up", {"threads": 3, "live_bytes": 100_000}, 1.0),  # they take turns
        ("blow-up-idle", {"threads": 3, "live_bytes": 100_000}, 1.0),
    ],
)
def test_a_workload_can_do_so_much_at_once(
    name: str, changes: dict[str, int], at_once: float
) -> None:
    (found,) = scenario.resolve(name)
    trace = scenario.generate(found.with_parameters(changes))
    longest = max(span(trace), *lane_loads(trace), 1)
    assert sum(lane_loads(trace)) / longest == pytest.approx(at_once, rel=0.1)
