"""Recordings of made-up programs: calls in one order become the events of threads, as the recorder
would have written them down.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from allocphase.recorder.event_file import Recording, write_recording
from allocphase.recorder.events import (
    EVENT,
    NO_OBJECT,
    Batch,
    Entry,
    Kind,
    RecordedThread,
    RecordingFacts,
)

__all__ = ["Call", "facts", "recording_of"]

TICKS = 100_000_000


@dataclass(frozen=True, slots=True)
class Call:
    """One call. name: malloc, calloc, memalign, realloc, free; `block` is the program's own name of
    the object, for a realloc of what it was and is. "touched" is no call, but what the recorder
    says of a block: that `size` bytes of it were touched.
    """

    thread: int
    name: str
    block: int = -1
    size: int = 0
    tick: int = -1  # its place in the order, tenfold, where it is not given


def facts(*threads: RecordedThread) -> RecordingFacts:
    return RecordingFacts(
        command=("made", "up"),
        ticks_per_second=TICKS,
        threads=threads,
        started_ns=1_790_000_000 * 10**9,
        allocator="/usr/lib/libc.so.6",
    )


def recording_of(
    path: Path,
    calls: Sequence[Call],
    said: RecordingFacts,
    *,
    batch: int = 50,
) -> Recording:
    """Batches of `batch` events, in the order in which they are full; blocks that were never
    allocated are NULL.
    """
    timed = [
        replace(call, tick=call.tick if call.tick >= 0 else 10 * n) for n, call in enumerate(calls)
    ]
    threads = max(call.thread for call in calls) + 1
    numbers = _numbers(timed)
    rows: list[list[tuple[int, ...]]] = [[] for _ in range(threads)]
    batches: list[Batch] = []
    live: dict[int, int] = {}
    for place, call in enumerate(timed):
        for row in _events(call, live, numbers.get(place)):
            rows[call.thread].append(row)
        if len(rows[call.thread]) >= batch:
            batches.append(_batch(call.thread, rows[call.thread]))
    batches += [_batch(thread, left) for thread, left in enumerate(rows) if left]
    return write_recording(path, said, batches)


def _numbers(calls: Sequence[Call]) -> dict[int, int]:
    """By place of a call that makes an object, that object's number: thread after thread."""
    unborn = ("free", "touched")
    births = [(call.thread, n) for n, call in enumerate(calls) if call.name not in unborn]
    return {place: number for number, (_, place) in enumerate(sorted(births))}


def _events(call: Call, live: dict[int, int], made: int | None) -> list[tuple[int, ...]]:
    if call.name == "touched":
        return [(call.tick, live[call.block], call.size, 0, Kind.TOUCHED, Entry.NONE, 0)]
    entry = int(Entry[call.name.upper()])
    align = 6 if call.name == "memalign" else 0
    if call.name == "free":
        return [(call.tick, live.pop(call.block, NO_OBJECT), 0, 0, Kind.FREE, entry, 0)]
    assert made is not None
    if call.name == "realloc":
        old = live.pop(call.block, NO_OBJECT)
        live[call.block] = made
        return [
            (call.tick, old, call.size, 0, Kind.REALLOC_BEGIN, entry, 0),
            (call.tick + 3, made, call.size, 0, Kind.REALLOC_END, entry, 0),
        ]
    live[call.block] = made
    return [(call.tick, made, call.size, 0, Kind.ALLOCATION, entry, align)]


def _batch(thread: int, rows: list[tuple[int, ...]]) -> Batch:
    events = np.array(rows, dtype=EVENT)
    rows.clear()
    return Batch(thread, events)
