"""The span of a trace: its longest chain of operations of which each waits for the one before.

Were all operations alike, no number of CPUs would be done with them before the span is (the span
law; Brent, "The Parallel Evaluation of General Arithmetic Expressions", JACM 21, 1974). An
operation waits for its thread's last one and, where its slot comes from another thread, for that
thread's; a thread waits for its predecessor.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import FLAGS_SHIFT, NO_THREAD, WAIT, Part, Trace, part_counts
from allocphase.trace.slots import by_epoch

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
    waits, sources = _edges(trace)
    thread = np.searchsorted(trace.threads["first_op"].astype(np.int64), sources, side="right") - 1
    cuts = np.searchsorted(waits, np.stack([begin, end]))
    walks = [
        _Walk(
            begin=int(begin[t]),
            end=int(end[t]),
            waits=waits[low:high].tolist(),
            sources=sources[low:high].tolist(),
            threads=thread[low:high].tolist(),
        )
        for t, (low, high) in enumerate(cuts.T)
    ]
    _walk_all(walks, trace.threads["predecessor"].tolist())
    return max(walk.finish(walk.end - 1) for walk in walks)


@dataclass(slots=True)
class _Walk:
    """A thread's operations from `begin` to before `end`, by their places in the trace.

    That at `waits[k]` waits for that at `sources[k]`, of `threads[k]`; `next` is the first of these
    that is not walked over. From `since[k]` on an operation starts `lags[k]` after its place in the
    thread: what was waited for so far.
    """

    begin: int
    end: int
    waits: list[int]
    sources: list[int]
    threads: list[int]
    next: int = 0
    since: list[int] = field(default_factory=list)
    lags: list[int] = field(default_factory=list)
    waiters: list[int] = field(default_factory=list)

    @property
    def known(self) -> int:
        """When operations before this one end is known."""
        if not self.lags:
            return self.begin
        return self.waits[self.next] if self.next < len(self.waits) else self.end

    def start(self, lag: int) -> None:
        self.since.append(self.begin)
        self.lags.append(lag)

    def wait(self, until: int) -> None:
        """The next operation that waits starts then, or later."""
        at = self.waits[self.next]
        self.since.append(at)
        self.lags.append(max(self.lags[-1], until - (at - self.begin)))
        self.next += 1

    def finish(self, op: int) -> int:
        """When an operation ends; with none before it, when the thread starts."""
        if op < self.begin:
            return self.lags[0]
        return self.lags[bisect_right(self.since, op) - 1] + op - self.begin + 1


def _walk_all(walks: list[_Walk], predecessors: list[int]) -> None:
    """Each as far as it can, until all are at their end: a trace that was made ends."""
    successors: dict[int, list[int]] = {}
    for thread, before in enumerate(predecessors):
        successors.setdefault(before, []).append(thread)
    ready = successors.get(NO_THREAD, [])
    for thread in ready:
        walks[thread].start(0)
    ready = list(ready)
    while ready:
        thread = ready.pop()
        walk = walks[thread]
        while walk.next < len(walk.waits):
            source = walks[walk.threads[walk.next]]
            if walk.sources[walk.next] >= source.known:
                source.waiters.append(thread)
                break
            walk.wait(source.finish(walk.sources[walk.next]))
        else:
            for after in successors.pop(thread, ()):
                walks[after].start(walk.finish(walk.end - 1))
                ready.append(after)
        ready += walk.waiters
        walk.waiters = []


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
    history = by_epoch(trace.ops)
    waiting = np.flatnonzero(history.ops["kind_flags"] >> FLAGS_SHIFT & WAIT)
    waits, sources = history.order[waiting], history.order[waiting - 1]
    repeated = trace.repeated()
    both = repeated[waits] & repeated[sources]
    order = np.argsort(waits[both])
    waits, sources = waits[both][order], sources[both][order]
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
