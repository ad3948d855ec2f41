"""A comparison as a table of texts: what the terminal and Markdown share."""

from __future__ import annotations

import math
from collections.abc import Sequence

from allocphase.compare.rows import CompareRow
from allocphase.judge.render.words import interval_text, percent, saved_texts
from allocphase.stats import Verdict
from allocphase.text.fitted import Column
from allocphase.text.table import Cell, Table
from allocphase.text.units import format_in

__all__ = ["LEGEND", "table", "word"]

LEGEND = (
    "change: median ratio, and its own 95% interval; time saved: median difference, baseline less "
    "candidate, likewise, below 0 it costs so much more; sees: the least slowdown that such rounds "
    "would have shown 4 times in 5."
)

_FIGURES = ("baseline", "candidate", "change", "95% interval", "sees")
_SAVED = ("time saved", "95% interval")
_STYLES = {Verdict.REGRESSED: "yellow", Verdict.IMPROVED: "green"}


def word(row: CompareRow) -> str:
    """The verdict, also of a row without one."""
    return str(row.verdict) if row.verdict is not None else "not measured"


def table(rows: Sequence[CompareRow], *, names_allocator: bool) -> Table:
    """A line a row, under a heading with its scenario, and its allocator or in a column of it."""
    columns = [Column("metric", figure=False, width=13), Column("verdict", figure=False, width=12)]
    allocator = [Column("", figure=False)] if names_allocator else []
    timed = any(row.timed for row in rows)
    figures = (*_FIGURES, *(_SAVED if timed else ()))
    return Table(
        [*allocator, *columns, *map(Column, figures)],
        [
            ([Cell(row.allocator)] if names_allocator else []) + _cells(row, timed=timed)
            for row in rows
        ],
    )


def _cells(row: CompareRow, *, timed: bool) -> list[Cell]:
    change = row.ratio.estimate
    style = _STYLES.get(row.verdict, "") if row.verdict else ""
    texts = (
        format_in(row.unit, row.base),
        format_in(row.unit, row.candidate),
        "new" if change == math.inf else percent(change - 1.0, signed=True),
        interval_text(row.ratio),
        percent(row.min_detectable_ratio - 1.0) if row.can_regress else "-",
        *(saved_texts(row.saved_ns) if timed else ()),
    )
    return [Cell(row.metric), Cell(word(row), style), *map(Cell, texts)]
