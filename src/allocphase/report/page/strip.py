"""Time per op as a small picture within a table: interval, median and floor on a log scale."""

from __future__ import annotations

import math
from collections.abc import Sequence

from markupsafe import Markup

from allocphase.analysis.cell import Cell

__all__ = ["Scale", "scale_of", "strip"]

WIDTH, HEIGHT = 150, 16
_EDGE = 6

# Low and high end of the axis in ns.
Scale = tuple[float, float]


def scale_of(cells: Sequence[Cell], floor_ns: float | None) -> Scale | None:
    """From the floor or the fastest to the slowest; None where nothing was timed."""
    ends = [value for cell in cells for value in _interval(cell) or ()]
    ends += [] if floor_ns is None else [floor_ns]
    return (min(ends), max(ends)) if ends and min(ends) < max(ends) else None


def strip(cell: Cell, *, colour: str, floor_ns: float | None, scale: Scale | None) -> Markup:
    """An SVG element, empty where the cell has no time; the numbers stand beside it."""
    interval = _interval(cell)
    if interval is None or scale is None or cell.time_ns is None:
        return Markup("")
    low, high = (_place(value, scale) for value in interval)
    middle = _place(cell.time_ns, scale)
    parts = [
        f'<svg class="strip" width="{WIDTH}" height="{HEIGHT}" '
        f'viewBox="0 0 {WIDTH} {HEIGHT}" aria-hidden="true">',
        f'<line class="axis" x1="0" y1="8" x2="{WIDTH}" y2="8"/>',
    ]
    if floor_ns:
        at = _place(floor_ns, scale)
        parts.append(f'<line class="floor" x1="{at:.1f}" y1="1" x2="{at:.1f}" y2="15"/>')
    parts.append(
        f'<line x1="{low:.1f}" y1="8" x2="{high:.1f}" y2="8" stroke="{colour}" stroke-width="4"/>'
        f'<circle cx="{middle:.1f}" cy="8" r="4.5" fill="{colour}"/></svg>'
    )
    return Markup("".join(parts))  # noqa: S704 (numbers and colours of ours)


def _interval(cell: Cell) -> tuple[float, float] | None:
    if not cell.time_ns:
        return None
    low, high = cell.time_interval_ns or (cell.time_ns, cell.time_ns)
    return float(low), float(high)


def _place(value: float, scale: Scale) -> float:
    share = math.log(value / scale[0]) / math.log(scale[1] / scale[0])
    return _EDGE + share * (WIDTH - 2 * _EDGE)
