"""What is printed on a terminal, in all commands alike: its width, and the look of a table."""

from __future__ import annotations

import os
import sys
from typing import IO, Any, cast

from rich.console import Console
from rich.table import Table

from allocphase.text.line import inert

__all__ = ["WIDTH", "terminal", "unruled"]

# Of what is no terminal: a pipe, a file, a CI's log.
WIDTH = 80
# Narrower ones have lines of so many columns, which they fold as they like.
_LEAST_WIDTH = 40


def terminal(stream: IO[str] | None = None) -> Console:
    """A console on `stream` (stdout), as wide as the terminal that it is, else of WIDTH columns.
    Colour only on a terminal.
    """
    file = stream or sys.stdout
    inert_file = cast(IO[str], _Inert(file))
    return Console(file=inert_file, width=_width(file), highlight=False, markup=False)


def _width(stream: IO[str]) -> int:
    """COLUMNS goes before what the terminal says, as it does elsewhere."""
    if not stream.isatty():
        return WIDTH
    given = os.environ.get("COLUMNS", "")
    try:
        columns = int(given) if given.isdecimal() else os.get_terminal_size(stream.fileno()).columns
    except (OSError, ValueError):
        return WIDTH
    return max(columns, _LEAST_WIDTH) if columns else WIDTH


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
