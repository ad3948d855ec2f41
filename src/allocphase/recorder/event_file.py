"""Event files: a process's recording on disk, read chunk by chunk and written while it runs.

    magic | facts | chunk | chunk | ... | facts | end

A record is a HEADER and a payload that is packed with zstd. A *chunk* has events of one thread
(columns.py), *facts* are a RecordingFacts as JSON; the last ones count. Each record is whole by
itself: a file without an end, of a recorder that was killed or a disk that was full, is read up to
the last record that is whole, and its Recording says so (`complete`).
"""

from __future__ import annotations

import json
import os
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum
from functools import cached_property
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt
import zstandard

from allocphase.errors import DataError
from allocphase.files.documents import parse_json
from allocphase.files.durable import named_errors, write_whole
from allocphase.files.regular import opened
from allocphase.files.typed import FieldError, plain, read
from allocphase.recorder.columns import MAX_EVENTS, MAX_RAW_BYTES, Chunk, decode, encode
from allocphase.recorder.events import (
    BIRTHS,
    MAX_THREADS,
    MAX_TICKS,
    Batch,
    RecordedThread,
    RecordingFacts,
)

__all__ = ["HEADER", "MAGIC", "EventFileWriter", "Recording", "open_recording", "write_recording"]

MAGIC = b"ALPHEVT\x01"
HEADER = np.dtype(
    [
        ("kind", "<u4"),
        ("thread", "<u4"),
        ("count", "<u4"),  # events
        ("births", "<u4"),
        ("first_birth", "<u8"),  # of the thread
        ("base_time", "<u8"),  # ticks
        ("raw_bytes", "<u4"),
        ("packed_bytes", "<u4"),
        ("sum", "<u4"),  # CRC-32 of the packed payload
        ("_reserved", "<u4"),
    ]
)
MAX_FACTS_BYTES = 256 * MAX_THREADS  # and a thread's take less
MAX_FILE_BYTES = 1 << 44  # its records are found by their headers, and never all in memory
# Of zstd. More takes longer, on the core that reads the rings, and gains nothing on such streams.
LEVEL = 1


_BEYOND = "times of centuries"


class _Record(IntEnum):
    FACTS = 1
    CHUNK = 2
    END = 3


@dataclass(frozen=True, slots=True)
class _Place:
    """Where a chunk's payload lies in the file."""

    chunk: Chunk
    offset: int
    packed_bytes: int
    raw_bytes: int
    sum: int


@dataclass(frozen=True)
class Recording:
    """An event file whose records were found, and whose events are read when they are asked for.

    complete: the file has an end. file_bytes: what of it is whole.
    """

    path: Path
    facts: RecordingFacts
    complete: bool
    file_bytes: int
    places: tuple[_Place, ...]

    @cached_property
    def threads(self) -> tuple[RecordedThread, ...]:
        """The facts' threads, and nameless ones where chunks have more than the facts tell."""
        needed = max((place.chunk.thread + 1 for place in self.places), default=0)
        missing = max(0, needed - len(self.facts.threads))
        return self.facts.threads + (RecordedThread(),) * missing

    @cached_property
    def first_object(self) -> npt.NDArray[np.uint64]:
        """Of each thread and of the end: the number of its first object."""
        births = np.zeros(len(self.threads) + 1, "u8")
        for place in self.places:
            births[place.chunk.thread + 1] += np.uint64(place.chunk.births)
        return births.cumsum(dtype="u8")

    @property
    def objects(self) -> int:
        """How many objects were born."""
        return int(self.first_object[-1])

    @property
    def events(self) -> int:
        return sum(place.chunk.count for place in self.places)

    @property
    def raw_bytes(self) -> int:
        """Of all chunks, before they were packed."""
        return sum(place.raw_bytes for place in self.places)

    def batches(self, thread: int | None = None) -> Iterator[Batch]:
        """All events, or those of one thread, in batches of 65,536 at most.

        Raises DataError with the file and what is wrong, AllocphaseError where it cannot be read.
        """
        unpacker = zstandard.ZstdDecompressor()
        with (
            named_errors(self.path),
            opened(self.path, max_bytes=MAX_FILE_BYTES, follow=True) as file,
        ):
            for place in self.places:
                if thread is None or place.chunk.thread == thread:
                    try:
                        raw = _payload(file, place, unpacker)
                        events = decode(raw, place.chunk, self.first_object)
                        if events["time"].max(initial=0) >= MAX_TICKS:
                            raise ValueError(_BEYOND)
                    except ValueError as error:
                        raise _damaged(self.path, str(error)) from None
                    yield Batch(place.chunk.thread, events)


# ---- Reading ----------------------------------------------------------------------------


def open_recording(path: Path) -> Recording:
    """Finds the records of an event file, without unpacking its events.

    Raises DataError with the file and what is wrong, AllocphaseError where it cannot be read.
    """
    with named_errors(path), opened(path, max_bytes=MAX_FILE_BYTES, follow=True) as file:
        if file.read(len(MAGIC)) != MAGIC:
            raise _damaged(path, "does not begin as one")
        try:
            return _found(path, file)
        except FieldError as error:
            raise _damaged(path, str(error)) from None
        except ValueError as error:
            raise _damaged(path, str(error)) from None


def _found(path: Path, file: BinaryIO) -> Recording:
    facts: bytes | None = None
    places: list[_Place] = []
    births: dict[int, int] = {}
    complete, end = False, len(MAGIC)
    for place, kind in _records(file):
        if kind == _Record.CHUNK:
            _check_chunk(place, births.get(place.chunk.thread, 0))
            births[place.chunk.thread] = place.chunk.first_birth + place.chunk.births
            places.append(place)
        elif kind == _Record.FACTS:
            if place.raw_bytes > MAX_FACTS_BYTES:
                raise ValueError("more facts than any process has")
            facts = _payload(file, place, zstandard.ZstdDecompressor())
        end = place.offset + place.packed_bytes
        complete = kind == _Record.END
        if complete:
            break
    if facts is None:
        raise ValueError("says nothing about its process")
    document = read(RecordingFacts, parse_json(facts.decode("utf-8")))
    found = Recording(path, document, complete, end, tuple(places))
    _check_threads(found)
    return found


def _records(file: BinaryIO) -> Iterator[tuple[_Place, _Record]]:
    """Each whole record. What a torn end has of another one is not one. Raises ValueError."""
    size = os.fstat(file.fileno()).st_size
    offset = len(MAGIC)
    while offset + HEADER.itemsize <= size:
        file.seek(offset)
        head = np.frombuffer(file.read(HEADER.itemsize), HEADER)[0]
        offset += HEADER.itemsize
        packed = int(head["packed_bytes"])
        if offset + packed > size:
            return
        raw = int(head["raw_bytes"])
        if packed > raw + raw // 128 + 1024:  # zstd's bound, and some
            raise ValueError("a record that takes more packed than unpacked")
        kind = int(head["kind"])
        if kind not in list(_Record):
            raise ValueError(f"a record of kind {kind} at byte {offset - HEADER.itemsize}")
        chunk = Chunk(
            thread=int(head["thread"]),
            count=int(head["count"]),
            first_birth=int(head["first_birth"]),
            births=int(head["births"]),
            base_time=int(head["base_time"]),
        )
        yield _Place(chunk, offset, packed, raw, int(head["sum"])), _Record(kind)
        offset += packed


def _check_chunk(place: _Place, births: int) -> None:
    chunk = place.chunk
    if chunk.thread >= MAX_THREADS or not 0 < chunk.count <= MAX_EVENTS:
        raise ValueError("a chunk with more events or threads than the recorder writes")
    if chunk.first_birth != births or chunk.births > chunk.count:
        raise ValueError("chunks that do not follow each other")
    if place.raw_bytes > MAX_RAW_BYTES:
        raise ValueError("a chunk of more bytes than its events take")
    if chunk.base_time >= MAX_TICKS:
        raise ValueError(_BEYOND)


def _check_threads(recording: Recording) -> None:
    """Those whom its facts name are there, and their times as the recorder writes them."""
    count = len(recording.threads)
    if count > MAX_THREADS:
        raise ValueError("more threads than the recorder tells apart")
    ticks = [recording.facts.start]
    for thread in recording.facts.threads:
        ticks += [thread.created or 0, thread.birth or 0, thread.end or 0, thread.joined or 0]
        if max(thread.parent or 0, thread.joined_by or 0) >= count:
            raise ValueError("a thread of whose parent there is nothing")
    if max(ticks) >= MAX_TICKS:
        raise ValueError(_BEYOND)


def _payload(file: BinaryIO, place: _Place, unpacker: zstandard.ZstdDecompressor) -> bytes:
    """Raises ValueError."""
    file.seek(place.offset)
    packed = file.read(place.packed_bytes)
    if zlib.crc32(packed) != place.sum:
        raise ValueError(f"the record at byte {place.offset} was damaged")
    try:
        # What it claims is compared before that many bytes are made room for.
        if zstandard.frame_content_size(packed) != place.raw_bytes:
            raise ValueError("unpacks to another length than its header says")
        raw = unpacker.decompress(packed, max_output_size=place.raw_bytes, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise ValueError(f"the record at byte {place.offset} cannot be unpacked: {error}") from None
    if len(raw) != place.raw_bytes:
        raise ValueError("unpacks to another length than its header says")
    return raw


def _damaged(path: Path, reason: str) -> DataError:
    return DataError(f"{path}: not an event file of `allocphase record`: {reason}")


# ---- Writing ----------------------------------------------------------------------------


class _Writable(Protocol):
    def write(self, content: bytes, /) -> int: ...


class EventFileWriter:
    """Appends records to a file, each in one write. Raises OSError.

    file_bytes: what the file has already, 0 of a new one.
    """

    def __init__(self, file: _Writable, *, file_bytes: int = 0) -> None:
        self._file = file
        self._packer = zstandard.ZstdCompressor(level=LEVEL)
        self.file_bytes = file_bytes or file.write(MAGIC)
        self.raw_bytes = 0

    def chunk(self, chunk: Chunk, raw: bytes, *, most_bytes: int | None = None) -> bool:
        """Adds events as columns.py lays them out; those of a thread follow each other.

        False: it would have taken more than `most_bytes` of the file, and was not added.
        """
        if not self._add(_Record.CHUNK, raw, chunk, most_bytes=most_bytes):
            return False
        self.raw_bytes += len(raw)
        return True

    def facts(self, facts: RecordingFacts, *, most_bytes: int | None = None) -> bool:
        """What is known of the process by now; False as of `chunk`."""
        raw = json.dumps(plain(facts)).encode("utf-8")
        return self._add(_Record.FACTS, raw, most_bytes=most_bytes)

    def end(self) -> None:
        """Nothing follows."""
        self._add(_Record.END, b"")

    def _add(
        self,
        kind: _Record,
        raw: bytes,
        chunk: Chunk | None = None,
        *,
        most_bytes: int | None = None,
    ) -> bool:
        packed = self._packer.compress(raw)
        if most_bytes is not None and HEADER.itemsize + len(packed) > most_bytes:
            return False
        head = np.zeros(1, HEADER)
        head["kind"], head["raw_bytes"], head["packed_bytes"] = kind, len(raw), len(packed)
        head["sum"] = zlib.crc32(packed)
        if chunk is not None:
            for name in ("thread", "count", "births", "first_birth", "base_time"):
                head[name] = getattr(chunk, name)
        self.file_bytes += self._file.write(head.tobytes() + packed)
        return True


def write_recording(path: Path, facts: RecordingFacts, batches: Iterable[Batch]) -> Recording:
    """A whole event file out of batches as `Recording.batches` gives them, for tests.

    Each object's number must be as a reader would give it: thread after thread, by birth. Raises
    ValueError.
    """
    given = list(batches)
    threads = max([len(facts.threads), *(batch.thread + 1 for batch in given)])
    births = np.zeros(threads + 1, "u8")
    for batch in given:
        births[batch.thread + 1] += np.uint64(_births(batch.events))
    first_object = births.cumsum(dtype="u8")
    have, last = [0] * threads, [0] * threads

    def fill(file: BinaryIO) -> None:
        writer = EventFileWriter(file)
        for batch in given:
            for start in range(0, len(batch.events), MAX_EVENTS):
                events, thread = batch.events[start : start + MAX_EVENTS], batch.thread
                count = _births(events)
                chunk = Chunk(thread, len(events), have[thread], count, last[thread])
                writer.chunk(chunk, encode(events, chunk, first_object))
                have[thread] += count
                last[thread] = int(events["time"][-1])
        missing = threads - len(facts.threads)
        writer.facts(replace(facts, threads=facts.threads + (RecordedThread(),) * missing))
        writer.end()

    write_whole(path, fill)
    return open_recording(path)


def _births(events: npt.NDArray[Any]) -> int:
    return int(np.count_nonzero(np.isin(events["kind"], BIRTHS)))
