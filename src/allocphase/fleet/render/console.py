"""A fleet's verdict on the terminal, as wide as it is."""

from __future__ import annotations

from typing import IO

from rich.text import Text

from allocphase.fleet.render.table import LEGEND, headline, overview, remarks, told_rows
from allocphase.fleet.verdict import FleetVerdict
from allocphase.text.console import terminal
from allocphase.text.table import rich_table

__all__ = ["print_fleet"]


def print_fleet(
    verdict: FleetVerdict, stream: IO[str] | None = None, *, everything: bool = False
) -> None:
    """Prints to `stream` (stdout); counts that are worse nowhere only when they are asked for."""
    console = terminal(stream)
    candidate = f"{verdict.candidate} " if verdict.candidate else ""
    console.print(Text(f"{candidate}against {verdict.against}", style="bold"))
    shown = told_rows(verdict, everything=everything)
    if shown:
        console.print(rich_table(overview(shown)))
        console.print(Text(LEGEND, style="dim"))
    for line in remarks(verdict, shown):
        console.print(Text(f"! {line}", style="dim", overflow="fold"))
    bad = verdict.exit_code or any(row.is_worse for row in verdict.rows)
    console.print(Text(headline(verdict), style="bold red" if bad else "bold green"))
