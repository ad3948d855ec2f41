"""A run of a sweep over threads whose truth is known: perfect scaling, none, and one in between."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from allocphase import scenario
from allocphase.analysis.frames import Run
from allocphase.probe.arrays import SLOW_CALL, Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.status import Status
from allocphase.run.describe import describe_scenario
from allocphase.run.traces import ops_arrays
from allocphase.stats.scaling import ideal_parallelism
from allocphase.store.manifest import ScenarioEntry
from allocphase.store.record import ProcessRecord
from allocphase.store.writer import RunWriter
from tests.support.manifests import allocator_entry, manifest_of, plan_entry
from tests.support.replays import with_warm_replays
from tests.support.runs import memory_part, result_of

__all__ = ["ALONE_NS", "ROUNDS", "write_scaled", "write_scaling"]

ROUNDS = 5
ALONE_NS = 20.0  # an operation of one thread
WARM = 2
# By allocator, operations at a time out of those that are possible at best; the floor among them.
AT_ONCE: Mapping[str, Callable[[float], float]] = {
    "null": lambda best: 5 * best,
    "perfect": lambda best: best,
    "half": lambda best: (1 + best) / 2,
    "serial": lambda _: 1.0,
}


def write_scaled(path: Path) -> Path:
    """The same, as other synthetic runs are written."""
    return write_scaling(path).path


def write_scaling(
    path: Path,
    *,
    spec: str = "glibc-thread?replacements=200",
    levels: Sequence[int] = (1, 2, 4, 8),
    cpus: int = 2,
) -> Run:
    """The scenario at each number of threads. A call of `serial` waits in every tenth operation
    where there are two threads or more, and makes a futex call in every fifth; a thread more takes
    a mebibyte.
    """
    (found,) = scenario.resolve(spec)
    chosen = [found.with_parameters({"threads": threads}) for threads in levels]
    traces = [scenario.generate(one) for one in chosen]
    entries = [
        describe_scenario(one, trace, digest=trace.digest)
        for one, trace in zip(chosen, traces, strict=True)
    ]
    writer = RunWriter(path)
    writer.write_manifest(
        manifest_of(
            [allocator_entry(name) for name in AT_ONCE],
            entries,
            label="scaling",
            plan=plan_entry(rounds=ROUNDS, cpus=tuple(range(cpus))),
        )
    )
    for index, trace in enumerate(traces):
        writer.write_operations(index, ops_arrays(trace.ops, trace.threads))
    number = 0
    for entry, threads in zip(entries, levels, strict=True):
        for allocator in AT_ONCE:
            for record, arrays in _processes(entry, allocator, threads, cpus):
                writer.add(replace(record, id=number), arrays)
                number += 1
    return Run(path)


def _processes(
    entry: ScenarioEntry, allocator: str, threads: int, cpus: int
) -> Iterator[tuple[ProcessRecord, Arrays]]:
    best = ideal_parallelism(entry.lane_operations, entry.span_operations, cpus=cpus)
    waits = allocator == "serial" and threads > 1
    for round_index in range(ROUNDS):
        # The machine is 10% slower from round to round: no speed-up is.
        time_ns = ALONE_NS * (1 + 0.1 * round_index) / AT_ONCE[allocator](best)
        part: dict[str, Any] = {"warm_ns_per_op": [time_ns] * 5, "cold_ns_per_op": 2 * time_ns}
        yield _record(entry, allocator, round_index, Probe.THROUGHPUT, part), {}
    if allocator == "null":
        return
    futex = {"futex": WARM * sum(entry.lane_operations) // 5} if waits else {}
    part = {"backend": "dispatch", "operation": {}, "warm": futex, "warm_replays": WARM}
    yield _record(entry, allocator, 0, Probe.SYSCALLS, part), {}
    part = memory_part(peak_rss_bytes=threads << 20)
    yield _record(entry, allocator, 0, Probe.MEMORY, part), {}
    arrays = with_warm_replays(_latencies(entry, waits), operations=entry.operations, warm=WARM)
    part = {"warm_replays": WARM}
    yield _record(entry, allocator, 0, Probe.LATENCY, part), _of_steady(entry, arrays)


def _latencies(entry: ScenarioEntry, waits: bool) -> Arrays:
    ticks = np.full(entry.operations, 100, dtype=np.uint32)
    slow = np.zeros(-(-entry.operations // 10) if waits else 0, dtype=SLOW_CALL)
    slow["op"], slow["sleeps"] = 10 * np.arange(slow.size), 1
    ticks[slow["op"]] = 5000
    return {"call_ticks": ticks, "touch_ticks": np.zeros_like(ticks), "slow": slow}


def _of_steady(entry: ScenarioEntry, arrays: Arrays) -> Arrays:
    """As of a trace of which the steady part is repeated: its first operations stand for it."""
    repeated = WARM * sum(entry.lane_operations)
    found = dict(arrays)
    for name in ("warm_call_ticks", "warm_touch_ticks"):
        found[name] = arrays[name][:repeated]
    found["warm_slow"] = arrays["warm_slow"][arrays["warm_slow"]["op"] < repeated]
    return found


def _record(
    entry: ScenarioEntry, allocator: str, round_index: int, probe: Probe, part: Mapping[str, Any]
) -> ProcessRecord:
    more = {"operations": entry.operations, "repeated_operations": sum(entry.lane_operations)}
    clock = {"hz": 1e9, "overhead_ns": 20.0, "step_ns": 10.0}
    return ProcessRecord(
        id=0,
        round=round_index,
        allocator=allocator,
        scenario=entry.name,
        probe=probe,
        status=Status.OK,
        message="",
        wall_s=0.1,
        result=result_of(probe.value, part, clock=clock, **more),
    )
