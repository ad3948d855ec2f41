"""A table, once: the same columns and cells on a terminal and in Markdown."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from rich.text import Text

from allocphase.text.fitted import Column, Fitted
from allocphase.text.markdown import escaped

__all__ = ["Cell", "Table", "markdown_lines", "rich_table"]


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
        """The same without some columns."""
        kept = [place for place, column in enumerate(self.columns) if column.name not in names]
        return Table(
            [self.columns[place] for place in kept],
            [[row[place] for place in kept] for row in self.rows],
        )


def rich_table(table: Table) -> Fitted:
    """For a terminal."""
    rows = [[Text(cell.text, style=cell.style) for cell in row] for row in table.rows]
    return Fitted(table.columns, rows)


def markdown_lines(table: Table) -> Iterator[str]:
    """In GitHub's dialect, every text escaped."""
    yield _line([escaped(column.name) for column in table.columns])
    yield _line(["---:" if column.figure else "---" for column in table.columns])
    for row in table.rows:
        yield _line([f"**{escaped(c.text)}**" if c.strong else escaped(c.text) for c in row])


def _line(cells: Sequence[str]) -> str:
    return f"| {' | '.join(cells)} |"
