"""Whether the threads of a trace can all reach their end.

A thread stops at an op that waits for another thread's, and starts when its predecessor has
ended. Running the threads in any order, each as far as it can, either ends them all or leaves a
set that waits for itself: then no schedule ends them, and the trace must not be run.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from allocphase.operation import MAX_THREADS
from allocphase.trace.records import NO_THREAD, Records

__all__ = ["stuck", "thread_problem"]

Indices = npt.NDArray[np.int64]


@dataclass(slots=True)
class _Runner:
    """One thread: the next op, the ops at which it waits, and who waits for it."""

    op: int
    end: int
    wait: int
    last_wait: int
    started: bool
    waiters: list[int] = field(default_factory=list)

    @property
    def ended(self) -> bool:
        return self.started and self.op == self.end


def stuck(threads: Records, waits: Indices, sources: Indices) -> str | None:
    """One line about a thread that can never go on; None when all of them end.

    `waits[k]` is an op that waits and `sources[k]` the op it waits for, both as positions in the
    file; `waits` ascends. Walks the waits once each, not the ops.
    """
    first = threads["first_op"].astype(np.int64)
    source_thread = np.searchsorted(first, sources, side="right") - 1
    runners = _runners(threads, waits)
    ready = [index for index, runner in enumerate(runners) if runner.started]
    wait_at, source_at, thread_at = waits.data, sources.data, source_thread.data
    while ready:
        index = ready.pop()
        runner, stood_at = runners[index], runners[index].op
        while runner.wait < runner.last_wait:
            source = runners[thread_at[runner.wait]]
            if source_at[runner.wait] >= source.op:
                runner.op = wait_at[runner.wait]
                source.waiters.append(index)
                break
            runner.wait += 1
        else:
            runner.op = runner.end
            ready += _successors(threads, runners, index)
        if runner.op > stood_at:
            ready += runner.waiters
            runner.waiters.clear()
    return _complaint(runners, waits, sources)


def _runners(threads: Records, waits: Indices) -> list[_Runner]:
    first = threads["first_op"].astype(np.int64)
    ends = first + threads["op_count"].astype(np.int64)
    low, high = np.searchsorted(waits, first), np.searchsorted(waits, ends)
    return [
        _Runner(
            op=int(first[i]),
            end=int(ends[i]),
            wait=int(low[i]),
            last_wait=int(high[i]),
            started=int(threads["predecessor"][i]) == NO_THREAD,
        )
        for i in range(len(threads))
    ]


def _successors(threads: Records, runners: list[_Runner], ended: int) -> list[int]:
    found = [int(i) for i in np.flatnonzero(threads["predecessor"] == ended)]
    for index in found:
        runners[index].started = True
    return found


def _complaint(runners: list[_Runner], waits: Indices, sources: Indices) -> str | None:
    for index, runner in enumerate(runners):
        if runner.started and not runner.ended:
            return (
                f"thread {index} can never go on: op {waits[runner.wait]} waits for"
                f" op {sources[runner.wait]}, which waits for it in turn"
            )
    return None


def thread_problem(threads: Records) -> str | None:
    """What is wrong with the order of the threads, in one line; None: nothing.

    Within a lane each thread follows the one before; the lane's first follows none.
    """
    if len(threads) > MAX_THREADS:
        return f"has {len(threads)} threads, more than {MAX_THREADS}"
    last_in_lane: dict[int, int] = {}
    for index in range(len(threads)):
        lane, predecessor = int(threads["lane"][index]), int(threads["predecessor"][index])
        if lane >= len(threads):
            return f"thread {index} has lane {lane}, but there are {len(threads)} threads"
        expected = last_in_lane.get(lane, NO_THREAD)
        if predecessor != expected:
            name = "no thread" if expected == NO_THREAD else f"thread {expected}"
            return f"thread {index} must follow {name}, the last of its lane {lane}"
        last_in_lane[lane] = index
    return None
