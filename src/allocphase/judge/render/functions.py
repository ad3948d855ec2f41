"""`gate --explain instructions:SCENARIO`: in which functions the added instructions are."""

from __future__ import annotations

from collections.abc import Sequence
from typing import IO

from rich.text import Text

from allocphase.judge.functions import FunctionDifference
from allocphase.text.console import terminal
from allocphase.text.fitted import Column
from allocphase.text.line import plain
from allocphase.text.table import Cell, Table, rich_table

__all__ = ["print_functions"]

MOST_TOLD = 10


def print_functions(
    found: Sequence[FunctionDifference], scenario: str, stream: IO[str] | None = None
) -> None:
    """Prints to `stream` (stdout)."""
    console = terminal(stream)
    if not found:
        text = f"No function of both arms takes another number of instructions on {scenario}."
        console.print(Text(text, overflow="fold"))
        return
    head = f"Instructions an operation of {scenario}, the largest difference first"
    console.print(Text(head, style="bold"))
    console.print(rich_table(_table(found)))
    if rest := found[MOST_TOLD:]:
        added = sum(one.added for one in rest)
        console.print(Text(f"{len(rest)} more functions: {added:+.4g}.", style="dim"))


def _table(found: Sequence[FunctionDifference]) -> Table:
    names = [Column("function", figure=False), Column("at", figure=False)]
    figures = [Column("base"), Column("cand"), Column("adds")]
    return Table([*names, *figures], [_row(one) for one in found[:MOST_TOLD]])


def _row(one: FunctionDifference) -> list[Cell]:
    texts = [
        plain(one.name),
        plain(one.source) or "-",
        f"{one.base:.4g}",
        f"{one.candidate:.4g}",
        f"{one.added:+.4g}",
    ]
    return [Cell(text) for text in texts]
