"""A scenario in one line, for a page on which its part is folded: best, worst, anything wrong."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from allocphase.report.content.source import Source
from allocphase.report.content.values import by_time
from allocphase.text.units import counted, format_ns

__all__ = ["Fold", "fold"]


@dataclass(frozen=True, slots=True)
class Fold:
    """best, worst: an allocator and its time, "" where nobody was timed; worst also where it is the
    only one. wrong: what did not end well, doubts: how many there are; "" where there is none.
    """

    best: str
    worst: str
    wrong: str
    doubts: str


def fold(source: Source, scenario: str) -> Fold:
    """By time an operation, of a program by wall time; of cells that ended well."""
    cells = source.cells(scenario)
    timed = [
        f"{cell.allocator} {format_ns(cell.time_ns)}"
        for cell in by_time(cells)
        if cell.ok and cell.time_ns
    ]
    bad = Counter(str(cell.status) for cell in cells if not cell.ok)
    doubts = len(source.doubts(scenario))
    return Fold(
        best=timed[0] if timed else "",
        worst=timed[-1] if len(timed) > 1 else "",
        wrong=", ".join(f"{count} {status}" for status, count in bad.items()),
        doubts=counted(doubts, "doubt") if doubts else "",
    )
