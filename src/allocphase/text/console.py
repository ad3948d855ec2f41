"""What is printed on a terminal, in all commands alike: 80 columns, and the look of a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO

from rich.console import Console
from rich.table import Table

__all__ = ["WIDTH", "add_figures", "terminal", "unruled"]

WIDTH = 80


def terminal(stream: IO[str] | None = None) -> Console:
    """A console of WIDTH columns on `stream` (stdout). Colour only on a terminal."""
    return Console(file=stream or sys.stdout, width=WIDTH, highlight=False, markup=False)


def unruled(*, header: bool = True) -> Table:
    """A table without columns: no lines, one space between columns, a dim header."""
    return Table(
        box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=header, header_style="dim"
    )


def add_figures(table: Table, names: Sequence[str]) -> None:
    """A column for each name, to the right and never folded."""
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
