"""A table, once: the same columns and cells on a terminal and in Markdown."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.table import Table as RichTable
from rich.text import Text

from allocphase.text.console import unruled
from allocphase.text.markdown import escaped

__all__ = ["Cell", "Column", "Table", "folded", "markdown_lines", "rich_table"]


@dataclass(frozen=True, slots=True)
class Column:
    """figure: to the right, and never folded. width: of one that is folded, on a terminal: between
    words, or in a name at its dots and dashes.
    """

    name: str
    figure: bool = True
    width: int | None = None


@dataclass(frozen=True, slots=True)
class Cell:
    """style: its colour on a terminal. strong: what a reader must see, bold in Markdown."""

    text: str
    style: str = ""
    strong: bool = False


@dataclass(frozen=True, slots=True)
class Table:
    """rows: a cell for each column."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Cell]]

    def without(self, *names: str) -> Table:
        """The same without some columns: a terminal has little room."""
        kept = [place for place, column in enumerate(self.columns) if column.name not in names]
        return Table(
            [self.columns[place] for place in kept],
            [[row[place] for place in kept] for row in self.rows],
        )


def rich_table(table: Table) -> RichTable:
    """For a terminal."""
    found = unruled()
    for column in table.columns:
        if column.figure:
            found.add_column(column.name, justify="right", no_wrap=True)
        else:
            found.add_column(column.name, width=column.width, overflow="fold")
    for row in table.rows:
        cells = zip(table.columns, row, strict=True)
        found.add_row(*(Text(folded(c.text, column.width), style=c.style) for column, c in cells))
    return found


_PARTS = re.compile(r"[^\s._?&=/-]*[\s._?&=/-]?")


def folded(text: str, width: int | None) -> str:
    """A text in lines of that width, none of which ends within a word that would fit into one."""
    lines = [""]
    for part in _PARTS.findall(text):
        if width is not None and lines[-1] and len(lines[-1]) + len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)


def markdown_lines(table: Table) -> Iterator[str]:
    """In GitHub's dialect, every text escaped."""
    yield _line([escaped(column.name) for column in table.columns])
    yield _line(["---:" if column.figure else "---" for column in table.columns])
    for row in table.rows:
        yield _line([f"**{escaped(c.text)}**" if c.strong else escaped(c.text) for c in row])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
