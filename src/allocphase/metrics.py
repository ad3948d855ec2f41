"""From a cell's processes to its metrics: the figures of `--json`, in base units.

One process gives one number; a cell's figure is the median over its processes, with an
order-statistic interval where there are enough of them. Latencies are pooled over processes:
their percentiles describe operations, not the uncertainty of a mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.result import ProcessRecord
from allocphase.samples import Arrays, bucket_midpoints
from allocphase.stats import median_interval, quantiles

__all__ = ["CONFIDENCE", "KIND_NAMES", "QUANTILES", "SampleReader", "cell_metrics"]

# driver/trace.h: enum trace_kind; and the free of what another thread used last.
KIND_NAMES = (
    "malloc",
    "calloc",
    "realloc",
    "aligned_alloc",
    "free",
    "free_foreign",
    "write",
    "free_remote",
)
LAST_ALLOCATION = KIND_NAMES.index("aligned_alloc")
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}
# Five rounds bound a median at 93.75%; asking for 95% would leave it open until the sixth.
CONFIDENCE = 0.9

SampleReader = Callable[[int], Arrays]
Metrics = dict[str, Any]


@dataclass(frozen=True, slots=True)
class _Cell:
    """The good processes of one cell, by probe."""

    by_probe: Mapping[str, Sequence[ProcessRecord]]
    samples: SampleReader
    kinds: npt.NDArray[np.uint8]

    def of(self, probe: str) -> Sequence[ProcessRecord]:
        return self.by_probe.get(probe, ())


def cell_metrics(
    records: Sequence[ProcessRecord], samples: SampleReader, kinds: npt.NDArray[np.uint8]
) -> Metrics:
    """Every metric that the processes of one cell support; absent probes leave theirs out.

    kinds: the kind of each operation of the trace, shape (ops,), as the samples are ordered.
    """
    good: dict[str, list[ProcessRecord]] = {}
    for record in records:
        if record.status == "ok":
            good.setdefault(record.probe, []).append(record)
    cell = _Cell(good, samples, kinds)
    metrics: Metrics = {}
    for part in (_throughput, _latency, _syscalls, _memory, _verify, _stats):
        metrics.update(part(cell))
    return metrics


def process_time_ns(record: ProcessRecord, key: str = "warm_ns_per_op") -> float:
    """A process's one number: the median of its warm passes, NaN when it has none."""
    passes = record.result.get("throughput", {}).get(key, [])
    return float(np.median(passes)) if passes else math.nan


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
    build = [process_time_ns(record, "warm_build_ns_per_op") for record in records]
    if not np.isnan(build).any():
        metrics["build_time_per_op_ns"] = float(np.median(build))
    return metrics


# ---- Latency ---------------------------------------------------------------------------


def _latency(cell: _Cell) -> Metrics:
    records = cell.of("latency")
    if not records:
        return {}
    pooled = _pooled_calls(cell, records)
    clock = records[0].result["clock"]
    metrics: Metrics = {
        "latency_ns": {kind: _describe(*pair) for kind, pair in pooled.items()},
        "clock_floor_ns": clock["overhead_ns"],
        "clock_step_ns": clock["step_ns"],
    }
    touches = _pooled_touches(cell, records)
    if touches[0].size:
        metrics["first_touch_ns"] = _describe(*touches)
    return metrics


Weighted = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]


def _ns_per_tick(record: ProcessRecord) -> float:
    return 1e9 / float(record.result["clock"]["hz"])


def _pooled_calls(cell: _Cell, records: Sequence[ProcessRecord]) -> dict[str, Weighted]:
    """(ns, count) pairs by kind of operation, over all processes."""
    parts: dict[str, list[Weighted]] = {}
    for record in records:
        arrays = cell.samples(record.id)
        for kind, name in enumerate(KIND_NAMES):
            pair = _calls_of_kind(arrays, cell.kinds, kind)
            if pair is not None and name != "write":
                parts.setdefault(name, []).append((pair[0] * _ns_per_tick(record), pair[1]))
    return {name: _concatenate(pairs) for name, pairs in parts.items()}


def _calls_of_kind(arrays: Arrays, kinds: npt.NDArray[np.uint8], kind: int) -> Weighted | None:
    if "call_ticks" in arrays:
        ticks = arrays["call_ticks"][kinds == kind]
        return _counted(ticks) if ticks.size else None
    counts = arrays["call_histogram"][kind].sum(axis=0).astype(np.int64)
    return (bucket_midpoints()[counts > 0], counts[counts > 0]) if counts.any() else None


def _counted(ticks: npt.NDArray[np.uint32]) -> Weighted:
    """Each value once: a clock that moves in steps gives few different ones."""
    values, counts = np.unique(ticks, return_counts=True)
    return values.astype(np.float64), counts.astype(np.int64)


def _pooled_touches(cell: _Cell, records: Sequence[ProcessRecord]) -> Weighted:
    pairs: list[Weighted] = []
    for record in records:
        arrays = cell.samples(record.id)
        if "touch_ticks" in arrays:
            pair = _counted(arrays["touch_ticks"][cell.kinds <= LAST_ALLOCATION])
        else:
            counts = arrays["touch_histogram"].sum(axis=(0, 1)).astype(np.int64)
            pair = (bucket_midpoints()[counts > 0], counts[counts > 0])
        pairs.append((pair[0] * _ns_per_tick(record), pair[1]))
    return _concatenate(pairs)


def _concatenate(pairs: Sequence[Weighted]) -> Weighted:
    return np.concatenate([p[0] for p in pairs]), np.concatenate([p[1] for p in pairs])


def _describe(values: npt.NDArray[np.float64], counts: npt.NDArray[np.int64]) -> Metrics:
    """Quantiles that at least one observation lies above; the others are None."""
    total = int(counts.sum())
    found = quantiles(values, list(QUANTILES.values()), counts=counts)
    described: Metrics = {
        name: float(value) if round(total * (1 - q), 6) >= 1 else None
        for (name, q), value in zip(QUANTILES.items(), found, strict=True)
    }
    described["max"] = float(values.max())
    described["mean"] = float(np.average(values, weights=counts))
    described["samples"] = total
    return described


# ---- Counts ------------------------------------------------------------------------------


def _syscalls(cell: _Cell) -> Metrics:
    records = cell.of("syscalls")
    if not records or "operation" not in records[0].result.get("syscalls", {}):
        return {}
    result = records[0].result
    counts = result["syscalls"]
    total = sum(counts["operation"].values())
    return {
        "syscalls": {phase: counts[phase] for phase in ("init", "operation", "teardown")},
        "syscalls_per_op": total / result["operations"],
        "syscall_backend": counts["backend"],
    }


def _memory(cell: _Cell) -> Metrics:
    records = cell.of("memory")
    if not records:
        return {}
    memory = [record.result["memory"] for record in records]
    names = ("peak_live_bytes", "peak_mapped_bytes", "peak_rss_bytes", "rss_after_free_bytes")
    metrics: Metrics = {name: int(np.median([m[name] for m in memory])) for name in names}
    faults = {
        key: int(np.median([m[f"{key}_faults"] for m in memory])) for key in ("call", "touch")
    }
    live = metrics["peak_live_bytes"]
    metrics["page_faults"] = sum(faults.values())
    metrics["page_faults_in_calls"] = faults["call"]
    metrics["fragmentation"] = metrics["peak_rss_bytes"] / live - 1 if live else None
    return metrics


def _verify(cell: _Cell) -> Metrics:
    return {"verified": True} if cell.of("verify") else {}


def _stats(cell: _Cell) -> Metrics:
    """What the allocator says of itself, after one pass: the counting probes' processes."""
    for probe in ("syscalls", "memory", "verify", "latency", "throughput"):
        for record in cell.of(probe):
            stats = record.result.get("allocator_stats")
            if stats:
                return {"allocator_stats": stats}
    return {}
