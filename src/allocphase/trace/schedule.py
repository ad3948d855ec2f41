"""One order of all operations of a trace, in which each stands behind what it waits for.

The threads of a trace have no common clock. Here each runs at its own pace, the recorded gap and a
constant for each operation, and waits where the trace says so: a possible run, and where gaps were
recorded one that is like the program's.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import FLAGS_SHIFT, NO_THREAD, WAIT, Trace, gaps_ns
from allocphase.trace.slots import by_epoch

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
    history = by_epoch(trace.ops)
    waiting = np.flatnonzero(history.ops["kind_flags"] >> FLAGS_SHIFT & WAIT)
    waits, sources = history.order[waiting], history.order[waiting - 1]
    by_place = np.argsort(waits)
    waits, sources = waits[by_place], sources[by_place]
    thread_of = np.searchsorted(first, sources, side="right") - 1
    cuts = np.searchsorted(waits, np.append(first, len(trace.ops)))
    walks = [
        _Walk(
            begin=int(first[t]),
            end=int(first[t] + counts[t]),
            own=own,
            waits=waits[low:high].tolist(),
            sources=sources[low:high].tolist(),
            threads=thread_of[low:high].tolist(),
        )
        for t, (low, high) in enumerate(pairwise(cuts.tolist()))
    ]
    _walk_all(walks, trace.threads["predecessor"].tolist())
    return np.concatenate([walk.times() for walk in walks])


@dataclass(slots=True)
class _Walk:
    """A thread on its way: from `since[k]` on it is `lags[k]` behind its own pace."""

    begin: int
    end: int
    own: Indices
    waits: list[int]
    sources: list[int]
    threads: list[int]
    next: int = 0
    since: list[int] = field(default_factory=list)
    lags: list[int] = field(default_factory=list)
    waiters: list[int] = field(default_factory=list)

    @property
    def known(self) -> int:
        """Operations before this one have a time."""
        if not self.lags:
            return self.begin
        return self.waits[self.next] if self.next < len(self.waits) else self.end

    def late(self, at: int, lag: int) -> None:
        self.since.append(at)
        self.lags.append(lag)

    def time(self, op: int) -> int:
        return int(self.own[op]) + self.lags[bisect_right(self.since, op) - 1]

    def times(self) -> Indices:
        lengths = np.diff(np.append(self.since, self.end)).astype(np.int64)
        return self.own[self.begin : self.end] + np.repeat(np.array(self.lags, np.int64), lengths)


def _walk_all(walks: list[_Walk], predecessors: list[int]) -> None:
    """Each as far as it can, until all are at their end: a trace that was made ends."""
    successors: dict[int, list[int]] = {}
    for thread, before in enumerate(predecessors):
        successors.setdefault(before, []).append(thread)
    ready = list(successors.get(NO_THREAD, []))
    for thread in ready:
        walks[thread].late(walks[thread].begin, 0)
    while ready:
        thread = ready.pop()
        walk = walks[thread]
        while walk.next < len(walk.waits):
            at, source = walk.waits[walk.next], walk.sources[walk.next]
            other = walks[walk.threads[walk.next]]
            if source >= other.known:
                other.waiters.append(thread)
                break
            lag = other.time(source) + CALL_NS - int(walk.own[at])
            if lag > walk.lags[-1]:
                walk.late(at, lag)
            walk.next += 1
        else:
            end = walk.time(walk.end - 1) + CALL_NS if walk.end > walk.begin else walk.lags[0]
            for after in successors.pop(thread, ()):
                walks[after].late(walks[after].begin, end)
                ready.append(after)
        ready += walk.waiters
        walk.waiters = []
