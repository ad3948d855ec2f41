"""What `allocphase validate` prints: a line an allocator and metric, the program beside its
replays, and then what is said of each.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.text import Text

from allocphase.analysis.exact import Alike
from allocphase.analysis.validation import Difference, Prediction, Sides
from allocphase.text.console import terminal
from allocphase.text.fitted import Column
from allocphase.text.table import Cell, Table, rich_table
from allocphase.text.units import format_bytes, format_count, format_ns
from allocphase.trace.validated import Validation, label_text

__all__ = ["print_alike", "print_predictions"]

_UNITS = {"time": format_ns, "peak_rss": format_bytes}
_HEADS = {
    "time": "saved a call over",
    "peak_rss": "peak resident, more than under",
    "page_faults": "page faults, more than under",
    "syscalls": "memory's system calls, more than under",
}


def print_alike(found: Sequence[Alike]) -> None:
    """What is to be exact, to stdout."""
    for one in found:
        terminal(None).print(Text(f"{one.metric.replace('_', ' ')}", style="bold"))
        terminal(None).print(rich_table(_alike_table(one)))


def _alike_table(found: Alike) -> Table:
    write = format_bytes if found.metric == "live_bytes" else "{:,.0f}".format
    columns = [Column("of", figure=False), *map(Column, ("program", "replay", "apart"))]
    rows = []
    for row in found.rows:
        apart = f"{row.off:.2%}" if row.off else "exact"
        cells = (row.of, write(float(row.program)), write(float(row.replay)), apart)
        rows.append([Cell(text) for text in cells])
    return Table(columns, rows)


def print_predictions(found: Sequence[Prediction], validation: Validation) -> None:
    """Prints to stdout."""
    console = terminal(None)
    base = validation.allocators[0]
    for metric in dict.fromkeys(one.metric for one in found):
        mine = [one for one in found if one.metric == metric]
        console.print(Text(f"{metric.replace('_', ' ')}: {_HEADS[metric]} {base}", style="bold"))
        console.print(rich_table(_table(metric, mine)))
    for mode in dict.fromkeys(one.mode for one in found):
        console.print(Text(f"Replayed {mode}", style="bold"))
        for label in validation.labels:
            if label.mode == mode:
                console.print(Text(f"  {label_text(label)}", overflow="fold"))


def _table(metric: str, found: Sequence[Prediction]) -> Table:
    """The program, then each mode."""
    names = [Column("allocator", figure=False), Column("program")]
    rows = [_row(metric, same) for same in zip(*(one.differences for one in found), strict=True)]
    return Table([*names, *(Column(one.mode) for one in found)], rows)


def _row(metric: str, same: Sequence[Difference]) -> list[Cell]:
    sides = [same[0].program, *(one.replay for one in same)]
    return [Cell(same[0].allocator), *(Cell(text) for text in _texts(metric, sides))]


def _texts(metric: str, sides: Sequence[Sides]) -> Iterator[str]:
    for one in sides:
        middle, low, high = (_signed(metric, x) for x in (one.estimate, one.lower, one.upper))
        yield f"{middle} ({low} to {high})" if one.lower != one.upper else middle


def _signed(metric: str, value: float) -> str:
    if value in (float("inf"), float("-inf")):
        return "?"
    text = _UNITS.get(metric, format_count)(abs(value))
    return f"-{text}" if value < 0 else f"+{text}"
