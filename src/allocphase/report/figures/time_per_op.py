"""Time per op by allocator and scenario, with its interval, the floor and the baseline marked."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patheffects import withStroke

from allocphase.analysis.cell import Cell
from allocphase.report.content.palette import Look
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import MUTED, TEXT, grid, in_ns
from allocphase.text.units import format_ns

__all__ = ["time_per_op"]


def time_per_op(source: Source) -> Figure:
    """A panel a scenario, a row an allocator; dots, since a log axis has no zero for bars."""
    names, scenarios = source.names, source.scenarios
    height = 0.25 * len(names) + 0.75
    figure, panels = grid(
        len(scenarios), columns=3, panel=(3.3, height), top=0.6, bottom=0.3, left=_margin(names),
        share=False, gaps=(0.2, 0.65),
    )  # fmt: skip
    for index, (axes, scenario) in enumerate(zip(panels, scenarios, strict=True)):
        _panel(axes, source.cells(scenario), source)
        axes.set_title(scenario)
        axes.tick_params(labelleft=index % 3 == 0)
    figure.suptitle(
        "Time per op (log scale). Dashed: the floor, the same trace on the null allocator.  "
        f"Dotted: {source.baseline}.",
        x=0.01,
        ha="left",
        fontsize=9,
        color=MUTED,
    )
    return figure


def _margin(names: Sequence[str]) -> float:
    """Inches for the longest name: some 0.072 a letter at this size."""
    return 0.25 + 0.072 * max(map(len, names), default=0)


def _panel(axes: Axes, cells: Sequence[Cell], source: Source) -> None:
    names = source.names
    in_ns(axes, "x")
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(axis="y", length=0)
    axes.grid(visible=False, axis="y")
    for cell in cells:
        name = cell.allocator
        _row(axes, names.index(name), cell, source.looks[name])
    _mark(axes, next((cell.metrics.get("floor_ns") for cell in cells), None), "--")
    base = (cell for cell in cells if cell.allocator == source.baseline)
    _mark(axes, next(map(_time, base), None), ":")
    _room_for_labels(axes, [t for t in map(_time, cells) if t])


def _time(cell: Cell) -> float | None:
    return float(cell.time_ns) if cell.time_ns else None


def _row(axes: Axes, row: int, cell: Cell, look: Look) -> None:
    time_ns = _time(cell)
    if time_ns is None:
        text = cell.status if not cell.ok else "not measured"
        axes.text(
            0.02,
            row,
            text,
            transform=axes.get_yaxis_transform(),
            va="center",
            fontsize=8,
            style="italic",
            color=MUTED,
        )
        return
    low, high = cell.time_interval_ns or (time_ns, time_ns)
    axes.plot([low, high], [row, row], color=look.colour, linewidth=3, alpha=0.45)
    axes.plot([time_ns], [row], marker=look.marker, color=look.colour, markersize=6.5)
    label = axes.annotate(
        format_ns(time_ns),
        (max(high, time_ns), row),
        xytext=(7, 0),
        va="center",
        textcoords="offset points",
        fontsize=8,
        color=TEXT,
    )
    label.set_path_effects([withStroke(linewidth=2.5, foreground="white")])


def _mark(axes: Axes, time_ns: float | None, style: str) -> None:
    if time_ns:
        axes.axvline(time_ns, color=MUTED, linestyle=style, linewidth=1.1, zorder=0.8)


def _room_for_labels(axes: Axes, times_ns: Sequence[float]) -> None:
    """The slowest row's label must not leave the panel: on a log axis, room is a factor."""
    low, high = axes.get_xlim()
    if times_ns:
        span = max(high / low, 10.0)
        axes.set_xlim(low, max(times_ns) * span**0.28)
