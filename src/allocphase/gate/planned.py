"""The rows that a gate will judge, and why others that the limits leave on are not among them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from allocphase.analysis.comparable import holds, not_holding
from allocphase.analysis.measures import QUANTILES
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.gate.request import GateRequest
from allocphase.judge import Row, planned_rows
from allocphase.scenario import Program, generate
from allocphase.trace.records import Kind, Part, Trace, kind_of

__all__ = ["Planned", "planned_in"]

# A quantile with fewer calls of a process beyond it is not gated. Two processes alike differed by
# two thirds where 20 lay beyond, by a third or less from 50 on (standard deviation, of p99.9).
CALLS_BEYOND = 50


@dataclass(frozen=True, slots=True)
class Planned:
    """The rows of a gate; left_out: why some that the limits leave on are not among them;
    mismatch: which do not hold on this machine, and why.
    """

    rows: Sequence[Row]
    left_out: Sequence[str]
    mismatch: Sequence[str] = ()


def planned_in(request: GateRequest) -> Planned:
    """What a gate will judge. Raises as `run_gate`."""
    rows = planned_rows(
        [scenario.name for scenario in request.scenarios],
        request.limits,
        programs={one.name for one in request.scenarios if isinstance(one, Program)},
    )
    rows = [row for row in rows if row.measure.name not in _PARTS or _has_part(request, row)]
    thin = _thin(request, rows) | _not_simulated(request, rows)
    rows = [row for row in rows if row.id not in thin]
    saved, mismatch = request.saved, list[str]()
    left_out = list(thin.values())
    if saved:
        lacking = [row for row in rows if (row.measure.name, row.scenario) not in saved.values]
        rows = [row for row in rows if row not in lacking]
        left_out += _never_saved(lacking)
        mismatch = not_holding((row.measure for row in rows), saved.differing)
        rows = [r for r in rows if saved.allow_mismatch or holds(r.measure, saved.differing)]
    if not rows:
        reason = "; ".join([*left_out, *mismatch]) or "every row is off"
        raise NothingMeasuredError(f"nothing is left to measure: {reason}")
    return Planned(rows, left_out, mismatch)


def _never_saved(rows: Sequence[Row]) -> list[str]:
    """A line a metric that the saved baseline lacks, such as every time of one of counts. Raises
    NothingMeasuredError where a limit names that very row.
    """
    by_metric: dict[str, list[str]] = {}
    for row in rows:
        if row.rule.required:
            raise NothingMeasuredError(f"{row.id} is not gated: the saved baseline has none of it")
        by_metric.setdefault(row.measure.name, []).append(row.scenario)
    return [
        f"{metric} is not gated: the saved baseline has none of {', '.join(scenarios)}"
        for metric, scenarios in by_metric.items()
    ]


def _not_simulated(request: GateRequest, rows: Sequence[Row]) -> dict[str, str]:
    """By row, that nobody asked for what it counts. Raises UsageError where a limit names it."""
    if request.simulated_caches:
        return {}
    found = {}
    for row in (one for one in rows if one.measure.simulated):
        found[row.id] = f"{row.id} is not gated: it is simulated where --cache-sim asks for it"
        if row.rule.required:
            raise UsageError(found[row.id])
    return found


def _thin(request: GateRequest, rows: Sequence[Row]) -> dict[str, str]:
    """By row, why a quantile is not gated: what a few calls say is chance. Raises UsageError where
    a limit names that very row.
    """
    found = {}
    for scenario in request.scenarios:
        tails = [r for r in rows if r.scenario == scenario.name and r.measure.name in QUANTILES]
        if not tails or isinstance(scenario, Program):
            continue
        calls = _timed_mallocs(generate(scenario))
        for row in tails:
            beyond = round(calls * (1.0 - QUANTILES[row.measure.name]))
            if beyond >= CALLS_BEYOND:
                continue
            lie = "1 call lies" if beyond == 1 else f"{beyond} calls lie"
            reason = f"{row.id} is not gated: {lie} beyond it in a process, {CALLS_BEYOND} must"
            if row.rule.required:
                raise UsageError(f"{reason}: take a lower quantile or a longer scenario")
            found[row.id] = reason
    return found


def _timed_mallocs(trace: Trace) -> int:
    """How many calls of malloc a latency process times in its warm replays."""
    mallocs = np.count_nonzero(kind_of(trace.ops[trace.repeated()]) == Kind.MALLOC)
    return int(mallocs) * trace.warm_replays


# What a process times by itself of scenarios that have it.
_PARTS = {"build_time": Part.BUILD, "drain_time": Part.DRAIN}


def _has_part(request: GateRequest, row: Row) -> bool:
    """Only a scenario with a build part has a time of it: a glob must not ask for the others."""
    chosen = next(one for one in request.scenarios if one.name == row.scenario)
    assert not isinstance(chosen, Program), "a program has no parts, and no row of one"
    return generate(chosen).part_ops(_PARTS[row.measure.name]) > 0
