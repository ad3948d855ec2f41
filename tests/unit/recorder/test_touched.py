"""What was touched, learnt in another recording: joined by each thread's own count of objects."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase import trace
from allocphase.errors import AllocphaseError, UsageError
from allocphase.recorder import touched
from allocphase.recorder.convert import convert
from allocphase.recorder.event_file import Recording, open_recording
from allocphase.recorder.events import RecordedThread
from allocphase.recorder.touched import LIBRARY, touched_of
from allocphase.trace.provenance import read_provenance
from allocphase.trace.records import Touch
from tests.support.made_calls import Call, facts, recording_of

PAGE = mmap.PAGESIZE
TWO = (RecordedThread(tid=1, birth=0), RecordedThread(tid=2, birth=0))
UNTOLD = "blocks of a page or more whose touched bytes are unknown, touched whole"


def made(folder: Path, name: str, calls: Sequence[Call], *, tells: bool = False) -> Recording:
    said = facts(*TWO[: 1 + max(call.thread for call in calls)])
    said = replace(said, allocator=f"/somewhere/{LIBRARY}") if tells else said
    return recording_of(folder / name, calls, said)


def told(*calls: Call | tuple[Call, int]) -> list[Call]:
    """Calls with, before each free that has a number, what was touched of its block."""
    found: list[Call] = []
    for call in calls:
        if isinstance(call, tuple):
            found.append(Call(call[0].thread, "touched", call[0].block, call[1]))
        found.append(call[0] if isinstance(call, tuple) else call)
    return found


def plain(*calls: Call | tuple[Call, int]) -> list[Call]:
    return [call[0] if isinstance(call, tuple) else call for call in calls]


PROGRAM: tuple[Call | tuple[Call, int], ...] = (
    Call(0, "malloc", 0, 100),
    Call(0, "malloc", 1, 10 * PAGE),
    Call(1, "malloc", 2, 3 * PAGE),
    (Call(1, "free", 1), 2 * PAGE),  # by the other thread
    Call(0, "calloc", 3, 5 * PAGE),
    (Call(0, "realloc", 3, 8 * PAGE), PAGE),
    (Call(0, "free", 3), 6 * PAGE),
    (Call(1, "free", 2), 0),
    Call(0, "free", 0),
)


def test_each_object_has_what_its_twin_was_told(tmp_path: Path) -> None:
    recording = made(tmp_path, "a.events", plain(*PROGRAM))
    learnt = made(tmp_path, "b.events", told(*PROGRAM), tells=True)
    found = touched_of(recording, learnt)
    # Thread 0's objects first: of 100 bytes, of 10, 5 and 8 pages; then thread 1's.
    assert found.bytes.tolist() == [100, 2 * PAGE, PAGE, 6 * PAGE, 0]
    assert found.untold == 0


def test_a_trace_carries_it_and_touches_it_in_a_replay(tmp_path: Path) -> None:
    recording = made(tmp_path, "a.events", plain(*PROGRAM))
    learnt = made(tmp_path, "b.events", told(*PROGRAM), tells=True)
    convert(recording, tmp_path / "x.trace", learnt=learnt)
    found = trace.read(tmp_path / "x.trace")
    assert found.touch is Touch.RECORDED
    assert found.touched is not None
    sizes, of_each = found.ops["size"].tolist(), found.touched.tolist()
    by_size = dict(zip(sizes, of_each, strict=True))
    expected = {100: 100, 10 * PAGE: 2 * PAGE, 5 * PAGE: PAGE, 8 * PAGE: 6 * PAGE, 3 * PAGE: 0}
    assert by_size == {**expected, 0: 0}
    convert(recording, tmp_path / "plain.trace")
    without = trace.read(tmp_path / "plain.trace")
    assert (without.touch, without.touched) == (Touch.FIRST, None)
    assert (without.ops == found.ops).all()


@pytest.mark.parametrize("extra", [1, 3, 200])
def test_where_runs_differ_they_are_joined_again_and_what_differs_is_unknown(
    tmp_path: Path, extra: int
) -> None:
    """One block of another size, and blocks that only one run has."""
    sizes = [PAGE + n for n in range(400)]
    mine = [Call(0, "malloc", n, size) for n, size in enumerate(sizes)]
    mine[100] = Call(0, "malloc", 100, 9 * PAGE)
    other = [Call(0, "malloc", 1000 + n, 7 * PAGE) for n in range(extra)]
    theirs: list[Call | tuple[Call, int]] = [
        *(Call(0, "malloc", n, size) for n, size in enumerate(sizes[:200])),
        *other,
        *(Call(0, "malloc", 200 + n, size) for n, size in enumerate(sizes[200:])),
        *((Call(0, "free", n), n) for n in range(400)),
    ]
    recording = made(tmp_path, "a.events", mine)
    found = touched_of(recording, made(tmp_path, "b.events", told(*theirs), tells=True))
    assert found.bytes.tolist() == [*range(100), 9 * PAGE, *range(101, 400)]
    assert found.untold == 1
    said = convert(recording, tmp_path / "x.trace", learnt=open_recording(tmp_path / "b.events"))
    assert said.notes[UNTOLD] == 1
    kept = read_provenance(trace.read(tmp_path / "x.trace").meta)
    assert kept is not None
    assert kept.notes[UNTOLD] == 1


def test_what_follows_where_runs_part_for_good_is_unknown(tmp_path: Path) -> None:
    mine = [Call(0, "malloc", n, PAGE + n) for n in range(100)]
    theirs: list[Call | tuple[Call, int]] = [
        *(Call(0, "malloc", n, PAGE + (n if n < 30 else 1000 + n)) for n in range(100)),
        *((Call(0, "free", n), n) for n in range(100)),
    ]
    recording = made(tmp_path, "a.events", mine)
    found = touched_of(recording, made(tmp_path, "b.events", told(*theirs), tells=True))
    assert found.bytes.tolist() == [*range(30), *(PAGE + n for n in range(30, 100))]
    assert found.untold == 70


def test_what_nobody_told_is_unknown(tmp_path: Path) -> None:
    """As of a process that a signal ended: what it had left was not looked at."""
    calls = [Call(0, "malloc", 0, 2 * PAGE), Call(0, "malloc", 1, PAGE - 1)]
    recording = made(tmp_path, "a.events", calls)
    found = touched_of(recording, made(tmp_path, "b.events", calls, tells=True))
    assert (found.bytes.tolist(), found.untold) == ([2 * PAGE, PAGE - 1], 1)


def test_a_recording_that_tells_nothing_is_refused_by_its_name(tmp_path: Path) -> None:
    recording = made(tmp_path, "a.events", plain(*PROGRAM))
    with pytest.raises(UsageError, match=r"a\.events: does not tell what was touched"):
        touched_of(recording, recording)


def test_this_kernel_tells() -> None:
    touched.require_kernel_tells()


@pytest.mark.parametrize("answer", [(True, True), (False, False), None])
def test_a_kernel_that_takes_all_for_resident_or_refuses_is_found_out(
    monkeypatch: pytest.MonkeyPatch, answer: tuple[bool, bool] | None
) -> None:
    monkeypatch.setattr(touched, "_first_two_resident", lambda: answer)
    with pytest.raises(AllocphaseError, match="does not tell which pages a program touched"):
        touched.require_kernel_tells()
