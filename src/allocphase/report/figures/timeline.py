"""Every operation's latency in order, coloured by why: system call, page fault, neither ...

A panel an allocator, all on the same scales. They are drawn by hand on one pair of axes that
measures in inches: a pair of axes a panel would cost ten times as much, and a run of twenty
scenarios has two hundred panels.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.collections import LineCollection
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from allocphase.analysis.frames import CAUSES
from allocphase.report.content.palette import cause_looks
from allocphase.report.content.points import Points
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import MUTED, blank, empty, key, label, short
from allocphase.text.units import format_count, format_ns

__all__ = ["timeline"]

QUIET = "neither"
_SIZE, _QUIET_SIZE = 3.0, 1.4

# Inches.
WIDTH, PANEL_HEIGHT = 11.4, 1.75
LEFT, RIGHT, TOP, BOTTOM = 0.75, 0.12, 0.45, 0.4
GAP_ACROSS, GAP_DOWN = 0.18, 0.34

Floats = npt.NDArray[np.floating]


@dataclass(frozen=True, slots=True)
class _Scales:
    """The common axes: operations from 0, and powers of ten in ns."""

    operations: int
    low: float
    high: float

    @classmethod
    def of(cls, cells: Sequence[Points]) -> _Scales:
        low = max(1.0, min(float(points.latency_ns.min()) for points in cells)) / 1.5
        high = max(float(points.latency_ns.max()) for points in cells) * 1.8
        operations = max(points.operations for points in cells)
        return cls(operations, math.log10(low), math.log10(high))

    def across(self, operation: npt.ArrayLike) -> Floats:
        return np.asarray(operation) / self.operations

    def up(self, latency_ns: npt.ArrayLike) -> Floats:
        return (np.log10(np.maximum(latency_ns, 1e-3)) - self.low) / (self.high - self.low)

    def operation_ticks(self) -> list[float]:
        """Without those so far right that their labels would meet the next panel's."""
        ticks = MaxNLocator(5, integer=True).tick_values(0, self.operations)
        return [tick for tick in ticks if tick <= 0.9 * self.operations]

    def latency_ticks(self) -> list[float]:
        return [10.0**n for n in range(math.ceil(self.low), math.floor(self.high) + 1)]


@dataclass(frozen=True, slots=True)
class _Panel:
    """A rectangle on the paper, in inches."""

    left: float
    bottom: float
    width: float
    height: float
    first_of_row: bool
    last_of_column: bool

    def x(self, share: Floats | float) -> Floats:
        return self.left + self.width * np.asarray(share)

    def y(self, share: Floats | float) -> Floats:
        return self.bottom + self.height * np.asarray(share)


def timeline(source: Source, scenario: str) -> Figure:
    """Thinned by thin.kept, which loses no outlier; the caption says so."""
    cells = {name: source.points(name, scenario) for name in source.names_on(scenario)}
    cells = {name: points for name, points in cells.items() if points.row.size}
    if not cells:
        return empty("no latency was measured")
    rows = math.ceil(len(cells) / _columns(len(cells)))
    figure, axes = blank(width=WIDTH, height=rows * PANEL_HEIGHT + TOP + BOTTOM)
    scales = _Scales.of(list(cells.values()))
    panels = list(_panels(len(cells), height=rows * PANEL_HEIGHT + BOTTOM))
    for panel, name in zip(panels, cells, strict=True):
        _frame(axes, panel, scales)
        axes.text(panel.left, panel.bottom + panel.height + 0.06, name, fontsize=9.5,
                  fontweight="bold", color=source.looks[name].colour)  # fmt: skip
    _points(axes, panels, list(cells.values()), scales)
    _captions(figure, cells)
    return figure


def _columns(count: int) -> int:
    return min(count, 3 if count <= 9 else 4)


def _panels(count: int, *, height: float) -> Iterator[_Panel]:
    """Row after row; `height` is that of the topmost panel's upper edge."""
    columns = _columns(count)
    across = (WIDTH - LEFT - RIGHT) / columns
    for index in range(count):
        row, column = divmod(index, columns)
        yield _Panel(
            left=LEFT + column * across,
            bottom=height - (row + 1) * PANEL_HEIGHT + GAP_DOWN / 2,
            width=across - GAP_ACROSS,
            height=PANEL_HEIGHT - GAP_DOWN,
            first_of_row=column == 0,
            last_of_column=index + columns >= count,
        )


def _frame(axes: Axes, panel: _Panel, scales: _Scales) -> None:
    """Grid, axis lines and the labels that the panel's place asks for."""
    edges_x, edges_y = panel.x(np.array([0.0, 1.0])), panel.y(np.array([0.0, 1.0]))
    grid = []
    for tick in scales.latency_ticks():
        height = float(panel.y(scales.up(tick)))
        grid.append([(edges_x[0], height), (edges_x[1], height)])
        if panel.first_of_row:
            text = short(format_ns(tick))
            axes.text(
                panel.left - 0.06, height, text, ha="right", va="center", fontsize=8, color=MUTED
            )
    for tick in scales.operation_ticks():
        place = float(panel.x(scales.across(tick)))
        grid.append([(place, edges_y[0]), (place, edges_y[1])])
        if panel.last_of_column:
            text = format_count(tick)
            axes.text(
                place, panel.bottom - 0.05, text, ha="center", va="top", fontsize=8, color=MUTED
            )
    axes.add_collection(LineCollection(grid, colors="#e6e9ed", linewidths=0.7), autolim=False)
    axes.plot([edges_x[0], edges_x[0], edges_x[1]], [edges_y[1], edges_y[0], edges_y[0]],
              color="#b9c0c8", linewidth=0.8)  # fmt: skip


def _points(axes: Axes, panels: Sequence[_Panel], cells: Sequence[Points], scales: _Scales) -> None:
    """One line a cause for all panels; what is rarest lies on top."""
    places = [
        (panel.x(scales.across(points.row)), panel.y(scales.up(points.latency_ns)))
        for panel, points in zip(panels, cells, strict=True)
    ]
    x, y = (np.concatenate(values) for values in zip(*places, strict=True))
    cause = np.concatenate([points.cause for points in cells])
    for code, (name, look) in enumerate(cause_looks().items()):
        chosen = cause == code
        axes.plot(x[chosen], y[chosen], linestyle="", marker=look.marker, markeredgewidth=0,
                  color=look.colour, markersize=_QUIET_SIZE if name == QUIET else _SIZE,
                  zorder=3.0 - 0.1 * code)  # fmt: skip


def _captions(figure: Figure, cells: Mapping[str, Points]) -> None:
    thinned = any(points.thinned for points in cells.values())
    how = ", thinned: extremes and middle of each stretch, and the slowest calls" if thinned else ""
    if any(points.slowest_only for points in cells.values()):
        how += "; of long traces only the slowest calls are kept one by one"
    label(figure, x=f"operation, in the order of the trace{how}", y="latency of one call")
    looks = cause_looks()
    seen = np.unique(np.concatenate([points.cause for points in cells.values()]))
    key(figure, [(CAUSES[code], looks[CAUSES[code]], "point") for code in seen])
