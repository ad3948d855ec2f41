"""From a cell's processes to its metrics: the figures of `--json`, in base units.

One process gives one number; a cell's time is the median over its processes, with an
order-statistic interval where there are enough of them. A count is what all of its processes agree
on, or else their median with the range. Latencies are pooled over processes: their percentiles
describe operations, not the uncertainty of a mean.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from allocphase.analysis.counts import CONFIDENCE, counted, counted_tables
from allocphase.analysis.latency import (
    QUANTILES,
    Latencies,
    Replay,
    cause_metrics,
    describe,
)
from allocphase.analysis.program_metrics import (
    malloc_call_metrics,
    program_metrics,
    program_syscall_metrics,
    wall_time_ns,
)
from allocphase.operation import KIND_NAMES
from allocphase.probe.counter_group import passes_of
from allocphase.probe.probe import Probe
from allocphase.probe.result import (
    Faults,
    Hardware,
    Instructions,
    Memory,
    Result,
    Syscalls,
    Throughput,
)
from allocphase.stats import median_interval
from allocphase.stats.values import median
from allocphase.store.record import ProcessRecord

__all__ = [
    "CONFIDENCE",
    "KIND_NAMES",
    "QUANTILES",
    "cell_metrics",
    "flatten",
    "hardware_per_op",
    "process_part_ns",
    "process_time_ns",
    "replay_share",
]

Metrics = dict[str, Any]

# What is told of the first replay has a prefix: what goes on is meant where nothing is said.
PREFIXES = {Replay.WARM: "", Replay.FIRST: "cold_"}


@dataclass(frozen=True, slots=True)
class _Cell:
    """The good processes of one cell, by probe, and their latencies."""

    by_probe: Mapping[Probe, Sequence[ProcessRecord]]
    latencies: Mapping[Replay, Latencies]

    def of(self, probe: Probe) -> Sequence[ProcessRecord]:
        return self.by_probe.get(probe, ())


def cell_metrics(
    records: Sequence[ProcessRecord], latencies: Mapping[Replay, Latencies] | None = None
) -> Metrics:
    """Every metric that the processes of one cell support; absent probes leave theirs out.

    latencies: of the same records, by latency.pool; without them nothing is said of any.
    """
    good: dict[Probe, list[ProcessRecord]] = {}
    for record in records:
        if record.ok:
            good.setdefault(record.probe, []).append(record)
    cell = _Cell(good, latencies or {})
    metrics: Metrics = {}
    for part in _PARTS:
        metrics.update(part(cell))
    metrics.update(program_metrics(cell.of(Probe.PROGRAM), cell.of(Probe.PROGRAM_MEMORY)))
    metrics.update(malloc_call_metrics(cell.of(Probe.PROGRAM_CALLS)))
    metrics.update(program_syscall_metrics(cell.of(Probe.PROGRAM_SYSCALLS)))
    return metrics


def process_time_ns(record: ProcessRecord) -> float:
    """A process's one number: the median of its warm replays, or the wall time of a program; NaN
    when it has neither.
    """
    if record.result.program is not None:
        return wall_time_ns(record.result.program)
    part = record.result.throughput
    return median(part.warm_ns_per_op if part else ())


def process_part_ns(record: ProcessRecord, part: str) -> float:
    """The same of the build or the drain alone, each as often as the process timed it by itself;
    NaN of a trace that has none.
    """
    found = record.result.throughput
    return median(getattr(found, f"{part}_ns_per_op") if found else ())


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
    }
    for name, values in (
        ("cold_time_per_op_ns", [part.cold_ns_per_op for part in parts]),
        ("helper_ns_per_op", [part.helper_ns_per_op for part in parts]),
    ):
        median_ns = _median_of_all(values)
        if median_ns is not None:
            metrics[name] = median_ns
    for part in ("build", "drain"):
        found = [process_part_ns(record, part) for record in records]
        if not np.isnan(found).any():
            metrics[f"{part}_time_per_op_ns"] = float(np.median(found))
    threads = [part.thread_ns_per_op for part in parts]
    if all(threads) and len({len(times) for times in threads}) == 1:
        metrics["thread_time_per_op_ns"] = np.median(threads, axis=0).tolist()
    return metrics


def _latency(cell: _Cell) -> Metrics:
    records = cell.of(Probe.LATENCY)
    if not records or not cell.latencies:
        return {}
    clock = records[0].clock
    # Where a pair of readings costs less than the clock's step, the step is what can be told.
    floor_ns = max(clock.overhead_ns, clock.step_ns)
    metrics: Metrics = {"clock_floor_ns": floor_ns, "clock_step_ns": clock.step_ns}
    for which, prefix in PREFIXES.items():
        found = cell.latencies[which]
        if found.by_kind:
            metrics[f"{prefix}latency_ns"] = {
                kind: describe(pair, clock_ns=floor_ns) for kind, pair in found.by_kind.items()
            }
        if found.touches[0].size:
            metrics[f"{prefix}first_touch_ns"] = describe(found.touches)
        metrics |= cause_metrics(found, prefix=prefix)
    if mallocs := _process_quantiles(cell.latencies[Replay.WARM]):
        metrics["process_latency_ns"] = {"malloc": mallocs}
    return metrics


def _process_quantiles(found: Latencies) -> dict[str, float | None]:
    """Of malloc: the medians of each process's own quantiles, None where one has none; empty where
    nobody has any.
    """
    medians = {name: _median_of_all([one.get(name) for one in found.mallocs]) for name in QUANTILES}
    return medians if any(median is not None for median in medians.values()) else {}


def _median_of_all(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return float(np.median(known)) if known and len(known) == len(values) else None


# ---- Counts ------------------------------------------------------------------------------


def _syscalls(cell: _Cell) -> Metrics:
    records = [r for r in cell.of(Probe.SYSCALLS) if r.part(Syscalls).operation is not None]
    if not records:
        return {}
    parts = [record.part(Syscalls) for record in records]
    rates = [
        sum((part.operation or {}).values()) / record.result.operations
        for part, record in zip(parts, records, strict=True)
    ]
    steady = [
        _by_repeated(sum((part.warm or {}).values()), part.warm_replays, record)
        for part, record in zip(parts, records, strict=True)
    ]
    return {
        **_phases(parts),
        **counted("syscalls_per_op", rates),
        **counted("steady_syscalls_per_op", steady),
        "syscall_backend": parts[0].backend,
        **_thread_syscalls([part.thread_calls for part in parts]),
    }


def _by_repeated(count: int, warm_replays: int, record: ProcessRecord) -> float | None:
    """Of what was counted in the warm replays of a process, how much an operation."""
    repeated = warm_replays * record.result.repeated_operations
    return count / repeated if repeated else None


def _phases(parts: Sequence[Syscalls]) -> Metrics:
    """By phase and name. Where processes differ, a phase has a total of its own: the median of
    their sums is not the sum of the medians.
    """
    metrics: dict[str, Metrics] = {"syscalls": {}}
    for phase in ("init", "operation", "teardown", "threads"):
        tables = [table for part in parts if (table := getattr(part, phase)) is not None]
        if not tables:
            metrics["syscalls"] |= {} if phase == "threads" else {phase: None}
            continue
        found = counted_tables(phase, tables)
        metrics["syscalls"][phase] = found[phase]
        if f"{phase}_range" in found:
            metrics.setdefault("syscalls_range", {})[phase] = found[f"{phase}_range"]
            total = counted_tables(
                "syscalls_total", [{phase: sum(table.values())} for table in tables]
            )
            for name, values in total.items():
                metrics.setdefault(name, {}).update(values)
    return dict(metrics)


def _thread_syscalls(by_process: Sequence[Sequence[int]]) -> Metrics:
    """A list by thread, where there are several; so are the ranges, where any has one.

    Processes of one trace have the same threads; where a file says otherwise, nothing is told.
    """
    if len({len(calls) for calls in by_process}) > 1:
        return {}
    threads = [counted("calls", calls) for calls in zip(*by_process, strict=True)]
    if len(threads) < 2:
        return {}
    metrics: Metrics = {"thread_syscalls": [one["calls"] for one in threads]}
    if any(len(one) > 1 for one in threads):
        metrics["thread_syscalls_range"] = [one.get("calls_range") for one in threads]
    return metrics


# Of every process, and of a plug-in's, which has a teardown.
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


def _memory(cell: _Cell) -> Metrics:
    memory = [record.part(Memory) for record in cell.of(Probe.MEMORY)]
    if not memory:
        return {}
    metrics: Metrics = {}
    for name in (*_TOTALS, *_LEFT):
        metrics |= counted(name, [getattr(part, name) for part in memory])
    return metrics | _fragmentation(memory)


def _fragmentation(memory: Sequence[Memory]) -> Metrics:
    """Over the live peak that each process had itself: with threads it is not the trace's.

    None where less was resident than live: not all of it was touched.
    """
    if not all(part.run_peak_live_bytes for part in memory):
        return {"fragmentation": None}
    found = counted("fragmentation", [p.peak_rss_bytes / p.run_peak_live_bytes - 1 for p in memory])
    return found if found["fragmentation"] >= 0 else {"fragmentation": None}


def _faults(cell: _Cell) -> Metrics:
    records = cell.of(Probe.FAULTS)
    if not records:
        return {}
    parts = [record.part(Faults) for record in records]
    steady = [
        _by_repeated(part.warm_call_faults + part.warm_touch_faults, part.warm_replays, record)
        for part, record in zip(parts, records, strict=True)
    ]
    return {
        **counted("page_faults_in_calls", [part.call_faults for part in parts]),
        **counted("steady_page_faults_per_op", steady),
    }


def _instructions(cell: _Cell) -> Metrics:
    """An operation, and by kind a call: what callgrind has counted of the allocator alone."""
    records = cell.of(Probe.INSTRUCTIONS)
    if not records:
        return {}
    parts = [record.part(Instructions) for record in records]
    operations = [record.result.repeated_operations for record in records]
    by_call = [
        {call: part.counted.get(call, 0) / made for call, made in part.calls.items() if made}
        for part in parts
    ]
    by_function = [
        {one.name: one.instructions / count for one in part.functions}
        for part, count in zip(parts, operations, strict=True)
    ]
    each = [sum(p.counted.values()) / n for p, n in zip(parts, operations, strict=True)]
    return {
        **_simulated(parts, operations),
        **counted("instructions_per_op", each),
        **counted_tables("instructions", by_call, absent=None),
        **counted_tables("instruction_functions", by_function),
    }


def _simulated(parts: Sequence[Instructions], operations: Sequence[int]) -> Metrics:
    """An operation; nothing where not all processes simulated the same caches."""
    found = [part.simulated for part in parts]
    if None in found or len({one.caches for one in found if one is not None}) > 1:
        return {}
    metrics: Metrics = {}
    for name in ("l1_misses", "ll_misses", "mispredictions"):
        values = [getattr(one, name) / n for one, n in zip(found, operations, strict=True)]
        metrics |= counted(f"simulated_{name}_per_op", values)
    return metrics


def hardware_per_op(records: Sequence[ProcessRecord]) -> dict[str, float]:
    """By event: of each process the median of its passes, and of these the median; those that all
    processes with counters have.
    """
    found = [each for record in records if (each := _hardware_of(record))]
    return {
        event: float(np.median([each[event] for each in found]))
        for event in (found[0] if found else ())
        if all(event in each for each in found)
    }


def _hardware_of(record: ProcessRecord) -> dict[str, float]:
    part = record.part(Hardware)
    operations = part.replays_per_pass * record.result.repeated_operations
    passes = passes_of(part.readings, part.events)
    if not operations or not passes:
        return {}
    return {
        event: float(np.median([one.counts[event] for one in passes])) / operations
        for event in part.events
    }


def _hardware(cell: _Cell) -> Metrics:
    found = hardware_per_op(cell.of(Probe.HARDWARE))
    return {"hardware_per_op": found} if found else {}


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
        cold_ns = record.part(Throughput).cold_ns_per_op
        return math.nan if cold_ns is None else cold_ns * (result.operations or math.nan)
    said = getattr(result.of(record.probe), "pass_ns", None)
    return math.nan if said is None else float(said)


def _verify(cell: _Cell) -> Metrics:
    return {"verified": True} if cell.of(Probe.VERIFY) else {}


# One of memory makes one replay; the others make warm ones too.
_COUNTING = (Probe.MEMORY, Probe.SYSCALLS, Probe.FAULTS, Probe.VERIFY)


def _stats(cell: _Cell) -> Metrics:
    """What the allocator says of itself, after one replay: the counting probes' processes."""
    for probe in (*_COUNTING, Probe.LATENCY, Probe.THROUGHPUT):
        tables = [stats for r in cell.of(probe) if (stats := r.result.allocator_stats)]
        if tables:
            return counted_tables("allocator_stats", tables, absent=None)
    return {}


_PARTS: Sequence[Callable[[_Cell], Metrics]] = (
    _throughput,
    _latency,
    _syscalls,
    _memory,
    _faults,
    _instructions,
    _hardware,
    _passes,
    _verify,
    _stats,
)


def flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    """One level, with dots where there were more: `latency_ns.malloc.p99`."""
    flat: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat.update(flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat
