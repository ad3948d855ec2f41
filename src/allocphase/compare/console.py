"""A comparison on the terminal, at 80 columns: a block a scenario and allocator."""

from __future__ import annotations

from typing import IO

from rich.table import Table
from rich.text import Text

from allocphase.compare.compare import ComparedRuns
from allocphase.compare.rows import CompareRow
from allocphase.compare.words import COLUMNS, cells
from allocphase.judge.render.words import LEGEND
from allocphase.stats import Verdict
from allocphase.text.console import add_figures, terminal, unruled

__all__ = ["print_comparison"]

_STYLES = {Verdict.REGRESSED: "yellow", Verdict.IMPROVED: "green"}


def print_comparison(found: ComparedRuns, stream: IO[str] | None = None) -> None:
    """Prints to `stream` (stdout). Colour only on a terminal."""
    console = terminal(stream)
    for cell in dict.fromkeys((row.scenario, row.allocator) for row in found.rows):
        title = Text(f"{cell[1]} on {cell[0]}", style="bold")
        console.print(title.append(f"  against {found.against}", style="dim"))
        console.print(_table([r for r in found.rows if (r.scenario, r.allocator) == cell]))
    console.print(Text(LEGEND, style="dim"))
    for note in found.notes:
        console.print(Text(f"! {note}", style="dim", overflow="fold"))


def _table(rows: list[CompareRow]) -> Table:
    table = unruled()
    table.add_column("", width=13, overflow="fold")
    table.add_column("", width=12)
    add_figures(table, COLUMNS[2:])
    for row in rows:
        metric, verdict, *figures = cells(row)
        style = _STYLES.get(row.verdict, "") if row.verdict else ""
        table.add_row(Text(metric), Text(verdict, style=style), *map(Text, figures))
    return table
