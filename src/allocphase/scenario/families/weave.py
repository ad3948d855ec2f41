"""Puts the ops of several threads into one global order."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import Ops

__all__ = ["Threads", "chain", "weave"]

Threads = npt.NDArray[np.uint32]


def weave(parts: Sequence[Ops], threads: Sequence[int]) -> tuple[Ops, Threads]:
    """All parts at the same pace: a part twice as long gives two ops for each of the other's.

    `parts[k]` belongs to thread `threads[k]`. Returns the ops and who performs each.
    """
    longest = max(len(part) for part in parts)
    pace = [np.arange(len(part)) * longest // max(len(part), 1) for part in parts]
    order = np.argsort(np.concatenate(pace), kind="stable")
    ops, thread = chain(parts, threads)
    return ops[order], thread[order]


def chain(parts: Sequence[Ops], threads: Sequence[int]) -> tuple[Ops, Threads]:
    """One part after the other."""
    counts = [len(part) for part in parts]
    return np.concatenate(parts), np.repeat(np.array(threads, dtype=np.uint32), counts)
