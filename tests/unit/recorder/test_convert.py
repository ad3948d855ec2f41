"""From events to a trace: the program's objects, order and live curve, and no order more."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocphase import trace
from allocphase.errors import UsageError
from allocphase.recorder import convert as converter
from allocphase.recorder.convert import convert
from allocphase.recorder.event_file import write_recording
from allocphase.recorder.events import (
    EVENT,
    NO_OBJECT,
    UNKNOWN_OBJECT,
    Batch,
    Entry,
    Kind,
    RecordedThread,
)
from allocphase.trace.provenance import read_provenance
from allocphase.trace.records import NO_THREAD, WAIT, Part, Trace, gaps_ns, kind_of
from allocphase.trace.records import Kind as Op
from tests.support.made_calls import Call, facts, recording_of

ALONE = RecordedThread(tid=1, birth=0)


def converted(
    folder: Path, calls: Sequence[Call], *threads: RecordedThread, batch: int = 50
) -> Trace:
    recording = recording_of(folder / "x.events", calls, facts(*threads), batch=batch)
    convert(recording, folder / "x.trace")
    return trace.read(folder / "x.trace")


# ---- Any program ----------------------------------------------------------------------------


@st.composite
def programs(draw: st.DrawFn) -> list[Call]:
    """Calls of up to four threads in one order; any thread may free or resize what another made."""
    threads = draw(st.integers(1, 4))
    live: dict[int, str] = {}
    calls = []
    for block in range(draw(st.integers(1, 80))):
        thread = draw(st.integers(0, threads - 1))
        wish = draw(st.sampled_from(["malloc", "calloc", "memalign", "realloc", "free", "free"]))
        size = draw(st.integers(1, 5000))
        if wish in ("realloc", "free") and live:
            used = draw(st.sampled_from(sorted(live)))
            calls.append(Call(thread, wish, used, size))
            if wish == "free":
                del live[used]
            else:
                live[used] = wish
        else:
            name = "malloc" if wish in ("realloc", "free") else wish
            calls.append(Call(thread, name, block, size))
            live[block] = name
    return calls


def expected(calls: Sequence[Call]) -> list[tuple[int, str, int, int]]:
    """(thread, kind, block, size) of each operation; an aligned block is resized by two."""
    aligned: set[int] = set()
    found = []
    for call in calls:
        kind = {"memalign": "aligned_alloc"}.get(call.name, call.name)
        if kind == "realloc" and call.block in aligned:
            found += [
                (call.thread, "free", call.block, 0),
                (call.thread, "malloc", call.block, call.size),
            ]
        else:
            found.append((call.thread, kind, call.block, 0 if kind == "free" else call.size))
        aligned.discard(call.block)
        if kind == "aligned_alloc":
            aligned.add(call.block)
    return found


@given(
    calls=programs(), batch=st.sampled_from([1, 3, 1000]), chunk=st.sampled_from([1, 4, 1 << 16])
)
@settings(
    deadline=None,
    max_examples=200,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_the_trace_has_the_program_s_objects_order_and_live_curve(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, calls: list[Call], batch: int, chunk: int
) -> None:
    monkeypatch.setattr(converter, "CHUNK", chunk)
    made = converted(tmp_path, calls, batch=batch)
    names = sorted({call.thread for call in calls})
    wanted = expected(calls)
    program = [row for row in walked(made) if row[4] == Part.BUILD]
    for number, thread in enumerate(names):
        mine = [(kind, size) for t, kind, _, size, _, _ in program if t == number]
        assert mine == [(kind, size) for t, kind, _, size in wanted if t == thread]
    assert same_objects(program, wanted, names)
    assert made.peak_live_bytes == peak(wanted)
    left = {
        b for b in {c.block for c in calls} if [c for c in calls if c.block == b][-1].name != "free"
    }
    assert made.part_ops(Part.DRAIN) == len(left)
    assert made.part_ops(Part.STEADY) == 0


Row = tuple[int, str, int, int, int, bool]


def walked(made: Trace) -> list[Row]:
    """(thread, kind, object, size, part, waits), thread after thread; objects are numbered by slot
    and how often it was filled.
    """
    parts = made.part_of_ops()
    counts = made.threads["op_count"].astype(int)
    thread = np.repeat(np.arange(len(counts)), counts)
    order = np.lexsort((made.ops["epoch"], made.ops["slot"]))
    kind = kind_of(made.ops)
    makes = np.isin(kind[order], (Op.MALLOC, Op.CALLOC, Op.ALIGNED_ALLOC))
    block = np.empty(len(order), dtype=int)
    block[order] = np.cumsum(makes)
    return [
        (int(t), Op(k).name.lower(), int(b), int(s), int(p), bool(f >> 4 & WAIT))
        for t, k, b, s, p, f in zip(
            thread, kind, block, made.ops["size"], parts, made.ops["kind_flags"], strict=True
        )
    ]


def same_objects(
    program: list[Row], wanted: list[tuple[int, str, int, int]], names: list[int]
) -> bool:
    """Whether the operations of one object there are those of one here, and who waits is who
    follows another thread on its object.
    """
    lives: dict[int, int] = {}
    life_of: list[int] = []
    last: dict[int, int] = {}
    waits: list[bool] = []
    for thread, kind, block, _ in wanted:
        if kind in ("malloc", "calloc", "aligned_alloc"):
            lives[block] = len(life_of)
        life_of.append(lives[block])
        waits.append(last.get(lives[block], thread) != thread)
        last[lives[block]] = thread
    for number, thread in enumerate(names):
        here = [(b, w) for t, _, b, _, _, w in program if t == number]
        places = [place for place, row in enumerate(wanted) if row[0] == thread]
        for (block, wait), place in zip(here, places, strict=True):
            if lives.setdefault(-1 - block, life_of[place]) != life_of[place]:
                return False
            if wait != waits[place]:
                return False
    return True


def peak(wanted: list[tuple[int, str, int, int]]) -> int:
    held: dict[int, int] = {}
    most = 0
    for _, _, block, size in wanted:
        held[block] = size
        most = max(most, sum(held.values()))
    return most


# ---- Threads --------------------------------------------------------------------------------


def test_a_thread_begins_after_it_was_made_and_ends_before_it_is_joined(tmp_path: Path) -> None:
    calls = [Call(0, "malloc", 0, 8, 10), Call(1, "malloc", 1, 8, 50), Call(1, "free", 1, 0, 60)]
    calls += [Call(0, "free", 0, 0, 90)]
    child = RecordedThread(parent=0, created=20, birth=40, end=70, joined=80, joined_by=0)
    made = converted(tmp_path, calls, ALONE, child)
    assert [Op(kind).name for kind in kind_of(made.ops)] == [
        *("MALLOC", "SYNC", "SYNC", "FREE"),
        *("SYNC", "MALLOC", "FREE", "SYNC"),
    ]
    assert [row[5] for row in walked(made)] == [
        False,
        False,
        True,
        False,
        True,
        False,
        False,
        False,
    ]
    assert made.threads_end
    assert made.threads["predecessor"].tolist() == [NO_THREAD] * 2


def test_a_slot_is_used_again_by_the_thread_that_freed_it_and_by_no_other(tmp_path: Path) -> None:
    calls = []
    for block in range(50):
        calls += [Call(0, "malloc", block, 8), Call(1, "free", block)]
        calls += [Call(1, "malloc", 1000 + block, 8), Call(1, "free", 1000 + block)]
    made = converted(tmp_path, calls)
    first = made.ops[made.ops["epoch"] > 0]
    assert not (kind_of(first) == Op.MALLOC)[(first["kind_flags"] >> 4 & WAIT) > 0].any()
    assert made.slot_count == 50


def test_slots_are_as_many_as_objects_live_at_once_in_one_thread(tmp_path: Path) -> None:
    calls = []
    for block in range(1000):
        calls += [Call(0, "malloc", block, 8)]
        calls += [Call(0, "free", block - 7)] if block >= 7 else []
    assert converted(tmp_path, calls, ALONE).slot_count == 8


# ---- Gaps -----------------------------------------------------------------------------------


def test_a_gap_is_from_the_end_of_a_call_to_the_start_of_the_next(tmp_path: Path) -> None:
    """Ticks are 10 ns; a realloc takes three, and a free is timed at its start."""
    calls = [
        Call(0, "malloc", 0, 8, 100),
        Call(0, "realloc", 0, 9, 150),
        Call(0, "free", 0, 0, 200),
    ]
    made = converted(tmp_path, calls, RecordedThread(birth=40))
    assert made.gaps is not None
    assert gaps_ns(made.gaps).tolist() == [600, 500, 470]


@pytest.mark.parametrize("batch", [1, 2, 50])
def test_the_duration_is_from_the_first_call_to_the_last_one(tmp_path: Path, batch: int) -> None:
    calls = [
        Call(1, "malloc", 1, 8, 150),
        Call(0, "malloc", 0, 8, 300),
        Call(0, "free", 0, 0, 5_000_000),
        Call(1, "free", 1, 0, 4_000_000),
    ]
    threads = (RecordedThread(birth=40), RecordedThread(birth=50, parent=0, created=50))
    recording = recording_of(tmp_path / "x.events", calls, facts(*threads), batch=batch)
    said = convert(recording, tmp_path / "x.trace")
    assert said.duration_ns == (5_000_000 - 150) * 10


def test_more_events_than_any_trace_has_are_refused_before_they_are_read(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    calls = [Call(0, "malloc", block, 8, 10 * block) for block in range(9)]
    recording = recording_of(tmp_path / "x.events", calls, facts(ALONE))
    monkeypatch.setattr("allocphase.recorder.convert._MOST_EVENTS", 8)
    monkeypatch.setattr(type(recording), "batches", None)
    with pytest.raises(UsageError, match=r"x\.events: more calls than a trace has"):
        convert(recording, tmp_path / "x.trace")


def test_what_calls_take_is_learnt_and_is_no_gap(tmp_path: Path) -> None:
    """Mallocs end every 7 ticks, but for each fifth, behind which the program worked for 100."""
    tick, calls = 0, []
    for block in range(1000):
        tick += 7 + 100 * (block % 5 == 0)
        calls.append(Call(0, "malloc", block, 8, tick))
    for block in range(1000):
        tick += 4
        calls.append(Call(0, "free", block, 0, tick))
    made = converted(tmp_path, calls, RecordedThread(birth=0), batch=5000)
    assert made.gaps is not None
    gaps = gaps_ns(made.gaps)
    assert gaps[:10].tolist() == [1000, 0, 0, 0, 0] * 2
    assert gaps[1001:].tolist() == [0] * 999


# What the calls of a made-up program take, in ticks, and what the recorder takes beside them.
MALLOC, FREE, READING, WRITING = 6, 4, 3, 2
READ_ALONE = 4096


def timed(kinds: Sequence[str], own: Sequence[int], readings: Sequence[bool]) -> list[Call]:
    """The calls of one thread, each behind so much work of its own; where no clock is read, they
    have the time of the one before.
    """
    now = seen = 0
    calls, live = [], list[int]()
    for block, (kind, work, is_read) in enumerate(zip(kinds, own, readings, strict=True)):
        name = "free" if kind == "free" and live else "malloc"
        now += work + (MALLOC if name == "malloc" else 0) + (READING if is_read else 0)
        seen = now if is_read else seen
        if name == "free":
            calls.append(Call(0, "free", live.pop(0), 0, seen))
        else:
            live.append(block)
            calls.append(Call(0, "malloc", block, 8, seen))
        now += WRITING + (FREE if name == "free" else 0)
    return calls


@pytest.mark.parametrize("pattern", ["any", "in turn", "in rows"])
def test_a_clock_that_is_read_now_and_then_tells_as_much_of_the_program_s_own_time(
    tmp_path: Path, pattern: str
) -> None:
    rng = np.random.default_rng(7)
    count = 40_000
    place = np.arange(count)
    is_free = {
        "any": rng.random(count) < 0.5,
        "in turn": place % 2 == 1,
        "in rows": place // 50 % 2 == 1,
    }[pattern]
    kinds = np.where(is_free, "free", "malloc").tolist()
    own = np.where(rng.random(count) < 0.2, 0, rng.exponential(10, count)).astype(int)
    own[5000::5000] = 100_000  # a millisecond
    readings = (place < READ_ALONE) | (place % 4 == 3)
    calls = timed(kinds, own.tolist(), readings.tolist())
    thread = RecordedThread(birth=0)
    said = replace(facts(thread), reading_ns=10.0 * READING)
    recording = recording_of(tmp_path / "x.events", calls, said, batch=1 << 16)
    convert(recording, tmp_path / "x.trace")
    made = trace.read(tmp_path / "x.trace")
    assert made.gaps is not None
    gaps = gaps_ns(made.gaps)[:count].astype(int) / 10
    pauses = np.flatnonzero(gaps > 50_000)
    assert np.all(gaps[pauses] == pytest.approx(100_000, rel=0.01))
    assert pauses.tolist() == [at + 3 - at % 4 for at in range(5000, count, 5000)]
    short, known = np.delete(gaps, pauses)[READ_ALONE:], np.delete(own, range(5000, count, 5000))
    assert short.mean() == pytest.approx(known[READ_ALONE:].mean(), abs=1.0)


def test_calls_between_readings_have_as_much_before_each(tmp_path: Path) -> None:
    """Three of four have the time of the one before."""
    ticks = [0, 0, 0, 40, 40, 40, 40, 120, 120, 120, 120, 4120]
    calls = [Call(0, "malloc", block, 8, tick) for block, tick in enumerate(ticks)]
    made = converted(tmp_path, calls, RecordedThread(birth=0))
    assert made.gaps is not None
    assert gaps_ns(made.gaps)[: len(ticks)].tolist() == [100] * 4 + [200] * 4 + [0] * 3 + [40_000]


# ---- What a trace does not have -----------------------------------------------------------------


def events_of(*rows: tuple[int, int, int, int, Kind, Entry, int]) -> Batch:
    return Batch(0, np.array([(t, o, s, e, k, n, a) for t, o, s, e, k, n, a in rows], dtype=EVENT))


def test_what_is_left_out_is_counted(tmp_path: Path) -> None:
    batch = events_of(
        (1, 0, 8, 0, Kind.ALLOCATION, Entry.NEW, 0),
        (2, NO_OBJECT, 0, 0, Kind.FREE, Entry.FREE, 0),
        (3, UNKNOWN_OBJECT, 0, 0, Kind.FREE, Entry.FREE, 0),
        (4, NO_OBJECT, 9, 0, Kind.FAILED, Entry.MALLOC, 0),
        (5, 0, 16, 0, Kind.USABLE_SIZE, Entry.MALLOC_USABLE_SIZE, 0),
        (6, 0, 1 << 20, 0, Kind.REALLOC_BEGIN, Entry.REALLOC, 0),
        (7, 0, 0, 0, Kind.REALLOC_FAILED, Entry.REALLOC, 0),
        (8, 0, 0, 0, Kind.REALLOC_BEGIN, Entry.REALLOC, 0),
        (9, NO_OBJECT, 0, 0, Kind.REALLOC_FREED, Entry.REALLOC, 0),
        (10, UNKNOWN_OBJECT, 5, 0, Kind.REALLOC_BEGIN, Entry.REALLOC, 0),
        (11, 1, 5, 0, Kind.REALLOC_END, Entry.REALLOC, 0),
    )
    recording = write_recording(tmp_path / "x.events", facts(ALONE), [batch])
    said = convert(recording, tmp_path / "x.trace")
    made = trace.read(tmp_path / "x.trace")
    assert [Op(kind).name for kind in kind_of(made.ops)] == ["MALLOC", "FREE", "MALLOC", "FREE"]
    assert read_provenance(made.meta) == said
    assert said.command == ("made", "up")
    assert said.recorded == "2026-09-21T14:13:20+00:00"
    assert said.never_freed == 1
    assert said.notes == {
        "frees of NULL": 1,
        "frees of blocks never seen, left out": 1,
        "reallocs to nothing, replayed as free": 1,
        "allocations that failed, left out": 1,
        "reallocs that failed, left out": 1,
        "questions for a usable size, left out": 1,
        "reallocs of blocks never seen, replayed as malloc": 1,
    }
    assert said.calls == {"free": 2, "malloc": 1, "malloc_usable_size": 1, "new": 1, "realloc": 3}


def test_a_realloc_goes_on_over_the_edge_of_a_batch_and_around_a_signal_handler(
    tmp_path: Path,
) -> None:
    first = events_of(
        (1, 0, 8, 0, Kind.ALLOCATION, Entry.MALLOC, 0),
        (2, 0, 99, 0, Kind.REALLOC_BEGIN, Entry.REALLOC, 0),
    )
    second = events_of(
        (3, 1, 5, 0, Kind.ALLOCATION, Entry.MALLOC, 0),
        (4, 1, 6, 0, Kind.REALLOC_BEGIN, Entry.REALLOC, 0),
        (5, 2, 6, 0, Kind.REALLOC_END, Entry.REALLOC, 0),
        (6, 2, 0, 0, Kind.FREE, Entry.FREE, 0),
        (7, 3, 99, 0, Kind.REALLOC_END, Entry.REALLOC, 0),
        (8, 3, 0, 0, Kind.FREE, Entry.FREE, 0),
    )
    recording = write_recording(tmp_path / "x.events", facts(ALONE), [first, second])
    convert(recording, tmp_path / "x.trace")
    found = [
        (kind, block, size)
        for _, kind, block, size, _, _ in walked(trace.read(tmp_path / "x.trace"))
    ]
    assert found == [
        ("malloc", 1, 8),
        ("malloc", 2, 5),
        ("realloc", 2, 6),
        ("free", 2, 0),
        ("realloc", 1, 99),
        ("free", 1, 0),
    ]


@pytest.mark.parametrize(
    ("size", "align", "reason"),
    [
        (1 << 32, 0, "thread 0: asks for a block of 4,294,967,296 bytes: a trace has sizes below"),
        (8, 22, r"asks for a block at a multiple of 2\^22"),
    ],
)
def test_a_call_that_no_trace_can_have_is_refused(
    tmp_path: Path, size: int, align: int, reason: str
) -> None:
    batch = events_of((1, 0, size, 0, Kind.ALLOCATION, Entry.MEMALIGN, align))
    recording = write_recording(tmp_path / "x.events", facts(ALONE), [batch])
    with pytest.raises(UsageError, match=rf"x\.events: .*{reason}"):
        convert(recording, tmp_path / "x.trace")
    assert not (tmp_path / "x.trace").exists()


def test_a_recording_without_a_call_is_refused(tmp_path: Path) -> None:
    batch = events_of((2, NO_OBJECT, 0, 0, Kind.FREE, Entry.FREE, 0))
    recording = write_recording(tmp_path / "x.events", facts(ALONE), [batch])
    with pytest.raises(UsageError, match="has no call that can be replayed"):
        convert(recording, tmp_path / "x.trace")
