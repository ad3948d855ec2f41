"""What is made of the file in which the driver says where it is."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from allocphase.process.progress import (
    ASKED,
    CONFORMANCE,
    PHASES,
    TRACE,
    FaultyOperation,
    faulty_operations,
    whereabouts,
)
from allocphase.trace.records import Kind

NOWHERE, CALL, USE, FAILED = range(4)


def thread(op: int, kind: int, place: int) -> bytes:
    return struct.pack("<QIIII40x", op, 3, 64, kind, place)


def write(
    folder: Path,
    phase: int,
    *threads: bytes,
    replay: int = 0,
    place: int = NOWHERE,
    asked: int = 0,
) -> Path:
    path = folder / "progress.bin"
    header = struct.pack("<IIIIQI36x", phase, len(threads), replay, place, 64, asked)
    path.write_bytes(header + b"".join(threads))
    return path


@pytest.mark.parametrize(("phase", "words"), list(enumerate(PHASES)))
def test_a_phase_is_named(tmp_path: Path, phase: int, words: str) -> None:
    assert whereabouts(write(tmp_path, phase, thread(0, 0, NOWHERE))) == words


def test_an_operation_is_named_in_the_trace_alone(tmp_path: Path) -> None:
    place = thread(7, Kind.REALLOC, CALL)
    named = "at operation 7 of thread 0 (realloc, 64 bytes, slot 3)"
    assert whereabouts(write(tmp_path, TRACE, place)) == named
    assert whereabouts(write(tmp_path, TRACE + 2, place)) == PHASES[TRACE + 2]


def test_what_happens_behind_a_call_is_not_said_to_be_in_it(tmp_path: Path) -> None:
    path = write(tmp_path, TRACE, thread(7, Kind.MALLOC, USE))
    assert whereabouts(path) == "after operation 7 of thread 0 (malloc, 64 bytes, slot 3)" + (
        " had returned"
    )


def test_of_several_threads_those_in_a_call_are_named_three_at_most(tmp_path: Path) -> None:
    threads = [thread(n, Kind.FREE, CALL if n != 1 else USE) for n in range(6)]
    assert whereabouts(write(tmp_path, TRACE, *threads)) == (
        "at operation 0 of thread 0 (free, 64 bytes, slot 3)"
        " and operation 2 of thread 2 (free, 64 bytes, slot 3)"
        " and operation 3 of thread 3 (free, 64 bytes, slot 3)"
    )


@pytest.mark.parametrize(("replay", "words"), [(0, ""), (1, ""), (2, " in replay 2")])
def test_a_replay_is_named_when_it_is_not_the_first(
    tmp_path: Path, replay: int, words: str
) -> None:
    named = "at operation 7 of thread 0 (free, 64 bytes, slot 3)"
    assert (
        whereabouts(write(tmp_path, TRACE, thread(7, Kind.FREE, CALL), replay=replay))
        == named + words
    )
    assert whereabouts(write(tmp_path, TRACE, replay=replay)) == PHASES[TRACE] + words
    assert whereabouts(write(tmp_path, TRACE + 2, replay=replay)) == PHASES[TRACE + 2]


@pytest.mark.parametrize(("asked", "function"), list(enumerate(ASKED)))
def test_a_conformance_call_is_named_and_what_is_behind_it(
    tmp_path: Path, asked: int, function: str
) -> None:
    named = f"in the conformance calls ({function}, 64 bytes)"
    assert whereabouts(write(tmp_path, CONFORMANCE, place=CALL, asked=asked)) == named
    assert (
        whereabouts(write(tmp_path, CONFORMANCE, place=USE, asked=asked))
        == f"{named}, which had returned"
    )
    assert whereabouts(write(tmp_path, CONFORMANCE, place=USE, asked=99)) == PHASES[CONFORMANCE]


def test_threads_between_calls_tell_nothing(tmp_path: Path) -> None:
    path = write(tmp_path, TRACE, thread(1, Kind.FREE, USE), thread(2, Kind.FREE, USE))
    assert whereabouts(path) == PHASES[TRACE]


@pytest.mark.parametrize("content", [b"", b"short", bytes(63)])
def test_without_a_file_main_was_not_reached(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "progress.bin"
    assert whereabouts(path) == "before main"
    path.write_bytes(content)
    assert whereabouts(path) == "before main"


@pytest.mark.parametrize("tail", [b"", b"\xff" * 64, b"\xff" * 100])
def test_a_file_that_was_written_over_is_not_believed(tmp_path: Path, tail: bytes) -> None:
    assert whereabouts(write(tmp_path, TRACE, tail)) == PHASES[TRACE]
    assert whereabouts(write(tmp_path, 0xFFFFFFFF, tail)) == "at a place that cannot be told"


# ---- Which operations ----------------------------------------------------------------------


def test_the_operation_at_which_the_driver_ended_it_is_the_faulty_one(tmp_path: Path) -> None:
    threads = [thread(5, Kind.FREE, CALL), thread(7, Kind.MALLOC, FAILED)]
    assert faulty_operations(write(tmp_path, TRACE, *threads)) == (FaultyOperation(1, 7),)


def test_else_they_are_those_that_the_phrase_names(tmp_path: Path) -> None:
    calling = [thread(n, Kind.FREE, CALL if n != 1 else USE) for n in range(6)]
    found = faulty_operations(write(tmp_path, TRACE, *calling))
    assert found == (FaultyOperation(0, 0), FaultyOperation(2, 2), FaultyOperation(3, 3))
    behind = write(tmp_path, TRACE, thread(7, Kind.MALLOC, USE))
    assert faulty_operations(behind) == (FaultyOperation(0, 7),)


def test_none_is_known_outside_of_the_trace_of_a_timed_probe_or_of_what_was_written_over(
    tmp_path: Path,
) -> None:
    assert faulty_operations(write(tmp_path, TRACE + 1, thread(7, Kind.MALLOC, CALL))) == ()
    assert faulty_operations(write(tmp_path, TRACE, thread(0, 0, NOWHERE))) == ()
    assert faulty_operations(write(tmp_path, TRACE, b"\xff" * 64)) == ()
    assert faulty_operations(tmp_path / "absent") == ()
