"""What each thread of a cell did: its calls' latencies in one process, its time, its calls out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.analysis.latency import describe
from allocphase.analysis.metrics import KIND_NAMES
from allocphase.probe.arrays import bucket_midpoints
from allocphase.probe.probe import Probe

__all__ = ["ThreadCalls", "counted_thread_calls", "thread_calls"]

Described = Mapping[str, Any]
Floats = npt.NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class ThreadCalls:
    """The timed calls of one thread. `of`: by kind, and "" for all, as latency.describe has it;
    what it did not call is absent, and of a long trace all kinds are.
    """

    thread: int
    operations: int
    of: Mapping[str, Described]


def thread_calls(
    latency_ns: Floats, kind: npt.NDArray[np.int8], counts: npt.NDArray[np.int64]
) -> tuple[ThreadCalls, ...]:
    """A thread each; none for a single one, or where no latency was measured.

    latency_ns, kind: shape (ops,), thread after thread; NaN is not timed. counts: operations of
    each thread.
    """
    if len(counts) < 2 or np.isnan(latency_ns).all():
        return ()
    ends = np.cumsum(counts)
    return tuple(
        ThreadCalls(thread, int(end - start), _by_kind(latency_ns[start:end], kind[start:end]))
        for thread, (start, end) in enumerate(zip(ends - counts, ends, strict=True))
    )


def _by_kind(latency_ns: Floats, kind: npt.NDArray[np.int8]) -> dict[str, Described]:
    timed = ~np.isnan(latency_ns)
    found = {"": latency_ns[timed]}
    found |= {name: latency_ns[timed & (kind == code)] for code, name in enumerate(KIND_NAMES)}
    return {
        name: describe(np.unique(values, return_counts=True))
        for name, values in found.items()
        if values.size
    }


def counted_thread_calls(run: Run, allocator: str, scenario: str) -> tuple[ThreadCalls, ...]:
    """The same of a long trace, whose threads have a histogram each."""
    first, counts = run.first(allocator, scenario, Probe.LATENCY), run.thread_counts(scenario)
    if first is None or len(counts) < 2 or "thread_histogram" not in first[1]:
        return ()
    ticks = bucket_midpoints() * 1e9 / first[0].clock.hz
    return tuple(
        ThreadCalls(thread, int(operations), _counted(ticks, histogram.astype(np.int64)))
        for thread, (operations, histogram) in enumerate(
            zip(counts, first[1]["thread_histogram"], strict=True)
        )
    )


def _counted(ticks_ns: Floats, counts: npt.NDArray[np.int64]) -> dict[str, Described]:
    return {"": describe((ticks_ns[counts > 0], counts[counts > 0]))} if counts.any() else {}
