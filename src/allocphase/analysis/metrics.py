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
from allocphase.probe.arrays import KIND_NAMES
from allocphase.probe.result import LEFT_BYTES, PEAK_BYTES
from allocphase.stats import median_interval
from allocphase.store.record import ProcessRecord

__all__ = [
    "CONFIDENCE",
    "KIND_NAMES",
    "QUANTILES",
    "SampleReader",
    "cell_metrics",
    "process_time_ns",
    "replay_share",
]

# Five rounds bound a median at 93.75%; asking for 95% would leave it open until the sixth.
CONFIDENCE = 0.9

Metrics = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Cell:
    """The good processes of one cell, by probe, and their latencies."""

    by_probe: Mapping[str, Sequence[ProcessRecord]]
    latencies: Latencies

    def of(self, probe: str) -> Sequence[ProcessRecord]:
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
    good: dict[str, list[ProcessRecord]] = {}
    for record in records:
        if record.status == "ok":
            good.setdefault(record.probe, []).append(record)
    if latencies is None:
        latencies = pool(good.get("latency", []), samples, kinds)
    cell = _Cell(good, latencies)
    metrics: Metrics = {}
    for part in (_throughput, _latency, _syscalls, _memory, _faults, _passes, _verify, _stats):
        metrics.update(part(cell))
    return metrics


def process_time_ns(record: ProcessRecord, key: str = "warm_ns_per_op") -> float:
    """A process's one number: the median of its warm passes, NaN when it has none."""
    passes = record.result.get("throughput", {}).get(key, [])
    return float(np.median(passes)) if passes else math.nan


def replay_share(time_ns: float | None, floor_ns: float | None) -> float | None:
    """Of a time per operation, what the replay takes by itself: the null allocator's time on the
    same trace. At most 1: an allocator may be faster than the null allocator. None without both.
    """
    if not time_ns or floor_ns is None:
        return None
    share = floor_ns / time_ns
    return None if math.isnan(share) else min(1.0, share)


def _throughput(cell: _Cell) -> Metrics:
    records = cell.of("throughput")
    if not records:
        return {}
    times = [process_time_ns(record) for record in records]
    cold = [record.result["throughput"]["cold_ns_per_op"] for record in records]
    interval = median_interval(times, confidence=CONFIDENCE)
    metrics = {
        "time_per_op_ns": interval.estimate,
        "time_per_op_ns_interval": [interval.lower, interval.upper] if interval.bounded else None,
        "ops_per_second": 1e9 / interval.estimate if interval.estimate else None,
        "cold_time_per_op_ns": float(np.median(cold)),
    }
    helpers = [record.result["throughput"].get("helper_ns_per_op", 0.0) for record in records]
    metrics["helper_ns_per_op"] = float(np.median(helpers))
    build = [process_time_ns(record, "warm_build_ns_per_op") for record in records]
    if not np.isnan(build).any():
        metrics["build_time_per_op_ns"] = float(np.median(build))
    threads = [record.result["throughput"].get("thread_ns_per_op", ()) for record in records]
    if all(threads) and len({len(times) for times in threads}) == 1:
        metrics["thread_time_per_op_ns"] = np.median(threads, axis=0).tolist()
    return metrics


def _latency(cell: _Cell) -> Metrics:
    records = cell.of("latency")
    if not records:
        return {}
    clock, found = records[0].result["clock"], cell.latencies
    # Where a pair of readings costs less than the clock's step, the step is what can be told.
    floor_ns = max(clock["overhead_ns"], clock["step_ns"])
    metrics: Metrics = {
        "latency_ns": {
            kind: describe(pair, clock_ns=floor_ns) for kind, pair in found.by_kind.items()
        },
        "clock_floor_ns": floor_ns,
        "clock_step_ns": clock["step_ns"],
    }
    if found.touches[0].size:
        metrics["first_touch_ns"] = describe(found.touches)
    return metrics | cause_metrics(found)


# ---- Counts ------------------------------------------------------------------------------


def _syscalls(cell: _Cell) -> Metrics:
    records = cell.of("syscalls")
    if not records or "operation" not in records[0].result.get("syscalls", {}):
        return {}
    result = records[0].result
    counts = result["syscalls"]
    total = sum(counts["operation"].values())
    metrics = {
        "syscalls": {phase: counts[phase] for phase in ("init", "operation", "teardown")},
        "syscalls_per_op": total / result["operations"],
        "syscall_backend": counts["backend"],
    }
    if "threads" in counts:
        metrics["syscalls"]["threads"] = counts["threads"]
    by_thread = counts.get("thread_calls", ())
    return metrics | ({"thread_syscalls": list(by_thread)} if len(by_thread) > 1 else {})


# Of a trace with threads these differ from process to process, and have an interval.
_VARYING = ("peak_rss_bytes", "peak_mapped_bytes", "rss_after_free_bytes", "page_faults")


def _memory(cell: _Cell) -> Metrics:
    records = cell.of("memory")
    if not records:
        return {}
    memory = [record.result["memory"] for record in records]
    metrics: Metrics = {
        name: int(np.median([m[name] for m in memory])) for name in (*PEAK_BYTES, "page_faults")
    }
    for name in LEFT_BYTES:
        left = [m[name] for m in memory if m.get(name) is not None]
        metrics |= {name: int(np.median(left)) if left else None}
    if len(memory) > 1:
        for name in _VARYING:
            interval = median_interval([float(m[name]) for m in memory], confidence=CONFIDENCE)
            bounds = [int(interval.lower), int(interval.upper)] if interval.bounded else None
            metrics[f"{name}_interval"] = bounds
    metrics["fragmentation"] = _fragmentation(memory)
    return metrics


def _fragmentation(memory: Sequence[Mapping[str, Any]]) -> float | None:
    """Over the live peak that each process had itself: with threads it is not the trace's.

    None where less was resident than live: not all of it was touched.
    """
    live = [(m["peak_rss_bytes"], m["run_peak_live_bytes"]) for m in memory]
    if not all(bytes_ for _, bytes_ in live):
        return None
    found = float(np.median([rss / bytes_ - 1 for rss, bytes_ in live]))
    return found if found >= 0 else None


def _faults(cell: _Cell) -> Metrics:
    records = cell.of("faults")
    calls = [record.result["faults"]["call_faults"] for record in records]
    return {"page_faults_in_calls": int(np.median(calls))} if calls else {}


def _passes(cell: _Cell) -> Metrics:
    """How long a cold pass took under each probe: by how much that disturbs the allocator."""
    found: dict[str, float] = {}
    for probe in ("throughput", "syscalls", "memory", "footprint", "faults"):
        times = [pass_ns(record) for record in cell.of(probe)]
        if times and not np.isnan(times).any():
            found[probe] = float(np.median(times))
    return {"pass_ns": found} if found else {}


def pass_ns(record: ProcessRecord) -> float:
    """What a process's cold pass took; NaN where it does not say."""
    if record.probe == "throughput":
        cold = record.result["throughput"]["cold_ns_per_op"]
        return float(cold) * float(record.result.get("operations", math.nan))
    return float(record.result.get(record.probe, {}).get("pass_ns", math.nan))


def _verify(cell: _Cell) -> Metrics:
    return {"verified": True} if cell.of("verify") else {}


def _stats(cell: _Cell) -> Metrics:
    """What the allocator says of itself, after one pass: the counting probes' processes."""
    for probe in ("syscalls", "memory", "faults", "verify", "latency", "throughput"):
        for record in cell.of(probe):
            stats = record.result.get("allocator_stats")
            if stats:
                return {"allocator_stats": stats}
    return {}
