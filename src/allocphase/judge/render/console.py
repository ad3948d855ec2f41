"""The verdict on the terminal, at 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from rich.table import Table
from rich.text import Text

from allocphase.judge.outcome import Outcome
from allocphase.judge.render.table import COLUMNS, cells, outcome_text, remarks, shown_rows
from allocphase.judge.render.words import LEGEND, headline
from allocphase.judge.verdict import GateRow, GateVerdict
from allocphase.text.console import add_figures, terminal, unruled

__all__ = ["print_verdict"]

# The limits are known to who gave them; 80 columns have no room for them.
_COLUMNS = tuple(column for column in COLUMNS if column != "limit")
_STYLES = {
    Outcome.REGRESSED: "bold red",
    Outcome.NOT_MEASURED: "bold red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.IMPROVED: "green",
}


def print_verdict(
    verdict: GateVerdict, stream: IO[str] | None = None, *, everything: bool = False
) -> None:
    """Prints to `stream` (stdout); equal counts only when `everything` is asked for."""
    console = terminal(stream)
    shown = shown_rows(verdict, everything=everything)
    for scenario in dict.fromkeys(row.row.scenario for row in shown):
        console.print(Text(scenario, style="bold"))
        console.print(_table([row for row in shown if row.row.scenario == scenario]))
    if any(not row.first.exact for row in shown):
        console.print(Text(LEGEND, style="dim"))
    for line in remarks(verdict, shown):
        console.print(Text(line, overflow="fold"))
    style = "bold green" if verdict.exit_code == 0 else "bold red"
    console.print(Text(headline(verdict), style=style))


def _table(rows: Sequence[GateRow]) -> Table:
    table = unruled()
    table.add_column("", width=15, overflow="fold")
    word = max(12, *(len(outcome_text(row)) for row in rows))  # more where it is in brackets
    table.add_column("", width=word, overflow="fold")
    add_figures(table, _COLUMNS)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: GateRow) -> list[Text]:
    figures = [text for name, text in zip(COLUMNS, cells(row), strict=True) if name in _COLUMNS]
    word = Text(outcome_text(row), style=_STYLES.get(row.outcome, ""))
    return [Text(row.row.measure.name), word, *map(Text, figures)]
