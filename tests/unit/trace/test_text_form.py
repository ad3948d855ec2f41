"""Traces as text, in one order of all operations; and windows of them."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocphase import trace
from allocphase.errors import UsageError
from allocphase.trace.encoding import sealed
from allocphase.trace.facts import facts_of, facts_text
from allocphase.trace.provenance import Provenance, read_provenance, written_provenance
from allocphase.trace.records import Draft, Kind, Part, Touch, Trace, gap_codes, kind_of, operations
from allocphase.trace.schedule import global_order, start_times
from allocphase.trace.text_form import read_text, write_text
from allocphase.trace.window import window
from tests.support.traces import tags

META = written_provenance(Provenance(origin="made up", command=("ü", "b")))


@st.composite
def traces(draw: st.DrawFn) -> Trace:
    """Of up to three threads, with all that a trace may have; each object is freed."""
    count = draw(st.integers(1, 3))
    rows: list[tuple[int, int, int, int, int]] = []
    held: dict[int, int] = {}
    for _ in range(draw(st.integers(1, 40))):
        slot, thread = draw(st.integers(0, 5)), draw(st.integers(0, count - 1))
        if slot in held:
            kind = draw(st.sampled_from([Kind.REALLOC, Kind.WRITE, Kind.FREE]))
        else:
            kind = draw(st.sampled_from([Kind.MALLOC, Kind.CALLOC, Kind.ALIGNED_ALLOC, Kind.SYNC]))
        if kind is Kind.REALLOC and held.get(slot):
            kind = Kind.WRITE
        align = 6 if kind is Kind.ALIGNED_ALLOC else 0
        size = 0 if kind in (Kind.FREE, Kind.SYNC) else draw(st.integers(8, 500))
        rows.append((thread, kind, slot, size, align))
        if kind is Kind.FREE:
            del held[slot]
        elif kind not in (Kind.REALLOC, Kind.WRITE, Kind.SYNC):
            held[slot] = align
    built = len(rows)
    rows += [(draw(st.integers(0, count - 1)), Kind.FREE, slot, 0, 0) for slot in sorted(held)]
    who, kinds, slots, sizes, aligns = (np.array(column) for column in zip(*rows, strict=True))
    numbers = np.unique(who, return_inverse=True)[1].astype(np.uint32)
    ends = draw(st.booleans())
    sized = kinds <= Kind.ALIGNED_ALLOC
    draft = Draft(
        operations(kinds, slots, size=sizes, align_log2=aligns),
        thread=numbers if numbers.any() else None,
        build_ops=len(rows) if ends else built,
        drain_ops=0 if ends else len(rows) - built,
        threads_end=ends,
        tags=draw(st.sampled_from([None, tags((1, 2, 0.1))])),
        gaps=gap_codes(np.array([draw(st.integers(0, 1 << 40)) for _ in rows]))
        if draw(st.booleans())
        else None,
        touched=np.where(sized, sizes // 2, 0).astype(np.uint32) if draw(st.booleans()) else None,
    )
    return trace.complete(draft, touch=Touch.FIRST, work_ns=draw(st.integers(0, 5)), meta=META)


def text_of(made: Trace) -> str:
    file = io.StringIO()
    write_text(made, file)
    return file.getvalue()


@given(traces())
@settings(deadline=None)
def test_a_trace_is_the_same_trace_once_it_was_text(made: Trace) -> None:
    found = read_text(text_of(made).splitlines(), name="x")
    assert found.digest == made.digest
    trace.validate(found)


@given(traces())
@settings(deadline=None)
def test_in_the_one_order_each_operation_is_behind_what_it_waits_for(made: Trace) -> None:
    order = global_order(made)
    assert sorted(order.tolist()) == list(range(len(made.ops)))
    slots: dict[int, int] = {}
    for op in made.ops[order].tolist():
        assert slots.get(op[0], 0) == op[2]  # its epoch
        slots[op[0]] = op[2] + 1
    place = np.argsort(order)
    for first, count in zip(made.threads["first_op"], made.threads["op_count"], strict=True):
        mine = place[int(first) : int(first + count)]
        assert (np.diff(mine) > 0).all()


def test_operations_start_when_their_gaps_and_waits_let_them() -> None:
    draft = Draft(
        operations(np.array([0, 0, 4, 4]), np.array([0, 1, 0, 1]), size=np.array([8, 8, 0, 0])),
        thread=np.array([0, 1, 1, 0], np.uint32),
        build_ops=4,
        gaps=gap_codes(np.array([1000, 10, 20, 30])),
    )
    made = trace.complete(draft, touch=Touch.NONE)
    # Thread 0: 1000, then 30 after that call of 50; thread 1 waits for the first of these.
    assert start_times(made).tolist() == [1000, 1080, 10, 1050]


@given(traces(), st.data())
@settings(deadline=None)
def test_a_window_has_its_operations_behind_what_was_live(made: Trace, data: st.DataObject) -> None:
    count = len(made.ops)
    first = data.draw(st.integers(0, count - 1))
    last = data.draw(st.integers(first + 1, count))
    found = window(made, first, last)
    trace.validate(found)
    said = read_provenance(found.meta)
    assert said is not None
    order = global_order(made)
    live = live_after(made, order[:first])
    assert said.preamble_operations == len(live)
    assert said.never_freed == len(live_after(made, order[:last])) == found.part_ops(Part.DRAIN)
    assert len(found.ops) == len(live) + (last - first) + said.never_freed
    kinds = kind_of(made.ops)
    wanted = sorted([*live.values(), *(size(made, p) for p in order[first:last])])
    mine = np.flatnonzero(found.part_of_ops() == Part.BUILD)
    assert sorted(size(found, place) for place in mine) == wanted
    assert len(kinds) == count
    assert said.origin.startswith(f"operations {first:,} to {last:,} of {count:,} of: made up")


def size(made: Trace, place: int | np.signedinteger) -> int:
    return int(made.ops["size"][place])


def live_after(made: Trace, places: npt.NDArray[np.int64]) -> dict[int, int]:
    live: dict[int, int] = {}
    for place in places.tolist():
        kind, slot = int(kind_of(made.ops)[place]), int(made.ops["slot"][place])
        if kind <= Kind.ALIGNED_ALLOC:
            live[slot] = size(made, place)
        elif kind == Kind.FREE:
            del live[slot]
    return live


def test_a_window_of_nothing_is_refused() -> None:
    made = read_text(["allocphase-trace 1", "0 malloc 0 8", "0 free 0"], name="x")
    for first, last in ((1, 1), (2, 1), (0, 3)):
        with pytest.raises(UsageError, match="has operations 0 to 2: a window is of some of them"):
            window(made, first, last)


def test_a_trace_is_written_by_hand_in_a_few_lines() -> None:
    text = "allocphase-trace 1\nlanes 0 1\n\n# a comment\n0 malloc 7 64\n1 free 7\n"
    made = read_text(text.splitlines(), name="x")
    assert made.op_counts["malloc"] == made.op_counts["free"] == 1
    assert made.peak_live_bytes == 64


@pytest.mark.parametrize(
    ("line", "reason"),
    [
        ("0 maloc 0 8", "kind 'maloc' does not exist: did you mean 'malloc'?"),
        ("0 malloc 0", "has no size: it is written THREAD malloc SLOT SIZE"),
        ("0 malloc x 8", "slot: 'x' is no number"),
        ("1 malloc 0 8", "thread: '1' is no number from 0 to 0"),
        ("0 malloc 0 8 gap=3", "'gap=3': here may stand tag, each =NUMBER"),
        ("0 malloc 0 4294967296", "size: '4294967296' is no number from 0 to 4,294,967,295"),
        ("0 aligned_alloc 0 8 align=24", "a power of two from 16 to 2 MiB"),
        ("touh first", "key 'touh' does not exist: did you mean 'touch'?"),
        ("meta {", "its description: "),
        ("build\nbuild", "build comes behind build"),
        ("0 malloc 0 8\ntouch all", "touch stands behind a part: it belongs before the first"),
        ("work_ns 1000001", "work_ns: '1000001' is no number from 0 to 1,000,000"),
    ],
)
def test_a_wrong_line_is_refused_by_its_number(line: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_text(["allocphase-trace 1", *line.split("\n")], name="x.txt")
    number = 2 + line.count("\n")
    assert str(caught.value).startswith(f"x.txt: line {number}: ")
    assert reason in str(caught.value)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("something", "x.txt: line 1: must be 'allocphase-trace 1', not 'something'"),
        ("allocphase-trace 1", "x.txt: has no operation"),
        ("allocphase-trace 1\n0 malloc 0 8", r"x.txt: op 0 \(slot 0\) is its slot's last"),
    ],
)
def test_a_text_that_is_no_trace_is_refused(text: str, reason: str) -> None:
    with pytest.raises(UsageError, match=reason):
        read_text(text.splitlines(), name="x.txt")


def test_the_facts_of_a_trace_are_those_of_its_operations() -> None:
    lines = ["allocphase-trace 1", "gaps", "touched", "build", "0 malloc 0 100 gap=500 touched=50"]
    lines += ["0 malloc 1 300 touched=300", "0 free 0", "0 realloc 1 600", "drain", "0 free 1"]
    made = read_text(lines, name="x")
    made = sealed(replace(made, meta=META))
    facts = facts_of(made)
    assert facts.counts["malloc"] == 2
    assert sorted(facts.sizes.tolist()) == [100, 300, 600]
    assert facts.lifetimes.tolist() == [2]  # the other one is freed by the drain
    assert facts.live.tolist() == [100, 400, 300, 600, 0]
    assert (facts.peak_bytes, facts.drained, facts.own_ns) == (600, 1, 500)
    assert facts.touched == 0.35
    text = facts_text(facts, name="x.trace")
    for words in ("made up", "'ü' b", "5: 2 malloc, 1 realloc, 2 free", "median 2", "peak 600 B"):
        assert words in text
