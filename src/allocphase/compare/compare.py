"""One run's cells against its baseline's, or the cells of two runs against each other."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase.analysis import frames
from allocphase.analysis.comparable import not_holding
from allocphase.analysis.metric_names import compared
from allocphase.compare.pairs import between_runs, within_run
from allocphase.compare.rows import ALPHA, DEFAULT_METRICS, CompareRow, compare_cells
from allocphase.errors import NothingMeasuredError
from allocphase.stats import least_processes
from allocphase.text.units import counted

__all__ = ["CompareSettings", "ComparedRuns", "compare_runs"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CompareSettings:
    """baseline: an allocator of the run, None for the default (of one run only)."""

    baseline: str | None = None
    theta: float = 0.02
    memory_theta: float = 0.05
    metrics: Sequence[str] = DEFAULT_METRICS


@dataclass(frozen=True, slots=True)
class ComparedRuns:
    """The rows, what they were compared with, and what a reader must know of them."""

    against: str
    rows: tuple[CompareRow, ...]
    notes: tuple[str, ...]


def compare_runs(paths: Sequence[Path], settings: CompareSettings) -> ComparedRuns:
    """Compares the cells of one run with its baseline's, or the cells of two runs.

    Raises UsageError for a baseline that did not run, ScenarioChangedError for two runs whose
    scenarios differ under one name, NothingMeasuredError when no cell has a partner, or none of the
    metrics may be compared.
    """
    runs = [frames.load(path) for path in paths]
    if len(runs) == 1:
        found = within_run(runs[0], settings.baseline)
    else:
        found = between_runs(runs[0], runs[1], settings.baseline)
    rows = compare_cells(
        found.pairs,
        metrics=settings.metrics,
        holds=found.holds,
        theta=settings.theta,
        memory_theta=settings.memory_theta,
    )
    mismatch = not_holding(map(compared, settings.metrics), found.differing)
    if not rows:
        reason = "; ".join(mismatch) or "a quick run's times are not compared"
        raise NothingMeasuredError(f"there is nothing to compare: {reason}")
    notes = [*found.notes, *(f"different machines: {line}" for line in mismatch)]
    return ComparedRuns(found.against, tuple(rows), (*notes, *_doubts(rows)))


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
    if counts:
        found.append(
            f"{len(counts)} counts differ from process to process, and are judged like times; "
            f"{blind[1]} of them have too few processes for a verdict: `allocphase gate` takes as "
            "many as it needs, and both sides in one session"
        )
    return found


def _least_pairs(rows: int) -> int:
    """A sign test of n rounds has no p-value below 2^-n, and Holm asks for ALPHA over the rows."""
    return math.ceil(math.log2(rows / ALPHA))
