"""A history on the terminal: its series, one of them with its points, its runs, its changes."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import IO

from rich.text import Text

from allocphase.history.changes import Change
from allocphase.history.model import Decided, Decision, Point, RunEntry, Series, SeriesEntry
from allocphase.text.console import terminal
from allocphase.text.fitted import Column
from allocphase.text.line import plain
from allocphase.text.table import Cell, Table, rich_table
from allocphase.text.units import MISSING, format_in, format_rate

__all__ = [
    "change_line",
    "change_text",
    "decision_line",
    "interval_text",
    "print_list",
    "print_runs",
    "print_series",
    "value_text",
]

_STYLES = {Decided.WORSE: "red", Decided.BETTER: "green"}


def value_text(unit: str, value: float | None) -> str:
    """A value with its unit, which may be another tool's."""
    if value is None:
        return MISSING
    if unit in ("ns", "bytes", "count", "rate"):
        return format_in(unit, value)
    return f"{format_rate(value)} {unit}".rstrip()


def interval_text(unit: str, point: Point) -> str:
    """ "7.20 ns to 7.44 ns", or "exact", or MISSING where there were too few processes."""
    if point.exact:
        return "exact"
    if point.lower is None or point.upper is None:
        return MISSING
    return f"{value_text(unit, point.lower)} to {value_text(unit, point.upper)}"


def change_text(change: Change) -> str:
    """ "+5.1%"; "new" of what came from nothing."""
    return _ratio_text(change.ratio)


def _ratio_text(ratio: float) -> str:
    return "new" if math.isinf(ratio) else f"{100.0 * (ratio - 1.0):+.1f}%"


def change_line(change: Change) -> str:
    """One line: series, by how much, between which commits, and what a gate said."""
    levels = (
        f"{value_text(change.series.unit, change.level_before)} -> "
        f"{value_text(change.series.unit, change.level_after)}"
    )
    said = "not confirmed yet" if change.decision is None else _said(change)
    return plain(
        f"{change.series.key.name}: {change_text(change)} ({levels}) at {_place(change.after)}, "
        f"after {_place(change.before)}: {said}"
    )


def decision_line(
    decision: Decision, entries: Sequence[SeriesEntry], runs: Sequence[RunEntry]
) -> str:
    """One line of what a gate confirmed, by how much and at which commit."""
    name = next(entry.key.name for entry in entries if entry.id == decision.series)
    commits = {run.commit.hash: run.commit for run in runs if run.commit}
    places = [
        f"{found.short} {found.subject}".rstrip() if (found := commits.get(side)) else side
        for side in (decision.found_after, decision.found_before)
    ]
    ratio = decision.ratio
    size = "" if ratio is None else f", {_ratio_text(ratio)},"
    return plain(
        f"{name}: {decision.verdict}{size} since {places[0]}, after {places[1]} ({decision.gate})"
    )


def print_list(
    entries: Sequence[SeriesEntry],
    counts: Mapping[int, int],
    changes: Sequence[Change],
    stream: IO[str] | None = None,
) -> None:
    """A row a series; counts: of points, by id."""
    console = terminal(stream)
    names = ("series", "id", "points", "began", "changes")
    columns = [Column(name, figure=name != "series") for name in names]
    rows = []
    for entry in entries:
        mine = [change for change in changes if change.series.id == entry.id]
        rows.append(
            [
                Cell(plain(entry.key.name)),
                Cell(str(entry.id)),
                Cell(str(counts.get(entry.id, 0))),
                Cell(entry.began[:10]),
                Cell(" ".join(map(change_text, mine)) or MISSING, _style(mine)),
            ]
        )
    console.print(rich_table(Table(columns, rows)))
    for entry in entries:
        if entry.mark:
            mark = f"{entry.id} began after {entry.previous}: {entry.mark}"
            console.print(Text(plain(mark), style="dim", overflow="fold"))


def print_series(series: Series, changes: Sequence[Change], stream: IO[str] | None = None) -> None:
    """A row a point, and a line a change below them."""
    console = terminal(stream)
    entry = series.entry
    order = "commits" if series.by_commit else "times"
    branch = "all branches" if series.branch is None else f"branch {series.branch or 'unnamed'}"
    told = f"  series {entry.id}, {branch}, ordered by {order}"
    console.print(Text(plain(entry.key.name), style="bold").append(told, style="dim"))
    if entry.mark:
        mark = f"began after series {entry.previous}: {entry.mark}"
        console.print(Text(plain(mark), style="dim", overflow="fold"))
    at = {change.after.side: change for change in changes}
    columns = [
        Column("commit", figure=False),
        Column("message", figure=False),
        Column("measured"),
        Column("value"),
        Column("90% interval"),
        Column("change"),
    ]
    rows = [_point_row(series, point, at.pop(point.side, None)) for point in series.points]
    console.print(rich_table(Table(columns, rows)))
    for change in changes:
        console.print(Text(change_line(change), style=_style([change]), overflow="fold"))


def print_runs(runs: Sequence[RunEntry], stream: IO[str] | None = None) -> None:
    """A row a run."""
    columns = [Column(name, figure=False) for name in ("commit", "label", "branch", "directory")]
    rows = [
        [
            Cell(run.commit.short if run.commit else MISSING),
            Cell(plain(f"{run.label} {run.arm}".rstrip())),
            Cell(plain(run.branch) or MISSING),
            Cell(plain(run.path)),
            Cell(run.started[:16]),
        ]
        for run in runs
    ]
    terminal(stream).print(rich_table(Table([*columns, Column("started")], rows)))


def _point_row(series: Series, point: Point, change: Change | None) -> list[Cell]:
    unit = series.entry.unit
    commit = point.commit
    return [
        Cell(commit.short if commit else MISSING),
        Cell(plain(commit.subject) if commit else plain(point.run.label)),
        Cell(point.time[:10]),
        Cell(value_text(unit, point.value)),
        Cell(interval_text(unit, point)),
        Cell(change_text(change), _style([change])) if change else Cell(""),
    ]


def _place(point: Point) -> str:
    if point.commit is None:
        return f"the run of {point.time}"
    return f"{point.commit.short} {point.commit.subject}".rstrip()


def _said(change: Change) -> str:
    """And between which commits, where those are others."""
    decision = change.decision
    assert decision is not None, "it is asked for where there is one"
    if not decision.verdict.confirms:
        return f"gated: {decision.verdict}"
    found = (decision.found_before, decision.found_after)
    if found == (change.before.side, change.after.side):
        return f"confirmed, {decision.verdict}"
    places = {point.side: _place(point) for point in change.nearby}
    before, after = (places.get(side, side) for side in found)
    return f"confirmed, {decision.verdict}, at {after}, after {before}"


def _style(changes: Sequence[Change]) -> str:
    """Of the worst of them; what is not confirmed has none."""
    said = {change.decision.verdict for change in changes if change.decision}
    return next((style for verdict, style in _STYLES.items() if verdict in said), "")
