"""Time per op against the parameter of a sweep, with the fitted exponent of each allocator."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure

from allocphase.analysis.sweep import Sweep
from allocphase.report.content.growth import fitted, levels_ns
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import MUTED, TEXT, grid, in_levels, in_ns, key, label

__all__ = ["growth"]

# Labels at the right end, at least this factor apart.
_APART = 1.22


def growth(source: Source, sweep: Sweep) -> Figure:
    """Both axes are logarithmic: a straight line is a power, and its slope the exponent."""
    figure, (axes,) = grid(1, columns=1, panel=(7.5, 4.2), top=0.75, bottom=0.55, left=0.75)
    in_ns(axes)
    in_levels(axes, sweep.values)
    ends: list[tuple[float, str, str]] = []
    for name in source.names:
        times = levels_ns(source, sweep, name)
        present = [(x, y) for x, y in zip(sweep.values, times, strict=True) if y]
        if not present:
            continue
        look = source.looks[name]
        axes.plot(*zip(*present, strict=True), color=look.colour, linestyle=(0, look.dash),
                  marker=look.marker, markeredgewidth=0)  # fmt: skip
        found = fitted(source, sweep, name)
        if found is not None:
            ends.append((present[-1][1], f"{found.exponent.estimate:.2f}", look.colour))
    _floor(axes, source, sweep)
    _end_labels(axes, ends, x=sweep.values[-1])
    axes.set_xlim(sweep.values[0] / 1.15, sweep.values[-1] * 1.6)
    axes.set_title(f"{sweep.base}: exponents at the right end", color=TEXT)
    label(figure, x=f"{sweep.parameter} (dashed: the floor)", y="time per op")
    key(figure, [(name, look, "line") for name, look in source.looks.items()])
    return figure


def _floor(axes: Axes, source: Source, sweep: Sweep) -> None:
    levels = [source.floor_ns(scenario) for scenario in sweep.scenarios]
    present = [(x, y) for x, y in zip(sweep.values, levels, strict=True) if y]
    if present:
        axes.plot(*zip(*present, strict=True), color=MUTED, linestyle="--", linewidth=1)


def _end_labels(axes: Axes, ends: list[tuple[float, str, str]], *, x: float) -> None:
    """From below, each pushed up where it would cover the one before."""
    last = 0.0
    for time_ns, text, colour in sorted(ends):
        last = max(time_ns, last * _APART)
        axes.annotate(text, (x, last), xytext=(9, 0), textcoords="offset points", va="center",
                      fontsize=8, color=colour)  # fmt: skip
