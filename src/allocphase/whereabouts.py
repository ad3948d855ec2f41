"""What a process was doing when it ended: a phrase made from the file that it leaves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from allocphase.layout import Kind

__all__ = ["whereabouts"]

# driver/progress.h: struct progress, struct progress_thread, enum progress_place
HEADER = struct.Struct("<II56x")
THREAD = struct.Struct("<QIIII40x")
IN_CALL, BEHIND_CALL = 1, 2
# enum progress_phase
PHASES = (
    "while it was loaded",
    "in init",
    "in the middle of the trace",
    "in stats",
    "in fini",
    "while the result was written",
)
TRACE = 2
SHOWN_THREADS = 3


@dataclass(frozen=True, slots=True)
class _Thread:
    number: int
    op: int
    slot: int
    size: int
    kind: int
    place: int

    def __str__(self) -> str:
        name = Kind(self.kind).name.lower()
        operation = f"operation {self.op} of thread {self.number}"
        return f"{operation} ({name}, {self.size} bytes, slot {self.slot})"


def whereabouts(path: Path) -> str:
    """Such as "in init", or "at operation 2 of thread 0 (malloc, 64 bytes, slot 2)".

    The allocator may have written over the file: what makes no sense in it is left out.
    """
    try:
        content = path.read_bytes()
        phase, _ = HEADER.unpack_from(content)
    except (OSError, struct.error):
        return "before main"
    if phase >= len(PHASES):
        return "at a place that cannot be told"
    return (phase == TRACE and _operations(content)) or PHASES[phase]


def _operations(content: bytes) -> str:
    """Who is in a call; a single thread may also be behind one. "" in a timed probe."""
    threads = list(_threads(content))
    calling = [str(thread) for thread in threads if thread.place == IN_CALL]
    if calling:
        return f"at {' and '.join(calling[:SHOWN_THREADS])}"
    if len(threads) == 1 and threads[0].place == BEHIND_CALL:
        return f"after {threads[0]} had returned"
    return ""


def _threads(content: bytes) -> Iterator[_Thread]:
    tail = content[HEADER.size :]
    whole = tail[: len(tail) // THREAD.size * THREAD.size]
    for number, values in enumerate(THREAD.iter_unpack(whole)):
        thread = _Thread(number, *values)
        if thread.kind < len(Kind):
            yield thread
