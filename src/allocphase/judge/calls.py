"""Which calls of a scenario differ between the arms of a gate: by kind, and by power of two.

From the latency processes whose samples the run directory has: those of the first round, in their
warm replays. A figure
is a process's own, without calls in which somebody else had the CPU and without what reading the
clock costs; an arm's is the median over its processes. What a class adds is its number of calls
times what its mean call takes more, over all operations of the trace: so the classes add up to what
the calls of the trace take more, by the operation. The twin says what they add where nothing
differs.

Place in the pipeline: beside the verdict, for who asks why; reads files, and starts nothing.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum, auto
from pathlib import Path

import numpy as np

from allocphase.analysis.latency import Replay, arrays_of
from allocphase.analysis.latency.calls import Weighted, undisturbed_calls
from allocphase.judge.evidence import BASELINE, CANDIDATE, TWIN
from allocphase.probe.arrays import Arrays
from allocphase.probe.consistency import repeated_count, repeated_places
from allocphase.probe.probe import Probe
from allocphase.probe.result import Latency
from allocphase.stats import quantiles
from allocphase.stats.values import median
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord

__all__ = ["LEAST_CALLS", "Call", "CallClass", "CallDifferences", "Unknown", "call_differences"]

# Of a class in each process: with fewer there is no call above p99, and a mean is one call's.
LEAST_CALLS = 100

# Name of a kind, and size class (analysis.latency.calls.size_classes).
CallClass = tuple[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Call:
    """One class of calls. calls: of the baseline's process; p50_ns, p99_ns: of baseline and
    candidate, at least 0; added_ns: an operation of the trace; twin_added_ns: the same of the
    baseline's twin, None where it has none.
    """

    group: CallClass
    calls: int
    p50_ns: tuple[float, float]
    p99_ns: tuple[float, float]
    added_ns: float
    twin_added_ns: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CallDifferences:
    """Of one scenario. told: what adds most first, or where all calls together take less, what
    saves most. thin: classes of too few calls, and thin_calls, how many these are together.
    processes: of the baseline and of the candidate. clock_ns: what was taken off each call. sized:
    whether frees are by the size of their objects, which they are not of a trace too long to keep
    each call.
    """

    told: Sequence[Call]
    thin: int
    thin_calls: int
    processes: tuple[int, int]
    clock_ns: float
    sized: bool


class Unknown(Enum):
    """Why no calls can be told: no latency of both arms was kept, or the baseline was saved, whose
    single calls never are.
    """

    NOT_KEPT = auto()
    SAVED = auto()


@dataclass(frozen=True, slots=True)
class _Figures:
    """Of one class in one process, without the clock's cost."""

    calls: int
    mean_ns: float
    p50_ns: float
    p99_ns: float


Figures = Mapping[CallClass, _Figures]


def call_differences(
    folder: Path, scenario: str, *, arms: tuple[str, str, str] = (BASELINE, TWIN, CANDIDATE)
) -> CallDifferences | Unknown:
    """`folder`: the run directory of a gate's session; it may have nothing left but its verdict.
    arms: what its baseline, twin and candidate are called there.

    Raises UsageError where its files are damaged.
    """
    if not (folder / "run.json").exists():
        return Unknown.NOT_KEPT
    files = RunFiles(folder)
    if arms[0] not in (entry.name for entry in files.manifest.allocators):
        return Unknown.SAVED
    base, twin, candidate = (_processes(files, arm, scenario) for arm in arms)
    if not base or not candidate:
        return Unknown.NOT_KEPT
    operations = files.operations(scenario)
    found = [
        [_figures(files, record, operations) for record in records]
        for records in (base, twin, candidate)
    ]
    replays = base[0].part(Latency).warm_replays
    told, thin = _told(found, replays * repeated_count(operations))
    clocks = [_clock_ns(record) for record in (*base, *twin, *candidate)]
    return CallDifferences(
        told=told,
        thin=len(thin),
        thin_calls=sum(thin),
        processes=(len(base), len(candidate)),
        clock_ns=median(np.array(clocks)),
        sized="thread_ops" not in operations,
    )


def _processes(files: RunFiles, arm: str, scenario: str) -> list[ProcessRecord]:
    return [
        record
        for record in files.processes()
        if (record.allocator, record.scenario, record.probe) == (arm, scenario, Probe.LATENCY)
        and record.ok
        and record.has_samples
    ]


def _clock_ns(record: ProcessRecord) -> float:
    return max(record.clock.overhead_ns, record.clock.step_ns)


def _figures(files: RunFiles, record: ProcessRecord, operations: Arrays) -> Figures:
    arrays = arrays_of(files.samples(record.id), Replay.WARM)
    repeated = repeated_places(operations)
    kinds, sizes = (operations[name][repeated] for name in ("kind", "size"))
    found = undisturbed_calls(record, arrays, kinds, sizes)
    return {group: _without_clock(pair, _clock_ns(record)) for group, pair in found.items()}


def _without_clock(pair: Weighted, clock_ns: float) -> _Figures:
    values, counts = pair
    p50, p99 = quantiles(values, [0.5, 0.99], counts=counts)
    return _Figures(
        calls=int(counts.sum()),
        mean_ns=float(np.average(values, weights=counts)) - clock_ns,
        p50_ns=max(float(p50) - clock_ns, 0.0),
        p99_ns=max(float(p99) - clock_ns, 0.0),
    )


def _told(found: Sequence[Sequence[Figures]], operations: int) -> tuple[list[Call], list[int]]:
    """The classes in their order, and how many calls each of those has that are not told. found: of
    the processes of baseline, twin and candidate.
    """
    groups = dict.fromkeys(
        group for arm in (found[0], found[2]) for process in arm for group in process
    )
    told, thin = list[Call](), list[int]()
    for group in groups:
        base, twin, candidate = (_middle(arm, group) for arm in found)
        calls = min(base.calls, candidate.calls) if base and candidate else 0
        if base is None or candidate is None or calls < LEAST_CALLS:
            thin.append(max(one.calls for one in (base, candidate) if one))
            continue
        share = base.calls / max(operations, base.calls)
        told.append(
            Call(
                group=group,
                calls=base.calls,
                p50_ns=(base.p50_ns, candidate.p50_ns),
                p99_ns=(base.p99_ns, candidate.p99_ns),
                added_ns=share * (candidate.mean_ns - base.mean_ns),
                twin_added_ns=share * (twin.mean_ns - base.mean_ns) if twin else None,
            )
        )
    falls = sum(call.added_ns for call in told) < 0.0
    told.sort(key=lambda call: call.added_ns, reverse=not falls)
    return told, thin


def _middle(processes: Sequence[Figures], group: CallClass) -> _Figures | None:
    """Of each figure the median over the processes; None where none has such calls."""
    own = [process[group] for process in processes if group in process]
    if not own:
        return None
    calls, *times = (
        median(np.array(column, dtype=np.float64))
        for column in zip(*((f.calls, f.mean_ns, f.p50_ns, f.p99_ns) for f in own), strict=True)
    )
    return _Figures(int(calls), *times)
