"""A comparison on the terminal, at 80 columns: a block a scenario and allocator."""

from __future__ import annotations

import sys
from typing import IO

from rich.console import Console
from rich.table import Table
from rich.text import Text

from allocphase.compare.compare import ComparedRuns
from allocphase.compare.rows import CompareRow
from allocphase.compare.words import COLUMNS, cells
from allocphase.judge.render.words import LEGEND
from allocphase.stats import Verdict

__all__ = ["print_comparison"]

WIDTH = 80
_STYLES = {Verdict.REGRESSED: "yellow", Verdict.IMPROVED: "green"}


def print_comparison(found: ComparedRuns, stream: IO[str] | None = None) -> None:
    """Prints to `stream` (stdout). Colour only on a terminal."""
    console = Console(file=stream or sys.stdout, width=WIDTH, highlight=False, markup=False)
    for cell in dict.fromkeys((row.scenario, row.allocator) for row in found.rows):
        title = Text(f"{cell[1]} on {cell[0]}", style="bold")
        console.print(title.append(f"  against {found.against}", style="dim"))
        console.print(_table([r for r in found.rows if (r.scenario, r.allocator) == cell]))
    console.print(Text(LEGEND, style="dim"))
    for note in found.notes:
        console.print(Text(f"! {note}", style="dim", overflow="fold"))


def _table(rows: list[CompareRow]) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, header_style="dim")
    table.add_column("", width=13, overflow="fold")
    table.add_column("", width=12)
    for name in COLUMNS[2:]:
        table.add_column(name, justify="right", no_wrap=True)
    for row in rows:
        metric, verdict, *figures = cells(row)
        style = _STYLES.get(row.verdict, "") if row.verdict else ""
        table.add_row(Text(metric), Text(verdict, style=style), *map(Text, figures))
    return table
