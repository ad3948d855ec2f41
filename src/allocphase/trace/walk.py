"""Threads on their way through a trace, side by side: each goes at its own pace, and waits where
the trace says so.

An operation waits for its thread's last one and, where its slot comes from another thread, for that
thread's; a thread waits for its predecessor. What an operation takes is the caller's: nanoseconds
make a possible run of it (schedule.py), one for each operation its longest chain (span.py).
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import FLAGS_SHIFT, NO_THREAD, WAIT, Trace
from allocphase.trace.slots import by_epoch

__all__ = ["Walk", "edges", "walked"]

Indices = npt.NDArray[np.int64]


@dataclass(slots=True)
class Walk:
    """A thread's operations from `begin` to before `end`, by their places in the trace. own: when
    each would start if nobody waited, of all operations; cost: what one takes.

    That at `waits[k]` waits for that at `sources[k]`, of `threads[k]`; `next` is the first of these
    that is not walked over. From `since[k]` on an operation starts `lags[k]` later than its own
    time: what was waited for so far.
    """

    begin: int
    end: int
    own: Indices
    cost: int
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

    def start(self, at: int) -> None:
        """The thread starts then."""
        self.since.append(self.begin)
        self.lags.append(at)

    def wait(self, until: int) -> None:
        """The next operation that waits starts then, or later."""
        at = self.waits[self.next]
        lag = until - int(self.own[at])
        if lag > self.lags[-1]:
            self.since.append(at)
            self.lags.append(lag)
        self.next += 1

    def finish(self, op: int) -> int:
        """When an operation ends; with none before it, when the thread starts."""
        if op < self.begin:
            return self.lags[0]
        return self.lags[bisect_right(self.since, op) - 1] + int(self.own[op]) + self.cost

    def starts(self) -> Indices:
        """When each of its operations starts, shape (end - begin,)."""
        lengths = np.diff(np.append(self.since, self.end)).astype(np.int64)
        return self.own[self.begin : self.end] + np.repeat(np.array(self.lags, np.int64), lengths)


def edges(trace: Trace) -> tuple[Indices, Indices]:
    """The operations that wait for another thread's, ascending, and for which."""
    history = by_epoch(trace.ops)
    waiting = np.flatnonzero(history.ops["kind_flags"] >> FLAGS_SHIFT & WAIT)
    waits, sources = history.order[waiting], history.order[waiting - 1]
    order = np.argsort(waits)
    return waits[order], sources[order]


def walked(
    trace: Trace,
    bounds: tuple[Indices, Indices],
    between: tuple[Indices, Indices],
    own: Indices,
    cost: int,
) -> Sequence[Walk]:
    """A walk for each thread, each at its end: a trace that was made ends. bounds: where the
    operations of each thread begin and end; between: as edges, both within these.
    """
    (begin, end), (waits, sources) = bounds, between
    thread = np.searchsorted(trace.threads["first_op"].astype(np.int64), sources, side="right") - 1
    cuts = np.searchsorted(waits, np.stack([begin, end]))
    walks = [
        Walk(
            begin=int(begin[t]),
            end=int(end[t]),
            own=own,
            cost=cost,
            waits=waits[low:high].tolist(),
            sources=sources[low:high].tolist(),
            threads=thread[low:high].tolist(),
        )
        for t, (low, high) in enumerate(cuts.T)
    ]
    _walk_all(walks, trace.threads["predecessor"].tolist())
    return walks


def _walk_all(walks: list[Walk], predecessors: list[int]) -> None:
    """Each as far as it can, until all are at their end."""
    successors: dict[int, list[int]] = {}
    for thread, before in enumerate(predecessors):
        successors.setdefault(before, []).append(thread)
    ready = list(successors.get(NO_THREAD, []))
    for thread in ready:
        walks[thread].start(0)
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
