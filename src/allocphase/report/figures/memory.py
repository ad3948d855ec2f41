"""Resident memory over operation time, beside what the program asked for."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import grid, in_bytes, in_counts, key, label

__all__ = ["memory"]

PAGE_BYTES = 4096
# How far below the live peak the axis begins; less says nothing of waste.
DEPTH = 128


def memory(source: Source) -> Figure:
    """A panel a scenario: RSS growth of each allocator as lines, live bytes as the filled area."""
    figure, panels = grid(
        len(source.traced), columns=3, panel=(3.6, 2.4), top=0.85, bottom=0.5, left=0.85,
        share=False, gaps=(0.75, 0.6),
    )  # fmt: skip
    for axes, scenario in zip(panels, source.traced, strict=True):
        _panel(axes, source, scenario)
        axes.set_title(scenario)
    label(figure, x="operation", y="resident memory (lines), live bytes (area)")
    key(figure, [(name, look, "line") for name, look in source.looks.items()])
    return figure


def _panel(axes: Axes, source: Source, scenario: str) -> None:
    in_bytes(axes)
    in_counts(axes)
    live = None
    for index, name in enumerate(source.names_on(scenario)):
        look = source.looks[name]
        points = source.checkpoints(name, scenario)
        if points is None:
            continue
        live = points
        axes.plot(
            points["op"], points["rss_bytes"].clip(PAGE_BYTES), color=look.colour,
            linestyle=(0, look.dash), marker=look.marker, markersize=3.5, markeredgewidth=0,
            markevery=(0.03 + 0.012 * index, 0.2), linewidth=1.2,
        )  # fmt: skip
    if live is not None:
        bottom = max(PAGE_BYTES, int(live["live_bytes"].max()) // DEPTH)
        axes.fill_between(
            live["op"], live["live_bytes"].clip(bottom), bottom,
            color="#d8dee4", linewidth=0, zorder=0.5,
        )  # fmt: skip
        axes.set_ylim(bottom=bottom, top=axes.get_ylim()[1] * 1.5)
        axes.set_xlim(left=0)
