"""What a process was doing when it ended, from the file that it leaves."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from allocphase.files.regular import read_regular
from allocphase.text.units import plural
from allocphase.trace.records import Kind
from allocphase.trace.wording import operation_text

__all__ = ["FaultyOperation", "faulty_operations", "whereabouts"]

# driver/progress.h: struct progress, struct progress_thread, enum progress_place
HEADER = struct.Struct("<IIIIQI36x")
THREAD = struct.Struct("<QIIII40x")
IN_CALL, BEHIND_CALL, FAILED = 1, 2, 3
# enum progress_phase
PHASES = (
    "while it was loaded",
    "in init",
    "in the middle of the trace",
    "in the conformance calls",
    "in stats",
    "in fini",
    "while the result was written",
)
TRACE, CONFORMANCE = 2, 3
# driver/probes/conformance_findings.h: enum conformance_function
ASKED = ("malloc", "calloc", "realloc", "aligned_alloc", "free", "free_tagged", "usable_size")
SHOWN_THREADS = 3
# driver/trace.h: TRACE_MAX_THREADS
MAX_BYTES = HEADER.size + 4096 * THREAD.size


@dataclass(frozen=True, slots=True)
class _Thread:
    number: int
    op: int
    slot: int
    size: int
    kind: int
    place: int

    def __str__(self) -> str:
        operation = f"operation {self.op} of thread {self.number}"
        return f"{operation} ({operation_text(self.kind, self.size, self.slot)})"


def whereabouts(path: Path) -> str:
    """Such as "in init", or "at operation 2 of thread 0 (malloc, 64 bytes, slot 2)".

    The allocator may have written over the file: what makes no sense in it is left out.
    """
    try:
        content = read_regular(path, MAX_BYTES)
        phase, _, replay, place, size, asked = HEADER.unpack_from(content)
    except (OSError, struct.error):
        return "before main"
    if phase >= len(PHASES):
        return "at a place that cannot be told"
    if phase == TRACE:
        return f"{_operations(content) or PHASES[TRACE]}{_in_replay(replay)}"
    if phase == CONFORMANCE:
        return _conformance(place, asked, size)
    return PHASES[phase]


@dataclass(frozen=True, slots=True)
class FaultyOperation:
    """At which operation of which thread a process ended; `op` is its rank there."""

    thread: int
    op: int


def faulty_operations(path: Path) -> tuple[FaultyOperation, ...]:
    """Those that `whereabouts` names, or the one that the driver itself has ended the process at.

    None where the process was not in its trace, or does not say where in it.
    """
    try:
        content = read_regular(path, MAX_BYTES)
        phase, *_ = HEADER.unpack_from(content)
    except (OSError, struct.error):
        return ()
    threads = list(_threads(content)) if phase == TRACE else []
    failed = [each for each in threads if each.place == FAILED]
    return tuple(FaultyOperation(each.number, each.op) for each in failed or _at(threads))


def _in_replay(replay: int) -> str:
    return f" in replay {replay}" if replay > 1 else ""


def _conformance(place: int, asked: int, size: int) -> str:
    """The call that is not answered yet, or the last one."""
    if place not in (IN_CALL, BEHIND_CALL) or asked >= len(ASKED):
        return PHASES[CONFORMANCE]
    call = f"{PHASES[CONFORMANCE]} ({ASKED[asked]}, {size} {plural('byte', size)})"
    return call if place == IN_CALL else f"{call}, which had returned"


def _operations(content: bytes) -> str:
    """ "" in a timed probe."""
    at = _at(list(_threads(content)))
    if at and at[0].place == IN_CALL:
        return f"at {' and '.join(map(str, at))}"
    return f"after {at[0]} had returned" if at else ""


def _at(threads: list[_Thread]) -> list[_Thread]:
    """Who is in a call, the first few; a single thread may also be behind one."""
    if calling := [thread for thread in threads if thread.place == IN_CALL]:
        return calling[:SHOWN_THREADS]
    is_behind = len(threads) == 1 and threads[0].place == BEHIND_CALL
    return threads if is_behind else []


def _threads(content: bytes) -> Iterator[_Thread]:
    tail = content[HEADER.size :]
    whole = tail[: len(tail) // THREAD.size * THREAD.size]
    for number, values in enumerate(THREAD.iter_unpack(whole)):
        thread = _Thread(number, *values)
        if thread.kind < len(Kind):
            yield thread
