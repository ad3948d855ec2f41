"""Puts the ops of several threads, and of a trace's parts, into one global order."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import Draft, Ops

__all__ = ["Life", "Threads", "chain", "in_step", "shifted", "weave"]

Threads = npt.NDArray[np.uint32]


@dataclass(frozen=True, slots=True)
class Life:
    """One thread's ops in the three parts of a trace."""

    build: Ops
    steady: Ops
    drain: Ops


def weave(parts: Sequence[Ops], threads: Sequence[int]) -> tuple[Ops, Threads]:
    """All parts at the same pace: a part twice as long gives two ops for each of the other's.

    `parts[k]` belongs to thread `threads[k]`. Returns the ops and who performs each.
    """
    longest = max(len(part) for part in parts)
    pace = [np.arange(len(part)) * longest // max(len(part), 1) for part in parts]
    order = np.argsort(np.concatenate(pace), kind="stable")
    ops, thread = chain(parts, threads)
    return ops[order], thread[order]


def in_step(lives: Sequence[Life]) -> Draft:
    """Each part at the same pace, after the one before; life k is thread k's."""
    threads = range(len(lives))
    parts = [
        weave([getattr(life, part) for life in lives], threads)
        for part in ("build", "steady", "drain")
    ]
    return Draft(
        ops=np.concatenate([ops for ops, _ in parts]),
        thread=np.concatenate([thread for _, thread in parts]) if len(lives) > 1 else None,
        build_ops=len(parts[0][0]),
        drain_ops=len(parts[2][0]),
    )


def shifted(ops: Ops, slots: int) -> Ops:
    """The same ops on slots of their own."""
    moved = ops.copy()
    moved["slot"] += slots
    return moved


def chain(parts: Sequence[Ops], threads: Sequence[int]) -> tuple[Ops, Threads]:
    """One part after the other."""
    counts = [len(part) for part in parts]
    return np.concatenate(parts), np.repeat(np.array(threads, dtype=np.uint32), counts)
