"""The span of a trace: its longest chain of operations of which each waits for the one before.

Were all operations alike, no number of CPUs would be done with them before the span is (the span
law; Brent, "The Parallel Evaluation of General Arithmetic Expressions", JACM 21, 1974). What waits
for what is walk.py's.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import Part, Trace, part_counts
from allocphase.trace.walk import edges, walked

__all__ = ["lane_loads", "span"]

Indices = npt.NDArray[np.int64]


def lane_loads(trace: Trace) -> tuple[int, ...]:
    """How many operations a replay has in each lane, of those that are repeated."""
    lanes = trace.threads["lane"].astype(np.int64)
    loads = np.zeros(int(lanes.max()) + 1, dtype=np.int64)
    begin, end = _bounds(trace)
    np.add.at(loads, lanes, end - begin)
    return tuple(loads.tolist())


def span(trace: Trace) -> int:
    """Of a replay of what is repeated, in operations."""
    begin, end = _bounds(trace)
    if len(trace.threads) == 1:
        return int(end[0] - begin[0])
    counts = trace.threads["op_count"].astype(np.int64)
    own = np.arange(len(trace.ops)) - np.repeat(begin, counts)
    walks = walked(trace, (begin, end), _edges(trace), own, 1)
    return max(walk.finish(walk.end - 1) for walk in walks)


def _bounds(trace: Trace) -> tuple[Indices, Indices]:
    """Where each thread's repeated operations begin and end."""
    counts = part_counts(trace.threads)
    begin = trace.threads["first_op"].astype(np.int64)
    if not counts[:, Part.STEADY].any():
        return begin, begin + counts.sum(axis=1)
    begin = begin + counts[:, Part.BUILD]
    return begin, begin + counts[:, Part.STEADY]


def _edges(trace: Trace) -> tuple[Indices, Indices]:
    """The operations that wait, ascending, and for which; without those of other parts, and those
    that wait for nothing that their thread has not waited for already.
    """
    waits, sources = edges(trace)
    repeated = trace.repeated()
    both = repeated[waits] & repeated[sources]
    waits, sources = waits[both], sources[both]
    first = trace.threads["first_op"].astype(np.int64)
    pair = np.stack([np.searchsorted(first, ops, side="right") for ops in (waits, sources)])
    grouped = np.lexsort((waits, *pair))
    starts = np.ones(len(grouped), dtype=np.bool_)
    starts[1:] = (np.diff(pair[:, grouped], axis=1) != 0).any(axis=0)
    # Within a pair of threads only what is further on than all before: with the groups far apart,
    # one running maximum does for all of them.
    far = np.cumsum(starts) * np.int64(len(trace.ops)) + sources[grouped]
    highest = np.maximum.accumulate(far)
    newer = starts.copy()
    newer[1:] |= highest[1:] > highest[:-1]
    kept = np.sort(grouped[newer])
    return waits[kept], sources[kept]
