"""A table on a terminal, within its width: no figure is cut, and no name broken within a word.

Names get the room that the figures leave, and are folded between their words where that is too
little. Figures that do not fit beside them stand in a block below, under the names again: those of
the rows that have any there.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from rich.cells import cell_len
from rich.console import Console, ConsoleOptions, RenderResult
from rich.table import Table
from rich.text import Text

from allocphase.text.console import unruled
from allocphase.text.units import MISSING

__all__ = ["Column", "Fitted", "folded", "longest_word"]


@dataclass(frozen=True, slots=True)
class Column:
    """figure: to the right, and never folded; the others stand before. width: the least, where
    words or figures do not need more: of names that are folded, and of tables under one another.
    """

    name: str
    figure: bool = True
    width: int = 0


@dataclass(frozen=True, slots=True)
class Fitted:
    """For rich. rows: a text for each column; names have one style."""

    columns: Sequence[Column]
    rows: Sequence[Sequence[Text]]
    _natural: list[int] = field(init=False)

    def __post_init__(self) -> None:
        widths = [
            max(column.width, *map(cell_len, self._texts(i)))
            for i, column in enumerate(self.columns)
        ]
        object.__setattr__(self, "_natural", widths)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        """As wide as `options` allow."""
        first, *below = self._blocks(options.max_width)
        yield self._block(first, self.rows, options.max_width)
        for places in below:
            rows = [row for row in self.rows if self._has_figures(row, places)]
            yield self._block(places, rows or self.rows, options.max_width)

    def _has_figures(self, row: Sequence[Text], places: Sequence[int]) -> bool:
        return any(row[i].plain not in ("", MISSING) for i in places if self.columns[i].figure)

    def _texts(self, place: int) -> list[str]:
        column = [str(row[place]) for row in self.rows]
        return [self.columns[place].name, *column]

    def _least(self, place: int, width: int) -> int:
        """Of a column of names: what its longest word takes, and no more than there is."""
        longest = max(map(longest_word, self._texts(place)))
        return min(max(self.columns[place].width, longest), width)

    def _blocks(self, width: int) -> list[list[int]]:
        """The columns of each block: as few blocks as can be, and whole names where that allows."""
        least = {i: self._least(i, width) for i in range(len(self.columns))}
        whole = {i: max(least[i], natural) for i, natural in enumerate(self._natural)}
        narrow, wide = self._split(least, width), self._split(whole, width)
        return wide if len(wide) == len(narrow) else narrow

    def _split(self, room: Mapping[int, int], width: int) -> list[list[int]]:
        """The first column of names stands in all blocks; room: what each of names is given."""
        names = [i for i, column in enumerate(self.columns) if not column.figure]
        taken = sum(room[i] + 1 for i in names) - 1
        blocks, has_figures = [names], False
        for i, column in enumerate(self.columns):
            if not column.figure:
                continue
            taken += 1 + self._natural[i]
            if taken > width and has_figures:
                blocks.append(names[:1])
                taken = room[names[0]] + 1 + self._natural[i]
            blocks[-1] = [*blocks[-1], i]
            has_figures = True
        return blocks

    def _block(self, places: Sequence[int], rows: Sequence[Sequence[Text]], width: int) -> Table:
        names = [i for i in places if not self.columns[i].figure]
        figures = sum(1 + self._natural[i] for i in places if self.columns[i].figure)
        widths = {i: self._least(i, width) for i in names}
        room = width - figures - sum(found + 1 for found in widths.values()) + 1
        for i in names:
            more = min(max(room, 0), max(self._natural[i] - widths[i], 0))
            widths[i], room = widths[i] + more, room - more
        return self._drawn(places, rows, widths)

    def _drawn(
        self, places: Sequence[int], rows: Sequence[Sequence[Text]], widths: dict[int, int]
    ) -> Table:
        table = unruled()
        for i in places:
            column = self.columns[i]
            if column.figure:
                table.add_column(
                    column.name, justify="right", no_wrap=True, min_width=self._natural[i]
                )
            else:
                header = folded(column.name, widths[i])
                table.add_column(header, width=widths[i], overflow="fold")
        for row in rows:
            table.add_row(*(_name(row[i], widths[i]) if i in widths else row[i] for i in places))
        return table


def _name(text: Text, width: int) -> Text:
    return Text(folded(text.plain, width), style=text.style)


_PARTS = re.compile(r"[^\s._?&=/-]*[\s._?&=/-]?")


def longest_word(text: str) -> int:
    """The least width that `folded` needs to break no word."""
    return max(cell_len(part.rstrip()) for part in _PARTS.findall(text))


def folded(text: str, width: int) -> str:
    """A text in lines of that width, none of which ends within a word that would fit into one."""
    lines = [""]
    for part in _PARTS.findall(text):
        if lines[-1] and cell_len(lines[-1]) + cell_len(part.rstrip()) > width:
            lines.append("")
        lines[-1] += part
    return "\n".join(line.rstrip() for line in lines)
