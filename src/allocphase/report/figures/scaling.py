"""Throughput and speed-up against the number of threads, each with its ideal line."""

from __future__ import annotations

from collections.abc import Sequence

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from allocphase.analysis.scaling import levels_of
from allocphase.analysis.sweep import Sweep
from allocphase.report.content.palette import Look
from allocphase.report.content.scaling import arms_of, points
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import (
    MUTED,
    TEXT,
    grid,
    in_levels,
    in_rates,
    in_ratios,
    key,
    label,
)
from allocphase.text.units import counted

__all__ = ["scaling"]

SHARED = "#f0f1f3"
_THIN = 0.8


def scaling(source: Source, sweep: Sweep) -> Figure:
    """Thin is the ideal: of each allocator, going by its first level; of all, as a speed-up."""
    figure, (rates, ratios) = grid(
        2, columns=2, panel=(5.4, 4.2), top=0.8, bottom=0.55, left=0.85, share=False, gaps=(0.7, 0)
    )
    levels = levels_of(source.run, sweep)
    in_rates(rates)
    in_ratios(ratios)
    for axes in (rates, ratios):
        in_levels(axes, sweep.values)
        axes.set_xlim(sweep.values[0] / 1.15, sweep.values[-1] * 1.15)
        _shade(axes, source, sweep.values[-1], shared=any(level.shared for level in levels))
    ideal = [level.at_once / levels[0].at_once for level in levels]
    ratios.plot(sweep.values, ideal, color=MUTED, linewidth=_THIN, marker="")
    for name in arms_of(source):
        found, look = points(source, sweep, name), source.looks[name]
        _line(rates, sweep, [point.ops_per_second for point in found], look)
        _line(rates, sweep, [point.ideal_per_second for point in found], look, ideal=True)
        found_ratios = [p.speedup.ratio.estimate if p.speedup else None for p in found]
        _line(ratios, sweep, found_ratios, look)
    for axes in (rates, ratios):
        low, high = axes.get_ylim()
        axes.set_ylim(low / 1.1, high * 1.25)
    rates.set_title(f"{sweep.base}: operations a second", color=TEXT)
    ratios.set_title(f"{sweep.base}: speed-up", color=TEXT)
    label(figure, x="threads (thin: ideal)", y="")
    key(figure, [(name, source.looks[name], "line") for name in arms_of(source)])
    return figure


def _shade(axes: Axes, source: Source, last: float, *, shared: bool) -> None:
    """Where there are more threads than CPUs."""
    cpus = len(source.run.manifest.plan.cpus)
    if shared:
        axes.axvspan(cpus, last * 1.15, color=SHARED, linewidth=0, zorder=0)
        text = f"more threads than {counted(cpus, 'CPU')}"
        axes.annotate(
            text, (cpus, 1), xycoords=("data", "axes fraction"),
            xytext=(4, -4), textcoords="offset points", va="top", fontsize=8, color=MUTED,
        )  # fmt: skip


def _line(
    axes: Axes, sweep: Sweep, values: Sequence[float | None], look: Look, *, ideal: bool = False
) -> None:
    present = [(x, y) for x, y in zip(sweep.values, values, strict=True) if y]
    if not present:
        return
    if ideal:
        axes.plot(*zip(*present, strict=True), color=look.colour, linewidth=_THIN, marker="")
    else:
        axes.plot(*zip(*present, strict=True), color=look.colour, linestyle=(0, look.dash),
                  marker=look.marker, markeredgewidth=0)  # fmt: skip
