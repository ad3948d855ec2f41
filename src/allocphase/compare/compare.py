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
    timed = [row for row in rows if row.timed]
    blind = [row for row in timed if row.pairs and not row.can_regress]
    if not blind:
        return []
    # A sign test of n rounds has no p-value below 2^-n, and Holm asks for ALPHA over the rows.
    needed = math.ceil(math.log2(len(timed) / ALPHA))
    have = "has" if len(blind) == 1 else "have"
    return [
        f"{len(blind)} of {counted(len(timed), 'time')} {have} too few rounds for a verdict: "
        f"together they take {counted(needed, 'round')} or more"
    ]
