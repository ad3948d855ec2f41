"""Doubts about a program: what of it the allocator does not serve, though its figures hold it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

from allocphase.analysis.warning_kinds import CellWarning, Kind
from allocphase.probe.result import Heap, Program, ProgramCalls
from allocphase.store.record import ProcessRecord
from allocphase.text.units import plural

__all__ = ["program_warnings"]

# Beside what malloc handed out. An interpreter's first arenas and an allocator's own tables are
# smaller.
LEAST_OTHER_BYTES = 8 << 20
# An allocator that gives each block a page of its own is wasteful, not absent.
PAGE_BYTES = 4096
# More names than that say no more.
MOST_NAMES = 5
_OF_CXX = ("libstdc++.", "libc++.", "libc++abi.")


def program_warnings(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    """Of the good processes of a program's cell; of a trace's there are none."""
    yield from _own_new(records)
    parts = [record.part(ProgramCalls) for record in records if record.result.program_calls]
    yield from _unreached(parts)
    yield from _own_memory(parts)


def _unreached(parts: Sequence[ProgramCalls]) -> Iterator[CellWarning]:
    most: dict[str, int] = {}
    for part in parts:
        for program, times in part.unreached.items():
            most[program] = max(times, most.get(program, 0))
    if most:
        told = [
            f"{program} ({times} {plural('process', times)})" for program, times in most.items()
        ]
        yield CellWarning(Kind.UNREACHED, words=_joined(told))


def _own_memory(parts: Sequence[ProgramCalls]) -> Iterator[CellWarning]:
    """Of what processes held the most: the one that malloc explains least."""
    heaps = [part.largest for part in parts if part.largest is not None]
    telling = [heap for heap in heaps if _is_of_another(heap)]
    if telling:
        heap = max(telling, key=lambda one: one.anonymous_bytes)
        figures = (heap.anonymous_bytes / 1e6, _handed_out(heap) / 1e6)
        yield CellWarning(Kind.OWN_MEMORY, figures, Path(heap.program).name)


def _is_of_another(heap: Heap) -> bool:
    """Whether more than half of a process's memory cannot be its malloc's: others mapped as much
    themselves; or, where they did that unseen, malloc was asked for too little to have taken it,
    had it spent a page on each call.
    """
    other = heap.anonymous_bytes - _handed_out(heap)
    if other < max(LEAST_OTHER_BYTES, heap.anonymous_bytes / 2):
        return False
    if min(heap.own_mapped_bytes, other) > heap.anonymous_bytes / 2:
        return True
    wasteful = heap.requested_bytes + PAGE_BYTES * heap.calls + LEAST_OTHER_BYTES
    return heap.anonymous_bytes > 2 * wasteful


def _handed_out(heap: Heap) -> int:
    """Of an allocator that cannot tell, no less than it was: all that it was ever asked for."""
    return heap.requested_bytes if heap.usable_bytes is None else heap.usable_bytes


def _own_new(records: Sequence[ProcessRecord]) -> Iterator[CellWarning]:
    """An allocator without operators leaves them to a shared libstdc++: nothing is bypassed."""
    providers = {
        Path(provider).name
        for record in records
        if isinstance(part := record.result.of(record.probe), Program)
        for provider in part.providers_of_new
    }
    if own := sorted(name for name in providers if not name.startswith(_OF_CXX)):
        yield CellWarning(Kind.OWN_NEW, words=_joined(own))


def _joined(names: Sequence[str]) -> str:
    more = len(names) - MOST_NAMES
    shown = list(names[:MOST_NAMES])
    return ", ".join([*shown, f"and {more} more"] if more > 0 else shown)
