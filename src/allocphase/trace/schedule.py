"""One order of all operations of a trace, in which each stands behind what it waits for.

The threads of a trace have no common clock. Here each runs at its own pace, the recorded gap and a
constant for each operation, and waits where the trace says so: a possible run, and where gaps were
recorded one that is like the program's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import Trace, gaps_ns
from allocphase.trace.walk import edges, walked

__all__ = ["global_order", "start_times"]

Indices = npt.NDArray[np.int64]
# Of an operation itself: a typical call. It matters where threads have no other difference.
CALL_NS = 50


def global_order(trace: Trace) -> Indices:
    """Places in the trace, shape (op_count,)."""
    if len(trace.threads) == 1:
        return np.arange(len(trace.ops))
    return np.lexsort((np.arange(len(trace.ops)), start_times(trace), trace.part_of_ops()))


def start_times(trace: Trace) -> Indices:
    """When each operation starts, in ns from the trace's begin, shape (op_count,)."""
    gaps = np.zeros(len(trace.ops), np.int64)
    if trace.gaps is not None:
        gaps = gaps_ns(trace.gaps).astype(np.int64)
    ends = np.cumsum(gaps + CALL_NS)
    first = trace.threads["first_op"].astype(np.int64)
    counts = trace.threads["op_count"].astype(np.int64)
    before = np.repeat(np.where(first > 0, ends[np.maximum(first, 1) - 1], 0), counts)
    own: Indices = ends - CALL_NS - before
    if len(trace.threads) == 1:
        return own
    bounds = first, first + counts
    walks = walked(trace, bounds, edges(trace), own, CALL_NS)
    return np.concatenate([walk.starts() for walk in walks])
