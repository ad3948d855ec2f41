"""The verdict on the terminal, as wide as it is."""

from __future__ import annotations

from typing import IO

from rich.text import Text

from allocphase.judge.render.table import LIMIT, remarks, shown_rows, table
from allocphase.judge.render.words import LEGEND, headline
from allocphase.judge.verdict import GateVerdict
from allocphase.text.console import terminal
from allocphase.text.table import rich_table

__all__ = ["print_verdict"]


def print_verdict(
    verdict: GateVerdict, stream: IO[str] | None = None, *, everything: bool = False
) -> None:
    """Prints to `stream` (stdout); equal counts only when `everything` is asked for."""
    console = terminal(stream)
    shown = shown_rows(verdict, everything=everything)
    for scenario in dict.fromkeys(row.row.scenario for row in shown):
        console.print(Text(scenario, style="bold"))
        rows = [row for row in shown if row.row.scenario == scenario]
        # The limits are known to who gave them; a usual terminal has no room for them.
        console.print(rich_table(table(rows, names_scenario=False).without(LIMIT)))
    if any(not row.first.exact for row in shown):
        console.print(Text(LEGEND, style="dim"))
    for line in remarks(verdict, shown):
        console.print(Text(line, overflow="fold"))
    style = "bold green" if verdict.exit_code == 0 else "bold red"
    console.print(Text(headline(verdict), style=style))
