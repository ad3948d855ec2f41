"""Calls in one order become a trace: who allocates, resizes and frees which block.

A block is known by what the other tool calls it: an address, or a number. It is that from its
allocation to its free; what those tools get wrong (a block allocated while it lives, since its free
was logged too late; frees of blocks from before the log) is counted and not guessed.
"""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import BinaryIO

import numpy as np

from allocphase.errors import shown
from allocphase.operation import MAX_THREADS, Kind
from allocphase.trace.completion import complete
from allocphase.trace.provenance import Provenance, written_provenance
from allocphase.trace.records import Draft, Touch, Trace, TraceError, gap_codes, operations

__all__ = ["Calls", "lines_of", "number"]

MAX_LINE = 4096
_MAX_SIZE = (1 << 32) - 1
_MAX_ALIGN = 1 << 21
_MIN_ALIGN = 16


@dataclass(slots=True)
class _Block:
    slot: int
    aligned: bool


def _column() -> array[int]:
    return array("Q")


@dataclass(slots=True)
class Calls:
    """What was called, in order. A block of 0 is NULL. Raises TraceError for what no trace has."""

    calls: Counter[str] = field(default_factory=Counter)
    notes: Counter[str] = field(default_factory=Counter)
    has_gaps: bool = False
    _threads: dict[int, int] = field(default_factory=dict)
    _blocks: dict[int, _Block] = field(default_factory=dict)
    _lost: list[int] = field(default_factory=list)  # slots of blocks that nobody can free
    _free: dict[int, list[int]] = field(default_factory=dict)  # slots, by who freed them
    _slots: int = 0
    _kind: array[int] = field(default_factory=_column)
    _slot: array[int] = field(default_factory=_column)
    _size: array[int] = field(default_factory=_column)
    _align: array[int] = field(default_factory=_column)
    _thread: array[int] = field(default_factory=_column)
    _gap: array[int] = field(default_factory=_column)

    def allocate(
        self, thread: int, name: str, block: int, size: int, *, align: int = 0, gap_ns: int = 0
    ) -> None:
        """`name`: the function; with an alignment it is an aligned one."""
        self.calls[name] += 1
        if block == 0:
            self.notes["allocations that failed, left out"] += 1
            return
        self._make(thread, name, block, size, align=align, gap_ns=gap_ns)

    def resize(self, thread: int, old: int, block: int, size: int, *, gap_ns: int = 0) -> None:
        """realloc(old, size) returned `block`."""
        self.calls["realloc"] += 1
        if old == 0 or old not in self._blocks:
            if old:
                self.notes["reallocs of blocks never seen, replayed as malloc"] += 1
            if block:
                self._make(thread, "malloc", block, size, gap_ns=gap_ns)
            return
        if block == 0:
            if size == 0:
                self._release(thread, old, gap_ns=gap_ns)
            else:
                self.notes["reallocs that failed, left out"] += 1
            return
        found = self._blocks[old]
        if found.aligned:
            self.notes["reallocs of aligned blocks, replayed as free and malloc"] += 1
            self._release(thread, old, gap_ns=gap_ns)
            self._make(thread, "malloc", block, size)
            return
        if size == 0:
            self.notes["reallocs to 0 bytes that gave a block, replayed as to 1"] += 1
        del self._blocks[old]
        self._refuse_twice(block)
        self._blocks[block] = found
        self._add(thread, Kind.REALLOC, found.slot, max(1, _checked(size)), gap_ns=gap_ns)

    def free(self, thread: int, block: int, *, gap_ns: int = 0) -> None:
        self.calls["free"] += 1
        if block == 0:
            self.notes["frees of NULL"] += 1
        elif block not in self._blocks:
            self.notes["frees of blocks never seen, left out"] += 1
        else:
            self._release(thread, block, gap_ns=gap_ns)

    def lives(self, block: int) -> bool:
        """Whether a block has that name now."""
        return block in self._blocks

    def trace(self, *, origin: str) -> Trace:
        """All of it, and a drain that frees what is left. Raises TraceError where there is none."""
        if not self._kind:
            raise TraceError("has no call that can be replayed")
        left = sorted([*(block.slot for block in self._blocks.values()), *self._lost])
        built, threads = len(self._kind), len(self._threads)
        several = threads > 1
        if several + threads > MAX_THREADS:
            raise TraceError(f"has {threads} threads: a trace has {MAX_THREADS - 1} at most")
        for slot in left:
            self._put(threads if several else 0, Kind.FREE, slot, 0, 0, 0)
        draft = Draft(
            operations(
                np.array(self._kind, np.uint64),
                np.array(self._slot, np.uint64),
                size=np.array(self._size, np.uint64),
                align_log2=np.array(self._align, np.uint64),
            ),
            thread=np.array(self._thread, np.uint32) if several else None,
            lane=tuple(range(threads + bool(left))) if several else None,
            build_ops=built,
            drain_ops=len(left),
            threads_end=several,
            gaps=gap_codes(np.array(self._gap, np.uint64)) if self.has_gaps else None,
        )
        said = Provenance(
            origin=origin,
            threads=threads,
            calls=dict(sorted(self.calls.items())),
            notes=dict(self.notes),
            never_freed=len(left),
        )
        return complete(draft, touch=Touch.FIRST, meta=written_provenance(said))

    def _make(
        self, thread: int, name: str, block: int, size: int, *, align: int = 0, gap_ns: int = 0
    ) -> None:
        if align and (align & (align - 1) or align > _MAX_ALIGN):
            raise TraceError(f"an alignment of {align:,}: a trace has powers of two up to 2 MiB")
        aligned = align >= _MIN_ALIGN
        kind = Kind.ALIGNED_ALLOC if aligned else Kind.CALLOC if name == "calloc" else Kind.MALLOC
        self._refuse_twice(block)
        mine = self._free.get(thread)
        if mine:
            slot = mine.pop()
        else:
            slot, self._slots = self._slots, self._slots + 1
        self._blocks[block] = _Block(slot, aligned)
        log2 = align.bit_length() - 1 if aligned else 0
        self._add(thread, kind, slot, _checked(size), align_log2=log2, gap_ns=gap_ns)

    def _refuse_twice(self, block: int) -> None:
        old = self._blocks.pop(block, None)
        if old is not None:
            self.notes["blocks allocated while they lived: the older one is freed at the end"] += 1
            self._lost.append(old.slot)

    def _release(self, thread: int, block: int, *, gap_ns: int) -> None:
        found = self._blocks.pop(block)
        self._free.setdefault(thread, []).append(found.slot)
        self._add(thread, Kind.FREE, found.slot, 0, gap_ns=gap_ns)

    def _add(
        self, thread: int, kind: Kind, slot: int, size: int, *, align_log2: int = 0, gap_ns: int = 0
    ) -> None:
        number = self._threads.setdefault(thread, len(self._threads))
        self._put(number, kind, slot, size, align_log2, gap_ns)

    def _put(self, thread: int, kind: Kind, slot: int, size: int, align: int, gap: int) -> None:
        self._kind.append(kind)
        self._slot.append(slot)
        self._size.append(size)
        self._align.append(align)
        self._thread.append(thread)
        self._gap.append(gap)


def _checked(size: int) -> int:
    if size > _MAX_SIZE:
        raise TraceError(f"a block of {size:,} bytes: a trace has sizes below 4 GiB")
    return size


def lines_of(file: BinaryIO) -> Iterator[tuple[int, str]]:
    """Each line that is not empty, with its number from 1. Raises TraceError for no text."""
    number = 0
    while line := file.readline(MAX_LINE):
        number += 1
        if not line.endswith(b"\n") and len(line) == MAX_LINE:
            raise TraceError(f"line {number}: is longer than {MAX_LINE} bytes")
        if not line.isascii():
            raise TraceError(f"line {number}: is no text of this format")
        text = line.decode("ascii").strip()
        if text:
            yield number, text


def number(text: str, *, base: int = 10) -> int:
    """A number of 64 bits. Raises TraceError."""
    digits = "0123456789abcdefABCDEF" if base == 16 else "0123456789"
    if not text or len(text) > 20 or text.strip(digits) or int(text, base) >= 1 << 64:
        raise TraceError(f"{shown(text[:80])} is no number")
    return int(text, base)
