"""What is printed on a terminal, in all commands alike: 80 columns, and the look of a table."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import IO, Any, cast

from rich.console import Console
from rich.table import Table

from allocphase.text.line import inert

__all__ = ["WIDTH", "add_figures", "terminal", "unruled"]

WIDTH = 80


def terminal(stream: IO[str] | None = None) -> Console:
    """A console of WIDTH columns on `stream` (stdout). Colour only on a terminal."""
    file = cast(IO[str], _Inert(stream or sys.stdout))
    return Console(file=file, width=WIDTH, highlight=False, markup=False)


class _Inert:
    """A stream whose lines command nothing, where folding put their beginnings. rich writes whole
    lines.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def __getattr__(self, name: str) -> Any:
        return getattr(self._stream, name)

    def write(self, text: str) -> int:
        return self._stream.write(inert(text))


def unruled(*, header: bool = True) -> Table:
    """A table without columns: no lines, one space between columns, a dim header."""
    return Table(
        box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=header, header_style="dim"
    )


def add_figures(table: Table, names: Sequence[str]) -> None:
    """A column for each name, to the right and never folded."""
    for name in names:
        table.add_column(name, justify="right", no_wrap=True)
