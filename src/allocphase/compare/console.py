"""A comparison on the terminal, as wide as it is: a block a scenario and allocator."""

from __future__ import annotations

from typing import IO

from rich.text import Text

from allocphase.compare.compare import ComparedRuns
from allocphase.compare.words import LEGEND, table
from allocphase.text.console import terminal
from allocphase.text.table import rich_table

__all__ = ["print_comparison"]


def print_comparison(found: ComparedRuns, stream: IO[str] | None = None) -> None:
    """Prints to `stream` (stdout). Colour only on a terminal."""
    console = terminal(stream)
    for cell in dict.fromkeys((row.scenario, row.allocator) for row in found.rows):
        title = Text(f"{cell[1]} on {cell[0]}", style="bold")
        console.print(title.append(f"  against {found.against}", style="dim"))
        rows = [row for row in found.rows if (row.scenario, row.allocator) == cell]
        console.print(rich_table(table(rows, names_allocator=False)))
    console.print(Text(LEGEND, style="dim"))
    for note in found.notes:
        console.print(Text(f"! {note}", style="dim", overflow="fold"))
