"""One metric of one scenario, of all arms, held against any of them.

The views of the matrix and the part of a program are made of these: a timed metric has a number a
round and is paired within it, a counted one what its processes counted.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from allocphase.analysis.baseline import Times
from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.analysis.measures import Measure
from allocphase.analysis.metrics import QUANTILES
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.probe.probe import Probe
from allocphase.report.content.ratios import Ratio, ratio
from allocphase.stats import Interval

__all__ = ["Compared", "Count", "count_ratio", "counted_value", "mean_ratio", "values_by_round"]


class Count(NamedTuple):
    """What the processes of a cell counted: their median, the least and the greatest; and how many
    they are.
    """

    value: float
    least: float
    greatest: float
    processes: int


@dataclass(frozen=True, slots=True, eq=False)
class Compared:
    """By arm; who has none is absent. A timed metric's values have shape (rounds,) and are NaN
    where a round has none; all arms have as many rounds.
    """

    measure: Measure
    values: Mapping[str, Times | Count]

    def ratio(self, base: str, name: str) -> Ratio | None:
        """An arm's figure over another one's; None where one of them has none."""
        return _ratio(self.values.get(base), self.values.get(name), itself=base == name)


def _ratio(
    base: Times | Count | None, candidate: Times | Count | None, *, itself: bool
) -> Ratio | None:
    if isinstance(base, Count) and isinstance(candidate, Count):
        return count_ratio(base, base if itself else candidate)
    if isinstance(base, np.ndarray) and isinstance(candidate, np.ndarray):
        return ratio(base, base if itself else candidate)
    return None


def count_ratio(base: Count, candidate: Count) -> Ratio:
    """Between the farthest ends of what their processes counted, which holds nothing of chance;
    unbounded where one of them is a single process, that nobody has confirmed.

    Of nothing and nothing it is 1, as it is of the baseline itself (the same object); over nothing
    infinite.
    """
    if base is candidate:
        return Ratio(Interval(1.0, 1.0, 1.0, 1.0), rounds=0)
    if min(base.processes, candidate.processes) < 2:
        alone = Interval(_over(candidate.value, base.value), 0.0, math.inf, 0.0)
        return Ratio(alone, rounds=0, counted=True)
    interval = Interval(
        _over(candidate.value, base.value),
        _over(candidate.least, base.greatest),
        _over(candidate.greatest, base.least),
        1.0,
    )
    return Ratio(interval, rounds=0, counted=True)


def _over(candidate: float, base: float) -> float:
    if base:
        return candidate / base
    return math.inf if candidate else 1.0


def mean_ratio(columns: Sequence[Compared], base: str, name: str) -> Ratio | None:
    """The geometric mean over scenarios of one metric; None where an arm lacks one of them, or
    counted nothing on one. Of times it is taken within a round, and then paired by round; of counts
    the ends are those of the means of all ends. Nothing is said of nanoseconds: those of means are
    nobody's.
    """
    means = [_mean([column.values.get(arm) for column in columns]) for arm in (base, name)]
    found = _ratio(*means, itself=base == name)
    return None if found is None else replace(found, saved_ns=None)


def _mean(values: Sequence[Times | Count | None]) -> Times | Count | None:
    times = [value for value in values if isinstance(value, np.ndarray)]
    counts = [value for value in values if isinstance(value, Count) and value.least > 0]
    if values and len(times) == len(values):
        means: Times = np.exp(np.mean(np.log(times), axis=0))
        return means
    if values and len(counts) == len(values):
        ends = np.exp(np.mean(np.log([count[:3] for count in counts]), axis=0))
        value, least, greatest = (float(end) for end in ends)
        return Count(value, least, greatest, min(count.processes for count in counts))
    return None


# ---- Out of a run ------------------------------------------------------------------------


def values_by_round(run: Run, allocator: str, scenario: str, one: Measure) -> Times | None:
    """A timed metric but the time itself, shape (rounds of the cell,); None where no round has it.

    Raises ValueError for a figure of the latencies that no process gives by itself.
    """
    if one.probe is Probe.LATENCY:
        values = _quantile_by_round(run, allocator, scenario, one)
    else:
        records = run.records_of(allocator, scenario)
        rounds = 1 + max((record.round for record in records), default=-1)
        values = ProcessMetrics().by_round(records, one, rounds=rounds)
    return values if np.isfinite(values).any() else None


def _quantile_by_round(run: Run, allocator: str, scenario: str, one: Measure) -> Times:
    """Of malloc's latency, each process's own."""
    name = one.path.rpartition(".")[2]
    if name not in QUANTILES:
        raise ValueError(f"{one.name} is no quantile of a process")
    records = [r for r in run.records_of(allocator, scenario) if r.probe is Probe.LATENCY and r.ok]
    values = np.full(1 + max((r.round for r in records), default=-1), np.nan)
    if records:
        mallocs = run.latencies(allocator, scenario).mallocs
        for record, found in zip(records, mallocs, strict=True):
            values[record.round] = found.get(name) or np.nan
    return values


def counted_value(run: Run, allocator: str, cell: Cell, one: Measure) -> Count | None:
    """None where it was not counted."""
    value, found = one.read(cell.metrics), one.range_of(cell.metrics)
    if math.isnan(value):
        return None
    records = run.records_of(allocator, cell.scenario)
    processes = sum(record.probe is one.probe and record.ok for record in records)
    least, greatest = (value, value) if found is None else found[:2]
    return Count(value, least, greatest, processes)
