"""Does a replay predict what a program would do under another allocator? The program and its replay
held side by side, in one run.

What is predicted is a *difference*: what one allocator takes more or less than the run's baseline.
A program does work of its own, which no replay has, and the same under every allocator; it falls
out of differences, and out of nothing else. What loading an allocator costs a process is in no
replay either: a program that does nothing is run beside, and what it takes comes off.

    time         ns a call of malloc's family that an allocator saves over the baseline: wall time
                 of both: what threads wait for each other is in both, and CPU time would have the
                 replay's short waits, which spin. Without what others had of its CPU where one
                 thread does nearly all. Of the replay its cold one, since a program builds up once;
                 paired by round
    peak_rss     bytes resident at most, more than under the baseline
    page_faults  likewise
    syscalls     likewise, of memory's system calls

A difference counts where the program's own interval excludes 0; of counts, where the ranges of
processes do not touch and it is more than a twentieth of the baseline's. It is predicted if the
replay's lies within WITHIN of it. If it does not, but lies within the program's own interval, it
cannot be told: the program itself does not know it better.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from allocphase.analysis.counts import CONFIDENCE
from allocphase.analysis.frames import Run
from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import pass_ns
from allocphase.analysis.program_metrics import MEMORY_CALLS, wall_time_ns
from allocphase.probe.probe import Probe
from allocphase.probe.result import Program
from allocphase.stats.interval import median_interval
from allocphase.stats.values import FloatArray
from allocphase.store.record import ProcessRecord

__all__ = ["METRICS", "WITHIN", "Difference", "Prediction", "Sides", "judged", "predictions"]

WITHIN = 0.15
# A count that differs by less is no difference that anybody would choose an allocator for.
_LEAST_SHARE = 0.05
METRICS = ("time", "peak_rss", "page_faults", "syscalls")


@dataclass(frozen=True, slots=True)
class Sides:
    """A difference to the baseline, with what encloses it; of one round both are infinite."""

    estimate: float
    lower: float
    upper: float

    @property
    def excludes_zero(self) -> bool:
        """Whether it is no chance."""
        return self.lower > 0.0 or self.upper < 0.0

    def holds(self, value: float) -> bool:
        """Whether that lies in it."""
        return self.lower <= value <= self.upper


@dataclass(frozen=True, slots=True)
class Difference:
    """Of one allocator to the baseline, in the program and in the replay. counts: whether the
    program's is one to be predicted.
    """

    allocator: str
    program: Sides
    replay: Sides
    counts: bool

    @property
    def error(self) -> float:
        """How far the replay's lies from the program's, as a share of the program's."""
        return abs(self.replay.estimate - self.program.estimate) / abs(self.program.estimate)

    @property
    def predicted(self) -> bool | None:
        """By the rule above, of one that counts; None where it cannot be told."""
        if self.error <= WITHIN:
            return True
        return None if self.program.holds(self.replay.estimate) else False


@dataclass(frozen=True, slots=True, kw_only=True)
class Prediction:
    """Of one metric in one mode of replay. predicted: None where the program shows no difference to
    predict, or does not know one well enough. within: the largest error of those that count, None
    without any. order: whether allocators come in the
    program's order wherever its differences are no chance; None where there are none.
    """

    metric: str
    mode: str
    differences: Sequence[Difference]
    predicted: bool | None
    within: float | None
    order: bool | None = None


def judged(
    metric: str, mode: str, differences: Sequence[Difference], *, order: bool | None = None
) -> Prediction:
    """What the differences of all allocators come to."""
    told = [one for one in differences if one.counts]
    verdicts = [one.predicted for one in told]
    predicted = None
    if told and None not in verdicts:
        predicted = all(verdicts)
    elif False in verdicts:
        predicted = False
    return Prediction(
        metric=metric,
        mode=mode,
        differences=differences,
        predicted=predicted,
        within=max(one.error for one in told) if told else None,
        order=order,
    )


def predictions(
    run: Run, *, program: str, nothing: str, replays: Mapping[str, str]
) -> list[Prediction]:
    """Every metric in every mode. program, nothing: the scenarios that are the program, and one
    that does nothing; replays: by mode the scenario that is its replay. What was not measured of
    both is left out.
    """
    found = []
    for mode, replay in replays.items():
        found.append(_times(run, program, nothing, replay, mode))
        for name, (whole, traced) in _READ.items():
            sides = _counts(run, (program, nothing), replay, whole, traced)
            found.append(judged(name, mode, sides))
    return [one for one in found if one.differences]


# ---- Times -------------------------------------------------------------------------------


def _times(run: Run, program: str, nothing: str, replay: str, mode: str) -> Prediction:
    (entry,) = [one for one in run.manifest.scenarios if one.name == replay]
    rounds = run.manifest.plan.rounds
    whole = {
        name: _program_ns(run, name, program, rounds) - _program_ns(run, name, nothing, rounds)
        for name in run.allocators
    }
    cold = {name: _cold_ns(run, name, replay, rounds) for name in run.allocators}
    calls = entry.operations

    def sides(times: Mapping[str, FloatArray], before: str, after: str) -> Sides:
        saved = median_interval(times[before] - times[after], confidence=CONFIDENCE)
        return Sides(saved.estimate / calls, saved.lower / calls, saved.upper / calls)

    base = run.baseline
    usable = [x for x in run.allocators if _has_pairs(whole, base, x) and _has_pairs(cold, base, x)]
    differences = []
    for name in usable if base is not None else ():
        if name != base:
            mine = sides(whole, str(base), name)
            differences.append(
                Difference(name, mine, sides(cold, str(base), name), mine.excludes_zero)
            )
    agrees = [
        _same_sign(sides(whole, *pair), sides(cold, *pair))
        for pair in combinations(usable, 2)
        if sides(whole, *pair).excludes_zero
    ]
    return judged("time", mode, differences, order=all(agrees) if agrees else None)


def _same_sign(one: Sides, other: Sides) -> bool:
    return math.copysign(1.0, one.estimate) == math.copysign(1.0, other.estimate)


def _has_pairs(times: Mapping[str, FloatArray], base: str | None, name: str) -> bool:
    return base in times and bool((np.isfinite(times[str(base)]) & np.isfinite(times[name])).any())


def _program_ns(run: Run, allocator: str, program: str, rounds: int) -> FloatArray:
    def read(record: ProcessRecord) -> float:
        return wall_time_ns(record.part(Program))

    return _by_round(run.records_of(allocator, program), Probe.PROGRAM, read, rounds)


def _cold_ns(run: Run, allocator: str, replay: str, rounds: int) -> FloatArray:
    """Of the whole first replay."""
    return _by_round(run.records_of(allocator, replay), Probe.THROUGHPUT, pass_ns, rounds)


def _by_round(
    records: Sequence[ProcessRecord],
    probe: Probe,
    read: Callable[[ProcessRecord], float],
    rounds: int,
) -> FloatArray:
    values = np.full(rounds, np.nan)
    for record in records:
        if record.probe is probe and record.ok and record.round < rounds:
            values[record.round] = read(record)
    return values


# ---- Counts ------------------------------------------------------------------------------

_Read = tuple[tuple[str, ...], tuple[str, ...]]
# The program's metric, and the replay's; several are added up.
_READ: Mapping[str, _Read] = {
    "peak_rss": (("program_peak_rss",), ("peak_rss",)),
    "page_faults": (("program_page_faults",), ("page_faults",)),
    "syscalls": (
        ("program_memory_syscalls",),
        tuple(f"syscalls.operation.{call}" for call in MEMORY_CALLS),
    ),
}


def _counts(
    run: Run,
    programs: tuple[str, str],
    replay: str,
    whole: tuple[str, ...],
    traced: tuple[str, ...],
) -> list[Difference]:
    """programs: the program, and the one that does nothing."""
    base = run.baseline
    if base is None:
        return []
    found = []
    for name in (x for x in run.allocators if x != base):
        mine, before = (_beyond_nothing(run, arm, programs, whole) for arm in (name, base))
        theirs, theirs_before = (_range(run, arm, replay, traced) for arm in (name, base))
        if mine is None or before is None or theirs is None or theirs_before is None:
            continue
        sides = _less(mine, before)
        counts = sides.excludes_zero and abs(sides.estimate) > _LEAST_SHARE * before.estimate
        found.append(Difference(name, sides, _less(theirs, theirs_before), counts))
    return found


def _beyond_nothing(
    run: Run, allocator: str, programs: tuple[str, str], names: tuple[str, ...]
) -> Sides | None:
    whole, nothing = (_range(run, allocator, scenario, names) for scenario in programs)
    return None if whole is None or nothing is None else _less(whole, nothing)


def _less(one: Sides, other: Sides) -> Sides:
    return Sides(one.estimate - other.estimate, one.lower - other.upper, one.upper - other.lower)


def _range(run: Run, allocator: str, scenario: str, names: tuple[str, ...]) -> Sides | None:
    """A cell's count, from its least to its greatest; None without one."""
    cells = [c for c in run.cell_list if (c.allocator, c.scenario) == (allocator, scenario)]
    metrics = cells[0].metrics if cells and cells[0].ok else {}
    parts = []
    for one in map(measure, names):
        value, ends = one.read(metrics), one.range_of(metrics)
        if math.isnan(value):
            return None
        parts.append((value, *(ends[:2] if ends else (value, value))))
    return Sides(*(sum(column) for column in zip(*parts, strict=True)))
