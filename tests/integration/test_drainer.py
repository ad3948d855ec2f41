"""The drainer by itself, fed with rings as threads leave them, and beyond its last thread."""

from __future__ import annotations

import subprocess
from pathlib import Path
from typing import BinaryIO, cast

import numpy as np
import pytest

from allocphase import resources
from allocphase.recorder.columns import decode
from allocphase.recorder.events import MAX_THREADS, UNKNOWN_OBJECT, Kind
from allocphase.recorder.frames import FrameKind, frames, image_of
from tests.support.plugins import ROOT
from tests.support.recordings import Recorder, events_of
from tests.support.sharing import Shared

DRIVER = ("-D_GNU_SOURCE", f"-I{ROOT / 'driver'}")
CALLS = 3 * 200_000  # tests/c/many_threads.c


@pytest.fixture
def record(tmp_path: Path, shared: Shared) -> Recorder:
    return Recorder(tmp_path, shared("drained"))


Events = dict[tuple[int, int], list[tuple[Kind, int, int]]]


def drained(writer: Path, *words: str, backlog_bytes: int = 0) -> tuple[Events, int]:
    """What the drainer makes of the rings that `writer` writes: by process and thread its events
    as kind, object and size; and how many births it found ambiguous in the last process.
    """
    drainer = [str(resources.find("driver/allocphase-recorder")), str(backlog_bytes)]
    chunks, ambiguous = [], -1
    with subprocess.Popen(drainer, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None and process.stdout is not None
        said = frames(cast(BinaryIO, process.stdout))
        arena = next(said).payload.decode()
        subprocess.run([writer, *words], env={"ALLOCPHASE_RECORDER": arena}, check=True)
        process.stdin.write(b"e")
        process.stdin.flush()
        for frame in said:
            if frame.kind == FrameKind.CHUNK:
                chunks.append(frame)
            if frame.kind == FrameKind.IMAGE:
                ambiguous = image_of(frame)[0].ambiguous
    births = np.zeros((2, 3), "u8")
    for frame in chunks:
        births[frame.process, frame.chunk.thread + 1] += np.uint64(frame.chunk.births)
    events: Events = {}
    for frame in chunks:
        first = births[frame.process].cumsum(dtype="u8")
        told = events.setdefault((frame.process, frame.chunk.thread), [])
        for e in decode(frame.payload, frame.chunk, first):
            told.append((Kind(int(e["kind"])), int(e["object"]), int(e["size"])))
    return events, ambiguous


@pytest.mark.parametrize("early", [0, 1, 200])
def test_a_free_that_seems_to_come_before_its_birth_disturbs_no_other_object(
    record: Recorder, early: int
) -> None:
    """The other thread's ring goes on in its turn: OLD is dead before NEW is freed."""
    last, old, handed, new = range(4)
    events, ambiguous = drained(record.program("rings", *DRIVER), str(early))
    assert events == {
        (0, 0): [(Kind.FREE, handed, 0), (Kind.FREE, new, 0), (Kind.ALLOCATION, last, 16)],
        (0, 1): [
            (Kind.ALLOCATION, old, 32),
            (Kind.ALLOCATION, handed, 33),
            (Kind.FREE, old, 0),
            (Kind.ALLOCATION, new, 64),
        ],
    }
    assert ambiguous == 0


@pytest.mark.parametrize("backlog_bytes", [0, 256 << 20])
def test_a_forked_child_waits_for_its_copy_where_its_parent_is_far_behind(
    record: Recorder, backlog_bytes: int
) -> None:
    blocks = 40_000
    program = record.program("forked", *DRIVER)
    events, ambiguous = drained(program, str(blocks), backlog_bytes=backlog_bytes)
    numbers = range(blocks)
    assert events[0, 0] == [(Kind.ALLOCATION, n, n + 1) for n in numbers]
    inherited = [(Kind.INHERITED, n, n + 1) for n in numbers]
    assert events[1, 0] == [*inherited, *((Kind.FREE, n, 0) for n in numbers)]
    assert ambiguous == 0


@pytest.mark.parametrize("most_bytes", [0, 1 << 20, 1 << 30])
def test_what_is_read_of_a_backlog_is_what_was_written(record: Recorder, most_bytes: int) -> None:
    source = ROOT / "driver" / "recorder" / "drainer" / "rings.c"
    program = record.program("backlog", *DRIVER, str(source), "-fsanitize=address,undefined")
    done = subprocess.run([program, str(most_bytes)], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize("spacing", [1, 8, 16, 48, 4096, 1 << 20])
def test_who_lives_at_an_address_is_found_however_they_lie(record: Recorder, spacing: int) -> None:
    source = ROOT / "driver" / "recorder" / "drainer" / "objects.c"
    program = record.program("objects", *DRIVER, str(source), "-fsanitize=address,undefined")
    done = subprocess.run([program, str(spacing), "60000"], capture_output=True, text=True)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_threads_beyond_the_last_number_share_one(record: Recorder) -> None:
    found = record(record.program("many_threads", *DRIVER), counted=False)
    assert found.done.returncode == 0
    (recording,) = found.recordings
    assert recording.threads[-1].shared
    assert len(recording.threads) == MAX_THREADS
    events = events_of(recording)
    assert np.count_nonzero(events["kind"] == Kind.FREE) >= CALLS
    assert not np.any(events["object"] == UNKNOWN_OBJECT)
