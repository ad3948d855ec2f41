"""A sweep over threads: throughput and speed-up with their ideal, efficiency, waits, memory."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from allocphase.analysis.scaling import levels_of
from allocphase.analysis.sweep import Sweep
from allocphase.report.content.scaling import Panel, arms_of, panels
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import (
    MUTED,
    TEXT,
    empty,
    grid,
    in_each,
    in_finer_bytes,
    in_levels,
    in_rates,
    in_ratios,
    in_shares,
    key,
    label,
)
from allocphase.text.units import counted

__all__ = ["scaling"]

SHARED = "#f0f1f3"
_THIN = 0.8
_AXES = {
    "rate": in_rates,
    "factor": in_ratios,
    "share": in_shares,
    "each": in_each,
    "resident": in_finer_bytes,
}
_LOGARITHMIC = ("rate", "factor", "resident")


def scaling(source: Source, sweep: Sweep) -> Figure:
    """Thin is the ideal: of each allocator, going by its first level; of all, as a speed-up."""
    drawn = panels(source, sweep)
    if not drawn:
        return empty("Not measured.")
    figure, each = grid(
        len(drawn), columns=3, panel=(4.0, 3.4), top=0.8, bottom=0.55, left=0.8, share=False,
        gaps=(0.75, 0.7),
    )  # fmt: skip
    shared = any(level.shared for level in levels_of(source.run, sweep))
    for axes, panel in zip(each, drawn, strict=True):
        _draw(axes, source, sweep, panel)
        in_levels(axes, sweep.values)
        axes.set_xlim(sweep.values[0] / 1.15, sweep.values[-1] * 1.15)
        if shared:
            _shade(axes, len(source.run.manifest.plan.cpus), sweep.values[-1] * 1.15)
        axes.set_title(f"{sweep.base}: {panel.title}", color=TEXT)
    label(figure, x="threads (thin: ideal)", y="")
    key(figure, [(name, source.looks[name], "line") for name in arms_of(source)])
    return figure


def _draw(axes: Axes, source: Source, sweep: Sweep, panel: Panel) -> None:
    _thin(axes, sweep, panel.common, colour=MUTED)
    for name in arms_of(source):
        look = source.looks[name]
        _thin(axes, sweep, panel.ideal.get(name, ()), colour=look.colour)
        present = _present(sweep, panel.lines[name])
        if present:
            axes.plot(*zip(*present, strict=True), color=look.colour, linestyle=(0, look.dash),
                      marker=look.marker, markeredgewidth=0)  # fmt: skip
    if panel.axis in _LOGARITHMIC:
        lines = (*panel.lines.values(), *panel.ideal.values(), panel.common)
        values = [value for line in lines for value in line if value]
        axes.set_ylim(min(values) / 1.3, max(values) * 1.45)
    _AXES[panel.axis](axes)


def _thin(axes: Axes, sweep: Sweep, values: Sequence[float | None], *, colour: str) -> None:
    present = _present(sweep, values) if values else []
    if present:
        axes.plot(*zip(*present, strict=True), color=colour, linewidth=_THIN, marker="")


def _present(sweep: Sweep, values: Sequence[float | None]) -> list[tuple[float, float]]:
    return [(x, y) for x, y in zip(sweep.values, values, strict=True) if y is not None]


def _shade(axes: Axes, cpus: int, end: float) -> None:
    """Where there are more threads than CPUs."""
    axes.axvspan(cpus, end, color=SHARED, linewidth=0, zorder=0)
    axes.annotate(
        f"more threads than {counted(cpus, 'CPU')}", (cpus, 1), xycoords=("data", "axes fraction"),
        xytext=(4, -4), textcoords="offset points", va="top", fontsize=8, color=MUTED,
    )  # fmt: skip
