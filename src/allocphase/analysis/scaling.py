"""Scaling: a scenario at several numbers of threads, and what more of them are good for.

Throughput is operations a second: levels need not do the same work, and whether each thread has as
much at every level or all of them together is told. The ideal is what the trace itself allows on
the CPUs that the run had (stats/scaling.py): flat beyond them, and below a CPU a thread where one
has more to do than the others, or they wait for each other by design.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.analysis.metrics import CONFIDENCE
from allocphase.analysis.sweep import Sweep, process_times, sweeps
from allocphase.probe.probe import Probe
from allocphase.probe.result import Syscalls
from allocphase.stats.scaling import Speedup, ideal_parallelism, speedups
from allocphase.stats.values import FloatArray
from allocphase.store.manifest import ScenarioEntry
from allocphase.store.record import ProcessRecord

__all__ = ["THREADS", "Level", "ScalingPoint", "levels_of", "scaling", "thread_sweeps", "work_of"]

THREADS = "threads"  # the parameter, of every family that has threads
_SAME = 0.1  # numbers of operations that differ by no more are the same


@dataclass(frozen=True, slots=True)
class Level:
    """A number of threads. `at_once`: how many operations at a time there are at best; `shared`:
    whether more would be possible with a CPU for each thread; `operations`: of a replay, of what is
    repeated.
    """

    threads: int
    scenario: str
    operations: int
    at_once: float
    shared: bool


@dataclass(frozen=True, slots=True)
class ScalingPoint:
    """An allocator at one level; None where it was not measured.

    first: whether it is the level that speed-ups are over. ops_per_second: median of the processes;
    ideal_per_second: at best, going by the first level's. futex_per_op: futex calls in the
    allocator's own functions, in warm replays; waited: of timed calls, the share that slept or met
    another thread at the driver's lock. rss_bytes_per_thread: peak RSS over the threads.
    """

    level: Level
    first: bool
    ops_per_second: float | None
    ideal_per_second: float | None
    speedup: Speedup | None
    ideal_speedup: float
    futex_per_op: float | None
    waited: float | None
    rss_bytes_per_thread: float | None


def thread_sweeps(run: Run) -> list[Sweep]:
    """Those over the number of threads, in the order of the run's scenarios."""
    return [sweep for sweep in sweeps(run) if sweep.parameter == THREADS]


def levels_of(run: Run, sweep: Sweep) -> list[Level]:
    """What the traces are at each number of threads."""
    cpus = len(run.manifest.plan.cpus)
    entries = {entry.name: entry for entry in run.manifest.scenarios}
    return [
        _level(entries[scenario], int(threads), cpus=cpus)
        for threads, scenario in zip(sweep.values, sweep.scenarios, strict=True)
    ]


def _level(entry: ScenarioEntry, threads: int, *, cpus: int) -> Level:
    """What has no trace has as many lanes as threads, and they have equal work."""
    loads = entry.lane_operations or (1,) * threads
    span = entry.span_operations if entry.lane_operations else 1
    at_once = ideal_parallelism(loads, span, cpus=cpus)
    apart = ideal_parallelism(loads, span, cpus=len(loads))
    return Level(
        threads=threads,
        scenario=entry.name,
        operations=sum(entry.lane_operations),
        at_once=at_once,
        shared=threads > cpus and apart > 1.01 * at_once,
    )


def work_of(levels: Sequence[Level]) -> str:
    """ "each": every thread has the same work at each level; "total": all of them together have;
    "": neither, or it is not known.
    """
    total = np.array([level.operations for level in levels], dtype=np.float64)
    threads = np.array([level.threads for level in levels], dtype=np.float64)
    for name, values in (("total", total), ("each", total / threads)):
        if values.min() > 0 and values.max() / values.min() - 1 <= _SAME:
            return name
    return ""


def scaling(run: Run, sweep: Sweep, allocator: str) -> list[ScalingPoint]:
    """A point a level, in their order."""
    levels = levels_of(run, sweep)
    rates = 1e9 / process_times(run, sweep, allocator)
    ideal = np.array([level.at_once for level in levels])
    found = speedups(rates, ideal, confidence=CONFIDENCE) if rates.size else [None] * len(levels)
    medians = _medians(rates)
    cells = {cell.scenario: cell for cell in run.cell_list if cell.allocator == allocator}
    first = medians[0]
    return [
        ScalingPoint(
            level=level,
            first=level is levels[0],
            ops_per_second=median,
            ideal_per_second=None if first is None else first * level.at_once / ideal[0],
            ideal_speedup=level.at_once / ideal[0],
            speedup=None if one is None or np.isnan(one.ratio.estimate) else one,
            futex_per_op=_futex_per_op(run.records_of(allocator, level.scenario)),
            waited=_waited(cells.get(level.scenario)),
            rss_bytes_per_thread=_rss_per_thread(cells.get(level.scenario), level.threads),
        )
        for level, median, one in zip(levels, medians, found, strict=True)
    ]


def _medians(rates: FloatArray) -> list[float | None]:
    return [
        float(np.nanmedian(column)) if np.isfinite(column).any() else None for column in rates.T
    ]


def _futex_per_op(records: Sequence[ProcessRecord]) -> float | None:
    """The median of the processes that saw warm replays."""
    found = []
    for record in records:
        if record.probe is Probe.SYSCALLS and record.ok:
            part = record.part(Syscalls)
            repeated = part.warm_replays * record.result.repeated_operations
            if part.warm is not None and repeated:
                found.append(part.warm.get("futex", 0) / repeated)
    return float(np.median(found)) if found else None


def _waited(cell: Cell | None) -> float | None:
    calls = {} if cell is None else cell.metrics.get("cause_calls", {})
    total = sum(calls.values())
    return calls["waited"] / total if total else None


def _rss_per_thread(cell: Cell | None, threads: int) -> float | None:
    peak = None if cell is None else cell.metrics.get("peak_rss_bytes")
    return None if peak is None else peak / threads
