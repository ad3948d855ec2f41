"""The last operations of a thread before one of them, in words: what led to a fault."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allocphase.operation import Kind
from allocphase.text.units import counted
from allocphase.trace.file import read_ops, read_threads
from allocphase.trace.records import Ops, TraceError, kind_of
from allocphase.trace.wording import operation_text

__all__ = ["excerpt"]

SHOWN = 10
# Operations that are looked at at once, for where blocks came from: 16 MiB.
_BLOCK = 1 << 20
# Of these the reader asks: which block?
_OLD_BLOCK = (Kind.REALLOC, Kind.FREE, Kind.FREE_FOREIGN, Kind.WRITE)
# These give a slot a block, and the last one its size.
_NEW_BLOCK = (Kind.MALLOC, Kind.CALLOC, Kind.REALLOC, Kind.ALIGNED_ALLOC)


@dataclass(frozen=True, slots=True)
class _Origin:
    """Where a slot's block came from: `place` in the trace."""

    epoch: int
    place: int
    size: int


def excerpt(path: Path, *, thread: int, op: int, count: int = SHOWN) -> list[str]:
    """Lines: `count` operations of the thread at most, of which the last is `op`, its rank there.

    An operation on a block that is there says how large it was made, and where. Raises TraceError
    where the trace has no such operation, OSError.
    """
    threads = read_threads(path)
    if thread >= len(threads) or op >= int(threads["op_count"][thread]):
        raise TraceError(f"{path}: has no operation {op} of thread {thread}")
    start = int(threads["first_op"][thread])
    first = max(0, op - count + 1)
    ops = read_ops(path, start + first, op - first + 1)
    if len(ops) != op - first + 1:
        raise TraceError(f"{path}: has a thread that lies beyond its operations")
    if int(kind_of(ops).max()) >= len(Kind):
        raise TraceError(f"{path}: has an operation of a kind that does not exist")
    origins = _origins(path, ops)
    return [
        f"operation {first + index} of thread {thread}: {_words(each, origins, threads)}"
        for index, each in enumerate(ops)
    ]


def _words(op: Any, origins: dict[tuple[int, int], _Origin], threads: Ops) -> str:
    kind, slot = int(kind_of(op)), int(op["slot"])
    text = operation_text(kind, int(op["size"]), slot, align_log2=int(op["align_log2"]))
    origin = origins.get((slot, int(op["epoch"])))
    if origin is None:
        return text
    starts = threads["first_op"]
    thread = int(np.searchsorted(starts, origin.place, side="right")) - 1
    rank = origin.place - int(starts[thread])
    made = f"operation {rank} of thread {thread}"
    return f"{text} ({counted(origin.size, 'byte')} since {made})"


def _origins(path: Path, ops: Ops) -> dict[tuple[int, int], _Origin]:
    """By (slot, epoch) of the operations that use an old block, the operation that made it: of
    those on its slot that give one, the last before it.
    """
    wanted = [(int(op["slot"]), int(op["epoch"])) for op in ops if int(kind_of(op)) in _OLD_BLOCK]
    found: dict[tuple[int, int], _Origin] = {}
    start = 0
    while wanted and len(block := read_ops(path, start, _BLOCK)):
        makes = np.isin(kind_of(block), np.array(_NEW_BLOCK, dtype=np.uint8))
        for slot, epoch in wanted:
            places = np.flatnonzero(makes & (block["slot"] == slot) & (block["epoch"] < epoch))
            if not len(places):
                continue
            place = int(places[np.argmax(block["epoch"][places])])
            origin = _Origin(int(block["epoch"][place]), start + place, int(block["size"][place]))
            known = found.get((slot, epoch), origin)
            found[slot, epoch] = max(known, origin, key=lambda each: each.epoch)
        start += len(block)
    return found
