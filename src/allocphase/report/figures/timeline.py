"""Every operation's latency in order, coloured by why: system call, page fault or neither."""

from __future__ import annotations

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from allocphase.frames import Run
from allocphase.report.figures.canvas import MUTED, canvas, grid, in_ns, key
from allocphase.report.operations import Operations, operations
from allocphase.report.palette import Look, cause_looks, looks
from allocphase.report.thin import kept
from allocphase.units import format_count

__all__ = ["timeline"]

# A panel is some 350 pixels wide: more points than this lie on top of each other.
POINTS = 3000
_SIZES = {"system call": 9.0, "page fault": 9.0, "neither": 2.5}


def timeline(run: Run, scenario: str) -> Figure:
    """A panel an allocator with common axes; thinned by thin.kept, which loses no outlier."""
    cells = {name: operations(run, name, scenario) for name in run.allocators}
    shown = {name: cell for name, cell in cells.items() if cell.measured}
    if not shown:
        figure = canvas(width=6, height=1)
        figure.text(0.5, 0.5, "no latency was measured", ha="center", color=MUTED)
        return figure
    figure, panels = grid(len(shown), columns=3, panel=(3.5, 1.75), head=0.75)
    chosen, causes = looks(run.allocators), cause_looks()
    thinned = False
    for axes, (name, cell) in zip(panels, shown.items(), strict=True):
        thinned |= _panel(axes, cell, causes)
        axes.set_title(name, color=chosen[name].colour)
    low = min(np.nanmin(cell.latency_ns) for cell in shown.values())
    high = max(np.nanmax(cell.latency_ns) for cell in shown.values())
    panels[0].set_ylim(max(low, 1.0) / 1.5, high * 1.8)
    _captions(figure, causes, thinned=thinned)
    return figure


def _panel(axes: Axes, cell: Operations, causes: dict[str, Look]) -> bool:
    rows = kept(cell.latency_ns, cell.cause, points=POINTS)
    in_ns(axes)
    for code, (name, look) in reversed(list(enumerate(causes.items()))):
        chosen = rows[cell.cause[rows] == code]
        axes.scatter(
            chosen,
            cell.latency_ns[chosen],
            s=_SIZES[name],
            color=look.colour,
            marker=look.marker,
            linewidths=0,
            zorder=3 - code,
        )
    axes.set_xlim(0, cell.latency_ns.size)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(value)))
    return bool(rows.size < np.count_nonzero(~np.isnan(cell.latency_ns)))


def _captions(figure: Figure, causes: dict[str, Look], *, thinned: bool) -> None:
    how = ", thinned: extremes and middle of each stretch, and the slowest calls" if thinned else ""
    figure.supxlabel(f"operation, in the order of the trace{how}", fontsize=9, color=MUTED)
    figure.supylabel("latency of one call", fontsize=9, color=MUTED)
    key(figure, [(name, look, "point") for name, look in causes.items()])
