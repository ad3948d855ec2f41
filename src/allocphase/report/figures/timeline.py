"""Every operation's latency in order, coloured by why: system call, page fault, neither ..."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from allocphase.frames import CAUSES
from allocphase.report.figures.canvas import empty, grid, in_counts, in_ns, key, label, only_outer
from allocphase.report.palette import Look, cause_looks
from allocphase.report.points import Points
from allocphase.report.source import Source

__all__ = ["timeline"]

_SIZE, _QUIET_SIZE = 3.0, 1.4
QUIET = "neither"


def timeline(source: Source, scenario: str) -> Figure:
    """A panel an allocator with common axes; thinned by thin.kept, which loses no outlier."""
    cells = {name: source.points(name, scenario) for name in source.arms_of(scenario)}
    cells = {name: points for name, points in cells.items() if points.row.size}
    if not cells:
        return empty("no latency was measured")
    columns = 3 if len(cells) <= 9 else 4
    figure, panels = grid(
        len(cells), columns=columns, panel=(10.5 / columns, 1.75), top=0.62, bottom=0.5, left=0.75
    )
    causes = cause_looks()
    for axes, (name, points) in zip(panels, cells.items(), strict=True):
        _panel(axes, points, causes)
        axes.set_title(name, color=source.looks[name].colour)
    low = min(points.latency_ns.min() for points in cells.values())
    high = max(points.latency_ns.max() for points in cells.values())
    panels[0].set_ylim(max(low, 1.0) / 1.5, high * 1.8)
    panels[0].set_xlim(0, max(points.operations for points in cells.values()))
    only_outer(panels, columns=columns)
    _captions(figure, cells, causes)
    return figure


def _panel(axes: Axes, points: Points, causes: Mapping[str, Look]) -> None:
    in_ns(axes)
    in_counts(axes)
    for code, cause in enumerate(CAUSES):
        chosen = points.cause == code
        axes.plot(
            points.row[chosen], points.latency_ns[chosen], linestyle="", markeredgewidth=0,
            marker=causes[cause].marker, color=causes[cause].colour,
            markersize=_QUIET_SIZE if cause == QUIET else _SIZE, zorder=2.5 - 0.1 * code,
        )  # fmt: skip


def _captions(figure: Figure, cells: Mapping[str, Points], causes: Mapping[str, Look]) -> None:
    thinned = any(points.thinned for points in cells.values())
    how = ", thinned: extremes and middle of each stretch, and the slowest calls" if thinned else ""
    label(figure, x=f"operation, in the order of the trace{how}", y="latency of one call")
    seen = np.unique(np.concatenate([points.cause for points in cells.values()]))
    key(figure, [(CAUSES[code], causes[CAUSES[code]], "point") for code in seen])
