"""Event files: what was written is read, and nothing else is believed."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from allocphase.errors import DataError
from allocphase.files.typed import plain
from allocphase.recorder.columns import Chunk, encode
from allocphase.recorder.event_file import (
    HEADER,
    MAGIC,
    MAX_FACTS_BYTES,
    EventFileWriter,
    open_recording,
    write_recording,
)
from allocphase.recorder.events import (
    BIRTHS,
    DEATHS,
    EVENT,
    MAX_THREADS,
    MAX_TICKS,
    NO_OBJECT,
    UNKNOWN_OBJECT,
    Batch,
    Entry,
    Kind,
    RecordedThread,
    RecordingFacts,
)

FACTS = RecordingFacts(
    command=("program", "--option"),
    ticks_per_second=1e8,
    threads=(RecordedThread(tid=7), RecordedThread(tid=8, parent=0, created=3, birth=5, end=99)),
    stalls=2,
    stalled_ns=500,
    reading_ns=9.5,
)


def events_of(*rows: tuple[int, ...]) -> npt.NDArray[Any]:
    """Rows of (time, object, size, extra, kind, entry, align_log2)."""
    return np.array(list(rows), EVENT)


FIRST = events_of(
    (1, 0, 100, 0, Kind.ALLOCATION, Entry.MALLOC, 0),
    (2, 1, 1 << 40, 3, Kind.ALLOCATION, Entry.CALLOC, 0),
    (2, 0, 300, 0, Kind.REALLOC_BEGIN, Entry.REALLOC, 0),
    (70000, 2, 300, 0, Kind.REALLOC_END, Entry.REALLOC, 0),
    (1 << 36, NO_OBJECT, 0, 0, Kind.FREE, Entry.FREE, 0),
    (1 << 36, UNKNOWN_OBJECT, 0, 0, Kind.FREE, Entry.DELETE, 0),
    (1 << 37, NO_OBJECT, (1 << 64) - 1, 0, Kind.FAILED, Entry.NEW_ALIGNED, 12),
)
SECOND = events_of(
    (6, 4, 8, 0, Kind.ALLOCATION, Entry.POSIX_MEMALIGN, 5),
    (7, 1, 0, 0, Kind.FREE, Entry.FREE, 0),
    (9, 2, 304, 0, Kind.USABLE_SIZE, Entry.MALLOC_USABLE_SIZE, 0),
    (9, 4, 8, 16, Kind.FREE, Entry.FREE_ALIGNED_SIZED, 5),
)
THIRD = events_of((1 << 38, 3, 1, 0, Kind.ALLOCATION, Entry.NEW, 0))
BATCHES = [Batch(0, FIRST), Batch(1, SECOND), Batch(0, THIRD)]


def test_what_was_written_is_read(tmp_path: Path) -> None:
    recording = write_recording(tmp_path / "a.events", FACTS, BATCHES)
    assert recording.facts == FACTS
    assert recording.complete
    assert recording.first_object.tolist() == [0, 4, 5]
    assert (recording.objects, recording.events) == (5, 12)
    for found, expected in zip(recording.batches(), BATCHES, strict=True):
        assert found.thread == expected.thread
        assert found.events.tolist() == expected.events.tolist()
    (only,) = recording.batches(thread=1)
    assert only.events.tolist() == SECOND.tolist()


@pytest.mark.parametrize("seed", range(8))
def test_random_recordings_are_read_as_they_were_written(tmp_path: Path, seed: int) -> None:
    """Events of three threads that free each other's objects, in several chunks a thread."""
    batches = random_batches(np.random.default_rng(seed), threads=3, count=150_000)
    recording = write_recording(tmp_path / "a.events", FACTS, batches)
    for thread in range(3):
        found = np.concatenate([batch.events for batch in recording.batches(thread)])
        expected = np.concatenate([batch.events for batch in batches if batch.thread == thread])
        assert np.array_equal(found, expected)


def random_batches(random: np.random.Generator, *, threads: int, count: int) -> list[Batch]:
    kinds = [random.choice([*BIRTHS, *DEATHS], count).astype("u1") for _ in range(threads)]
    births = [np.isin(kind, BIRTHS) for kind in kinds]
    first = np.cumsum([0, *(np.count_nonzero(mask) for mask in births)])
    batches = []
    for thread, (kind, mask) in enumerate(zip(kinds, births, strict=True)):
        events = np.zeros(count, EVENT)
        events["kind"], events["entry"] = kind, random.integers(1, 5, count)
        own = first[thread] + np.cumsum(mask)
        any_object = random.integers(0, first[-1], count)
        recent = own - 1 - random.integers(0, 300, count)
        told = np.where(random.random(count) < 0.1, any_object, recent)
        events["object"] = np.where(mask, own - 1, np.where(told < first[thread], 0, told))
        future = (events["object"] >= own) & (events["object"] < first[thread + 1]) & ~mask
        events["object"][future] = NO_OBJECT
        events["size"] = random.choice([0, 1, 252, 253, 65535, 65536, 1 << 32, 1 << 63], count)
        events["time"] = np.cumsum(random.choice([0, 3, 300, 1 << 20], count))
        batches.append(Batch(thread, events))
    return batches


def test_a_torn_end_loses_only_what_is_torn(tmp_path: Path) -> None:
    path = tmp_path / "a.events"
    whole = write_recording(path, FACTS, BATCHES)
    content = path.read_bytes()
    facts_first = content[: len(MAGIC)] + facts_record(content) + content[len(MAGIC) :]
    path.write_bytes(facts_first[: -HEADER.itemsize - 9])
    recording = open_recording(path)
    assert not recording.complete
    assert recording.events == whole.events
    last_chunk_torn = facts_first[: -HEADER.itemsize - 9 - len(facts_record(content)) - 4]
    path.write_bytes(last_chunk_torn)
    assert open_recording(path).events == whole.events - len(THIRD)


def facts_record(content: bytes) -> bytes:
    """The record of kind 1 in a file's bytes."""
    at = len(MAGIC)
    while True:
        head = np.frombuffer(content[at : at + HEADER.itemsize], HEADER)[0]
        size = HEADER.itemsize + int(head["packed_bytes"])
        if head["kind"] == 1:
            return content[at : at + size]
        at += size


@pytest.mark.parametrize("at", [3, 12, 20, 60, 100, -60])
def test_a_changed_byte_is_an_error_that_names_the_file(tmp_path: Path, at: int) -> None:
    path = tmp_path / "a.events"
    write_recording(path, FACTS, BATCHES)
    content = bytearray(path.read_bytes())
    content[at] ^= 0x40
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"a\.events: not an event file"):
        list(open_recording(path).batches())


def test_an_object_whose_birth_was_not_written_is_unknown(tmp_path: Path) -> None:
    path = tmp_path / "a.events"
    write_recording(path, FACTS, [Batch(0, FIRST[:2]), Batch(1, FREES_OF_FIRST)])
    content = path.read_bytes()
    head = np.frombuffer(content[len(MAGIC) : len(MAGIC) + HEADER.itemsize], HEADER)[0]
    size = HEADER.itemsize + int(head["packed_bytes"])
    path.write_bytes(content[: len(MAGIC)] + content[len(MAGIC) + size :])
    (batch,) = open_recording(path).batches()
    assert batch.events["object"].tolist() == [UNKNOWN_OBJECT]


FREES_OF_FIRST = events_of((7, 1, 0, 0, Kind.FREE, Entry.FREE, 0))


LATEST = MAX_TICKS - 1


def test_whatever_threads_there_were_their_facts_are_read_again() -> None:
    most = RecordedThread(
        tid=(1 << 31) - 1,
        parent=MAX_THREADS - 1,
        created=LATEST,
        birth=LATEST,
        end=LATEST,
        joined=LATEST,
        joined_by=MAX_THREADS - 1,
        stalls=(1 << 63) - 1,
        shared=False,
    )
    assert (len(json.dumps(plain(most))) + 2) * MAX_THREADS < MAX_FACTS_BYTES


def written(
    path: Path, facts: RecordingFacts, *, base_time: int = 0, last: int | None = None
) -> None:
    """A file of one thread's chunk of two births, which nobody has looked at."""
    events = events_of(
        (base_time, 0, 8, 0, Kind.ALLOCATION, Entry.MALLOC, 0),
        (base_time if last is None else last, 1, 8, 0, Kind.ALLOCATION, Entry.MALLOC, 0),
    )
    chunk = Chunk(thread=0, count=2, first_birth=0, births=2, base_time=base_time)
    with path.open("wb") as file:
        writer = EventFileWriter(file)
        writer.chunk(chunk, encode(events, chunk, np.array([0, 2], "u8")))
        writer.facts(facts)
        writer.end()


@pytest.mark.parametrize(
    "thread",
    [
        RecordedThread(birth=MAX_TICKS),
        RecordedThread(created=1 << 63),
        RecordedThread(end=(1 << 64) - 1),
        RecordedThread(joined=1 << 62),
    ],
)
def test_times_beyond_all_recordings_are_refused(tmp_path: Path, thread: RecordedThread) -> None:
    path = tmp_path / "a.events"
    written(path, replace(FACTS, threads=(thread,)))
    with pytest.raises(DataError, match=r"a\.events: .*times of centuries"):
        open_recording(path)
    written(path, FACTS, base_time=MAX_TICKS)
    with pytest.raises(DataError, match=r"a\.events: .*times of centuries"):
        open_recording(path)
    written(path, replace(FACTS, start=MAX_TICKS))
    with pytest.raises(DataError, match=r"a\.events: .*times of centuries"):
        open_recording(path)


@pytest.mark.parametrize("base_time", [0, LATEST])
def test_an_event_s_time_beyond_all_recordings_is_refused(tmp_path: Path, base_time: int) -> None:
    path = tmp_path / "a.events"
    written(path, FACTS, base_time=base_time, last=MAX_TICKS)
    with pytest.raises(DataError, match=r"a\.events: .*times of centuries"):
        list(open_recording(path).batches())


@pytest.mark.parametrize(
    "thread",
    [RecordedThread(parent=7), RecordedThread(joined_by=1), RecordedThread(parent=1 << 63)],
)
def test_a_thread_of_nobody_is_refused(tmp_path: Path, thread: RecordedThread) -> None:
    path = tmp_path / "a.events"
    written(path, replace(FACTS, threads=(thread,)))
    with pytest.raises(DataError, match=r"a\.events: .*whose parent there is nothing"):
        open_recording(path)


def test_a_record_that_claims_to_be_packed_larger_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.events"
    write_recording(path, FACTS, BATCHES)
    content = bytearray(path.read_bytes())
    head = np.frombuffer(content, HEADER, 1, len(MAGIC)).copy()
    head["packed_bytes"] = head["raw_bytes"] + 1_000_000
    content[len(MAGIC) : len(MAGIC) + HEADER.itemsize] = head.tobytes()
    path.write_bytes(bytes(content) + bytes(2_000_000))
    with pytest.raises(DataError, match=r"a\.events: .*more packed than unpacked"):
        open_recording(path)
