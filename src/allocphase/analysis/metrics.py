"""From a cell's processes to its metrics: the figures of `--json`, in base units.

One process gives one number; a cell's figure is the median over its processes, with an
order-statistic interval where there are enough of them. Latencies are pooled over processes:
their percentiles describe operations, not the uncertainty of a mean.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.analysis.latency import (
    QUANTILES,
    Latencies,
    SampleReader,
    cause_metrics,
    describe,
    pool,
)
from allocphase.operation import KIND_NAMES
from allocphase.probe.probe import Probe
from allocphase.probe.result import Faults, Memory, Result, Syscalls, Throughput
from allocphase.stats import median_interval
from allocphase.stats.values import median
from allocphase.store.record import ProcessRecord

__all__ = [
    "CONFIDENCE",
    "KIND_NAMES",
    "QUANTILES",
    "SampleReader",
    "cell_metrics",
    "flatten",
    "process_build_ns",
    "process_time_ns",
    "replay_share",
]

# Five rounds bound a median at 93.75%; asking for 95% would leave it open until the sixth.
CONFIDENCE = 0.9

Metrics = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Cell:
    """The good processes of one cell, by probe, and their latencies."""

    by_probe: Mapping[Probe, Sequence[ProcessRecord]]
    latencies: Latencies

    def of(self, probe: Probe) -> Sequence[ProcessRecord]:
        return self.by_probe.get(probe, ())


def cell_metrics(
    records: Sequence[ProcessRecord],
    samples: SampleReader,
    kinds: npt.NDArray[np.uint8],
    *,
    latencies: Latencies | None = None,
) -> Metrics:
    """Every metric that the processes of one cell support; absent probes leave theirs out.

    kinds: the kind of each operation of the trace, shape (ops,), as the samples are ordered; of a
    long trace, shape (0,). latencies: those of the same records, where the caller has them (see
    Run.latencies); without them the samples are read here, and nothing is said of causes.
    """
    good: dict[Probe, list[ProcessRecord]] = {}
    for record in records:
        if record.ok:
            good.setdefault(record.probe, []).append(record)
    if latencies is None:
        latencies = pool(good.get(Probe.LATENCY, []), samples, kinds)
    cell = _Cell(good, latencies)
    metrics: Metrics = {}
    for part in (_throughput, _latency, _syscalls, _memory, _faults, _passes, _verify, _stats):
        metrics.update(part(cell))
    return metrics


def process_time_ns(record: ProcessRecord) -> float:
    """A process's one number: the median of its warm passes, NaN when it has none."""
    part = record.result.throughput
    return median(part.warm_ns_per_op if part else ())


def process_build_ns(record: ProcessRecord) -> float:
    """The same of the build part alone, NaN of a trace that has none."""
    part = record.result.throughput
    return median(part.warm_build_ns_per_op if part else ())


def replay_share(time_ns: float | None, floor_ns: float | None) -> float | None:
    """Of a time per operation, what the replay takes by itself: the null allocator's time on the
    same trace. At most 1: an allocator may be faster than the null allocator. None without both.
    """
    if not time_ns or floor_ns is None:
        return None
    share = floor_ns / time_ns
    return None if math.isnan(share) else min(1.0, share)


def _throughput(cell: _Cell) -> Metrics:
    records = cell.of(Probe.THROUGHPUT)
    if not records:
        return {}
    parts = [record.part(Throughput) for record in records]
    times = [process_time_ns(record) for record in records]
    interval = median_interval(times, confidence=CONFIDENCE)
    metrics = {
        "time_per_op_ns": interval.estimate,
        "time_per_op_ns_interval": [interval.lower, interval.upper] if interval.bounded else None,
        "ops_per_second": 1e9 / interval.estimate if interval.estimate else None,
        "cold_time_per_op_ns": float(np.median([part.cold_ns_per_op for part in parts])),
    }
    metrics["helper_ns_per_op"] = float(np.median([part.helper_ns_per_op for part in parts]))
    build = [process_build_ns(record) for record in records]
    if not np.isnan(build).any():
        metrics["build_time_per_op_ns"] = float(np.median(build))
    threads = [part.thread_ns_per_op for part in parts]
    if all(threads) and len({len(times) for times in threads}) == 1:
        metrics["thread_time_per_op_ns"] = np.median(threads, axis=0).tolist()
    return metrics


def _latency(cell: _Cell) -> Metrics:
    records = cell.of(Probe.LATENCY)
    if not records:
        return {}
    clock, found = records[0].clock, cell.latencies
    # Where a pair of readings costs less than the clock's step, the step is what can be told.
    floor_ns = max(clock.overhead_ns, clock.step_ns)
    metrics: Metrics = {
        "latency_ns": {
            kind: describe(pair, clock_ns=floor_ns) for kind, pair in found.by_kind.items()
        },
        "clock_floor_ns": floor_ns,
        "clock_step_ns": clock.step_ns,
    }
    if found.touches[0].size:
        metrics["first_touch_ns"] = describe(found.touches)
    return metrics | cause_metrics(found)


# ---- Counts ------------------------------------------------------------------------------


def _syscalls(cell: _Cell) -> Metrics:
    records = cell.of(Probe.SYSCALLS)
    if not records or (counts := records[0].part(Syscalls)).operation is None:
        return {}
    phases = {"init": counts.init, "operation": counts.operation, "teardown": counts.teardown}
    metrics: Metrics = {
        "syscalls": phases if counts.threads is None else phases | {"threads": counts.threads},
        "syscalls_per_op": sum(counts.operation.values()) / records[0].result.operations,
        "syscall_backend": counts.backend,
    }
    by_thread = counts.thread_calls
    return metrics | ({"thread_syscalls": list(by_thread)} if len(by_thread) > 1 else {})


# Of every process; of a plug-in's, which has a teardown; and what of a trace with threads differs
# from process to process, and so has an interval.
_TOTALS = (
    "peak_live_bytes",
    "peak_mapped_bytes",
    "peak_rss_bytes",
    "rss_after_free_bytes",
    "lazily_freed_bytes",
    "mapped_after_free_bytes",
    "page_faults",
)
_LEFT = ("mapped_after_teardown_bytes", "rss_after_teardown_bytes")
_VARYING = ("peak_rss_bytes", "peak_mapped_bytes", "rss_after_free_bytes", "page_faults")


def _memory(cell: _Cell) -> Metrics:
    memory = [record.part(Memory) for record in cell.of(Probe.MEMORY)]
    if not memory:
        return {}
    metrics: Metrics = {
        name: int(np.median([getattr(part, name) for part in memory])) for name in _TOTALS
    }
    for name in _LEFT:
        left = [held for part in memory if (held := getattr(part, name)) is not None]
        metrics |= {name: int(np.median(left)) if left else None}
    if len(memory) > 1:
        for name in _VARYING:
            values = [float(getattr(part, name)) for part in memory]
            interval = median_interval(values, confidence=CONFIDENCE)
            bounds = [int(interval.lower), int(interval.upper)] if interval.bounded else None
            metrics[f"{name}_interval"] = bounds
    metrics["fragmentation"] = _fragmentation(memory)
    return metrics


def _fragmentation(memory: Sequence[Memory]) -> float | None:
    """Over the live peak that each process had itself: with threads it is not the trace's.

    None where less was resident than live: not all of it was touched.
    """
    if not all(part.run_peak_live_bytes for part in memory):
        return None
    found = float(np.median([p.peak_rss_bytes / p.run_peak_live_bytes - 1 for p in memory]))
    return found if found >= 0 else None


def _faults(cell: _Cell) -> Metrics:
    calls = [record.part(Faults).call_faults for record in cell.of(Probe.FAULTS)]
    return {"page_faults_in_calls": int(np.median(calls))} if calls else {}


# Whose cold pass can be held against the timed one: it makes no stop at an operation.
_PASSES = (Probe.THROUGHPUT, Probe.SYSCALLS, Probe.MEMORY, Probe.FOOTPRINT, Probe.FAULTS)


def _passes(cell: _Cell) -> Metrics:
    """How long a cold pass took under each probe: by how much that disturbs the allocator."""
    found: dict[str, float] = {}
    for probe in _PASSES:
        times = [pass_ns(record) for record in cell.of(probe)]
        if times and not np.isnan(times).any():
            found[probe.value] = float(np.median(times))
    return {"pass_ns": found} if found else {}


def pass_ns(record: ProcessRecord) -> float:
    """What a process's cold pass took; NaN where it does not say."""
    result: Result = record.result
    if record.probe is Probe.THROUGHPUT:
        return record.part(Throughput).cold_ns_per_op * (result.operations or math.nan)
    said = getattr(result.of(record.probe), "pass_ns", None)
    return math.nan if said is None else float(said)


def _verify(cell: _Cell) -> Metrics:
    return {"verified": True} if cell.of(Probe.VERIFY) else {}


_COUNTING = (Probe.SYSCALLS, Probe.MEMORY, Probe.FAULTS, Probe.VERIFY)


def _stats(cell: _Cell) -> Metrics:
    """What the allocator says of itself, after one pass: the counting probes' processes."""
    for probe in (*_COUNTING, Probe.LATENCY, Probe.THROUGHPUT):
        for record in cell.of(probe):
            if record.result.allocator_stats:
                return {"allocator_stats": record.result.allocator_stats}
    return {}


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """One level, with dots where there were more: `latency_ns.malloc.p99`."""
    flat: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
