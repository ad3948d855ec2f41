"""One run's cells against its baseline's, or the cells of two runs against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.analysis import frames
from allocphase.analysis.comparable import not_holding
from allocphase.analysis.discrepancy import INSTRUCTIONS, TIME, Change, discrepancy
from allocphase.analysis.frames import Run
from allocphase.analysis.measures import MEASURES, Measure
from allocphase.analysis.metric_names import compared, measure
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.compare.pairs import between_runs, lost_cells, within_run
from allocphase.compare.rows import (
    ALPHA,
    DEFAULT_METRICS,
    CompareRow,
    compared_rows,
    wanted_rows,
)
from allocphase.errors import NothingMeasuredError
from allocphase.judge.render.words import percent
from allocphase.stats import Verdict, least_processes
from allocphase.text.units import counted

__all__ = ["CompareSettings", "ComparedRuns", "compare_runs", "compared_metrics"]

# commands/run.py: what -r takes.
MAX_ROUNDS = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings:
    """baseline: an allocator of the run, None for the default (of one run only). metrics: None for
    those of DEFAULT_METRICS, and for what the runs were asked for beside the usual.
    """

    baseline: str | None = None
    theta: float = 0.02
    memory_theta: float = 0.05
    metrics: Sequence[str] | None = None


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """The rows, what they were compared with, and what a reader must know of them."""

    against: str
    rows: tuple[CompareRow, ...]
    notes: tuple[str, ...]


def compare_runs(paths: Sequence[Path], settings: CompareSettings) -> ComparedRuns:
    """Compares the cells of one run with its baseline's, or the cells of two runs.

    Raises UsageError for a baseline that did not run, ScenarioChangedError for two runs whose
    scenarios differ under one name, NothingMeasuredError when no cell has a partner, none of the
    metrics may be compared, or no cell has one of them on both sides.
    """
    runs = [frames.load(path) for path in paths]
    if len(runs) == 1:
        found = within_run(runs[0], settings.baseline)
    else:
        found = between_runs(runs[0], runs[1], settings.baseline)
    metrics = compared_metrics(runs, settings)
    rows = compared_rows(
        wanted_rows(
            found.pairs,
            metrics=metrics,
            holds=found.holds,
            theta=settings.theta,
            memory_theta=settings.memory_theta,
        )
    )
    mismatch = not_holding(map(compared, metrics), found.differing)
    if not rows:
        reason = (
            "; ".join(mismatch)
            or "a quick run's times are not compared, nor is what no scenario has"
        )
        raise NothingMeasuredError(f"there is nothing to compare: {reason}")
    if all(row.verdict is None for row in rows):
        lost = lost_cells(found.pairs).values()
        reason = next(iter(lost), f"no process has a figure of {', '.join(metrics)}")
        raise NothingMeasuredError(f"nothing was measured of both sides: {reason}")
    notes = [*found.notes, *(f"different machines: {line}" for line in mismatch)]
    return ComparedRuns(found.against, tuple(rows), (*notes, *_doubts(rows), *_discrepancies(rows)))


def compared_metrics(runs: Sequence[Run], settings: CompareSettings) -> Sequence[str]:
    """Names of what is compared in all of these runs."""
    return settings.metrics or [*DEFAULT_METRICS, *_asked_for(runs)]


def _asked_for(runs: Sequence[Run]) -> list[str]:
    """Metrics of probes that run only where they are asked for, which all of these have."""
    asked = (one for one in MEASURES.values() if not one.probe.usual)
    return [one.name for one in asked if all(_has(run, one) for run in runs)]


def _has(run: Run, one: Measure) -> bool:
    """Whether its first good process has it: caches are simulated in all of a run or in none."""
    first = next((r for r in run.records if r.probe is one.probe and r.ok), None)
    return first is not None and not math.isnan(one.read(ProcessMetrics().of(first)))


def _discrepancies(rows: Sequence[CompareRow]) -> list[str]:
    """Of each cell, where its time and its instructions do not tell the same."""
    cells: dict[tuple[str, str], dict[str, Change]] = {}
    for row in rows:
        cells.setdefault((row.allocator, row.scenario), {})[row.metric] = _change(row)
    told = [
        discrepancy(
            found[TIME.name],
            found[INSTRUCTIONS.name],
            list(found.values()),
            name=f"{allocator} on {scenario}",
            base="the baseline",
        )
        for (allocator, scenario), found in cells.items()
        if TIME.name in found and INSTRUCTIONS.name in found
    ]
    return [text for text in told if text]


def _change(row: CompareRow) -> Change:
    """Counts on which each side agrees are sure."""
    estimate = row.ratio.estimate
    sure = replace(row.ratio, lower=estimate, upper=estimate) if row.exact else row.ratio
    return Change(measure=measure(row.metric), base=row.base, candidate=row.candidate, ratio=sure)


def _doubts(rows: Sequence[CompareRow]) -> list[str]:
    """What the figures themselves give cause to say."""
    times = [row for row in rows if row.timed]
    counts = [row for row in rows if not row.timed and not row.exact]
    needed = _least_pairs(len(times)) if any(row.paired for row in times) else None
    needed = needed or (least_processes(len(times), alpha=ALPHA) if times else 0)
    blind = [sum(row.pairs > 0 and not row.can_regress for row in x) for x in (times, counts)]
    found = []
    if blind[0]:
        found.append(
            f"{blind[0]} of {counted(len(times), 'time')} {'has' if blind[0] == 1 else 'have'} too "
            f"few rounds for a verdict: together they take {counted(needed, 'round')} or more (run "
            f"-r {needed})"
        )
    found += _noise(times)
    if counts:
        found.append(_varying(len(counts), blind[1]))
    return found


def _varying(counts: int, blind: int) -> str:
    text = f"{counted(counts, 'count')} {'differs' if counts == 1 else 'differ'} from process to "
    text += f"process, and {'is' if counts == 1 else 'are'} judged like times"
    if not blind:
        return text
    return (
        f"{text}; {blind} of them {'has' if blind == 1 else 'have'} too few processes for a "
        "verdict: `allocphase gate` takes as many as it needs, and both sides in one session"
    )


def _noise(times: Sequence[CompareRow]) -> list[str]:
    """How many rounds would do where noise is all that is in the way.

    What rounds see beyond theta shrinks as the root of their number; the aim is to see twice theta,
    as little as a gate calls small. A row that sees that lies too near the limit to be decided.
    """
    open_ = [row for row in times if row.verdict is Verdict.INCONCLUSIVE and not row.broken]
    noisy = [row for row in open_ if row.can_regress]
    needed = [rounds for row in noisy if (rounds := _rounds_to_see_twice_theta(row)) > row.pairs]
    if not needed:
        return []
    most = max(needed)
    if most <= MAX_ROUNDS:
        way_out = f"some {counted(most, 'round')} would show {percent(2.0 * noisy[0].theta)}"
        way_out += f" (run -r {most})"
    else:
        way_out = f"more than {counted(MAX_ROUNDS, 'round')} would be needed: a wider --theta"
    many = f"{len(needed)} of {counted(len(times), 'time')}"
    return [f"{many} {'is' if len(needed) == 1 else 'are'} inconclusive by noise: {way_out}"]


def _rounds_to_see_twice_theta(row: CompareRow) -> int:
    beyond = math.log(row.min_detectable_ratio / (1.0 + row.theta))
    wanted = math.log((1.0 + 2.0 * row.theta) / (1.0 + row.theta))
    return math.ceil(row.pairs * (beyond / wanted) ** 2) if wanted > 0.0 else 0


def _least_pairs(rows: int) -> int:
    """A sign test of n rounds has no p-value below 2^-n, and Holm asks for ALPHA over the rows."""
    return math.ceil(math.log2(rows / ALPHA))
