"""The verdict on the terminal, at 80 columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from rich.table import Table
from rich.text import Text

from allocphase.judge.outcome import Outcome
from allocphase.judge.render.words import (
    LEGEND,
    change_text,
    failure_text,
    headline,
    interval_text,
    quiet,
    seen_text,
    value_text,
)
from allocphase.judge.verdict import GateRow, GateVerdict
from allocphase.text.console import add_figures, terminal, unruled

__all__ = ["print_verdict"]

_COLUMNS = ("baseline", "candidate", "change", "interval", "sees")
_STYLES = {
    Outcome.REGRESSED: "bold red",
    Outcome.NOT_MEASURED: "bold red",
    Outcome.INVALID: "yellow",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.IMPROVED: "green",
}


def print_verdict(
    verdict: GateVerdict, stream: IO[str] | None = None, *, everything: bool = False
) -> None:
    """Prints to `stream` (stdout); equal counts only when `everything` is asked for."""
    console = terminal(stream)
    shown = [row for row in verdict.rows if everything or not quiet(row)]
    for scenario in dict.fromkeys(row.row.scenario for row in shown):
        console.print(Text(scenario, style="bold"))
        console.print(_table([row for row in shown if row.row.scenario == scenario]))
    if any(row.row.measure.timed for row in shown):
        console.print(Text(LEGEND, style="dim"))
    for line in _remarks(verdict, hidden=len(verdict.rows) - len(shown)):
        console.print(Text(line, overflow="fold"))
    style = "bold green" if verdict.exit_code == 0 else "bold red"
    console.print(Text(headline(verdict), style=style))


def _table(rows: Sequence[GateRow]) -> Table:
    table = unruled()
    table.add_column("", width=15, overflow="fold")
    table.add_column("", width=12, overflow="fold")
    add_figures(table, _COLUMNS)
    for row in rows:
        table.add_row(*_cells(row))
    return table


def _cells(row: GateRow) -> list[Text]:
    judged = row.again if row.again and row.outcome is not Outcome.REGRESSED else row.first
    word = f"({row.outcome})" if row.advisory else str(row.outcome)
    return [
        Text(row.row.measure.name),
        Text(word, style=_STYLES.get(row.outcome, "")),
        Text(value_text(row, judged.base)),
        Text(value_text(row, judged.candidate)),
        Text(change_text(judged)),
        Text(interval_text(judged.ratio) if row.row.measure.timed else "-"),
        Text(seen_text(judged)),
    ]


def _remarks(verdict: GateVerdict, *, hidden: int) -> list[str]:
    lines = [f"{hidden} further counts are equal."] if hidden else []
    lines += [failure_text(failure) for failure in verdict.failures]
    lines += [f"another machine: {line}" for line in verdict.machine_mismatch]
    return lines + list(verdict.notes)
