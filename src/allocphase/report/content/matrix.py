"""The matrix as it stands before the reader chooses another baseline: a table a view."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace

from allocphase.analysis.cell import Cell
from allocphase.report.content.compared import Compared
from allocphase.report.content.ratios import Ratio, both_mostly_replay
from allocphase.report.content.rows import (
    ratio_text,
    saved_below,
    saved_interval_text,
    saved_text,
)
from allocphase.report.content.source import Source
from allocphase.report.content.values import figure_text
from allocphase.report.content.views import (
    SAVED,
    TIME,
    Steps,
    View,
    column_of,
    columns_of,
    mean_of,
)
from allocphase.text.units import MISSING

__all__ = [
    "LEFT_OUT",
    "MatrixCell",
    "geometric_mean",
    "look_of",
    "look_of_saved",
    "matrix_row",
    "mean_row",
]

# The status of a cell that the plan does not have: very slow allocators stay out of long traces.
LEFT_OUT = "left out"


@dataclass(frozen=True, slots=True)
class MatrixCell:
    """`look`: the style sheet's class. below: what stands under the text."""

    text: str
    look: str
    below: str = ""


def matrix_row(source: Source, scenario: str, view: View = TIME) -> list[MatrixCell]:
    """A cell an arm."""
    cells = {cell.allocator: cell for cell in source.cells(scenario)}
    column = column_of(source, view, scenario)
    return [_cell(source, view, column, name, cells.get(name)) for name in source.names]


def _cell(
    source: Source, view: View, column: Compared | None, name: str, cell: Cell | None
) -> MatrixCell:
    if cell is None:
        return MatrixCell(LEFT_OUT, "missing")
    if not cell.ok:
        return MatrixCell(cell.status, "failed")
    if view is TIME:
        return _of_time(source.ratio(name, cell.scenario))
    if column is None:
        return MatrixCell(MISSING, "missing")
    if view is SAVED:
        found = source.ratio(name, cell.scenario)
        return MatrixCell(saved_text(found), look_of_saved(found), _interval_of_saved(found))
    found = column.ratio(source.baseline or "", name)
    below = figure_text(column.measure, cell.metrics)
    look = look_of(found, view.steps)
    return MatrixCell(ratio_text(found), look, "" if below == MISSING else below)


def _of_time(found: Ratio | None) -> MatrixCell:
    return MatrixCell(ratio_text(found), look_of(found), saved_below(found))


def _interval_of_saved(found: Ratio | None) -> str:
    text = saved_interval_text(found)
    return "" if text == MISSING else text


def mean_row(source: Source, view: View = TIME) -> list[MatrixCell]:
    """The geometric mean over the scenarios; none where there is but one, and none of what is
    saved.
    """
    known = [column for column in columns_of(source, view).values() if column is not None]
    if len(known) < 2 or view is SAVED:
        return []
    means = [
        geometric_mean(source, name) if view is TIME else mean_of(source, view, name)
        for name in source.names
    ]
    return [MatrixCell(ratio_text(found), look_of(found, view.steps)) for found in means]


def geometric_mean(source: Source, name: str, base: str | None = None) -> Ratio | None:
    """Of the time, over all scenarios; None where the arm or the baseline lacks a scenario. The
    replay's share of a mean is the mean of the shares.
    """
    if any(column is None for column in columns_of(source, TIME).values()):
        return None
    base = base or source.baseline or ""
    found = mean_of(source, TIME, name, base)
    shares = [_mean_share(source, arm) for arm in (base, name)]
    mostly = both_mostly_replay(*shares) and base != name
    return None if found is None else replace(found, mostly_replay=mostly)


def _mean_share(source: Source, name: str) -> float | None:
    """Geometric, as the mean of the times; None where a share is not known."""
    shares: Sequence[float] = [
        share for s in source.scenarios if (share := source.replay_share(name, s)) is not None
    ]
    if not shares or len(shares) < len(source.scenarios):
        return None
    return float(math.prod(shares) ** (1 / len(shares)))


def look_of(found: Ratio | None, steps: Steps = TIME.steps) -> str:
    """ "faster-1" to "slower-4", "undecided", "same" for the baseline, "missing"."""
    if found is None or math.isnan(found.interval.estimate):
        return "missing"
    if found.exact:
        return "same"
    if not found.decided:
        return "undecided"
    estimate = found.interval.estimate
    size = max(estimate, 1 / estimate if estimate else math.inf)
    return _step(size, steps, worse=estimate > 1)


def look_of_saved(found: Ratio | None) -> str:
    """The same of nanoseconds, whose scale is their own."""
    if found is None or found.saved_ns is None:
        return "missing"
    if found.exact:
        return "same"
    if not found.decided:
        return "undecided"
    saved_ns = found.saved_ns.estimate
    return _step(abs(saved_ns), SAVED.steps, worse=saved_ns < 0)


def _step(size: float, steps: Steps, *, worse: bool) -> str:
    step = 1 + sum(size >= limit for limit in steps)
    return f"{'slower' if worse else 'faster'}-{step}"
