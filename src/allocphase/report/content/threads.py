"""What each thread of a cell did: its calls' latencies in one process, its time, its calls out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.analysis.latency import Kinds, Replay, arrays_of, describe, kinds_of, uncalled_kinds
from allocphase.analysis.metrics import KIND_NAMES
from allocphase.probe.arrays import Arrays, bucket_midpoints
from allocphase.probe.consistency import repeated_places, thread_counts
from allocphase.probe.probe import Probe
from allocphase.store.record import ProcessRecord

__all__ = ["ThreadCalls", "thread_calls"]

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


def thread_calls(run: Run, allocator: str, scenario: str) -> tuple[ThreadCalls, ...]:
    """A thread each, of the first latency process's warm replays; none for a single one, or where
    no latency was measured.
    """
    first, counts = run.first(allocator, scenario, Probe.LATENCY), run.thread_counts(scenario)
    if first is None or len(counts) < 2:
        return ()
    record, arrays = first[0], arrays_of(first[1], Replay.WARM)
    ns_per_tick = 1e9 / record.clock.hz
    if "thread_histogram" in arrays:
        ticks_ns = bucket_midpoints() * ns_per_tick
        found = [_counted(ticks_ns, each.astype(np.int64)) for each in arrays["thread_histogram"]]
    else:
        found = _each(arrays["call_ticks"] * ns_per_tick, run.trace_operations(scenario), record)
    return tuple(
        ThreadCalls(thread, int(count), of)
        for thread, (count, of) in enumerate(zip(counts, found, strict=True))
    )


def _each(
    latency_ns: Floats, operations: Arrays, record: ProcessRecord
) -> list[dict[str, Described]]:
    """`latency_ns`: of the warm replays, one after the other."""
    kind = np.resize(kinds_of(operations, Replay.WARM), len(latency_ns))
    thread = np.resize(operations["thread"][repeated_places(operations)], len(latency_ns))
    timed = ~np.isin(kind, uncalled_kinds(record))
    threads = range(len(thread_counts(operations)))
    return [
        _by_kind(latency_ns[mine], kind[mine])
        for mine in (timed & (thread == number) for number in threads)
    ]


def _by_kind(latency_ns: Floats, kind: Kinds) -> dict[str, Described]:
    found = {"": latency_ns}
    found |= {name: latency_ns[kind == code] for code, name in enumerate(KIND_NAMES)}
    return {
        name: describe(np.unique(values, return_counts=True))
        for name, values in found.items()
        if values.size
    }


def _counted(ticks_ns: Floats, counts: npt.NDArray[np.int64]) -> dict[str, Described]:
    return {"": describe((ticks_ns[counts > 0], counts[counts > 0]))} if counts.any() else {}
