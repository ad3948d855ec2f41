"""Latency by percentile, a panel a kind of operation, a line an allocator."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from allocphase.analysis.metrics import KIND_NAMES
from allocphase.report.content.curves import Curve
from allocphase.report.content.palette import Look
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import MUTED, empty, grid, in_ns, key, label, only_outer

__all__ = ["percentiles"]


def percentiles(source: Source, scenario: str) -> Figure:
    """The tail gets as much room as the middle: the axis is the share of slower operations."""
    found = {name: source.curves(name, scenario) for name in source.names_on(scenario)}
    found = {name: by_kind for name, by_kind in found.items() if by_kind}
    kinds = [kind for kind in KIND_NAMES if any(kind in by_kind for by_kind in found.values())]
    if not kinds:
        return empty("no latency was measured")
    columns = max(2, min(3, len(kinds)))
    figure, panels = grid(
        len(kinds), columns=columns, panel=(10.5 / columns, 3.3), top=0.8, bottom=0.55, left=0.75
    )
    for axes, kind in zip(panels, kinds, strict=True):
        of_kind = {name: by[kind] for name, by in found.items() if kind in by}
        _panel(axes, of_kind, source.looks, source.clock_ns(scenario))
        axes.set_title(kind)
    finest = min(c.above[-1] for by in found.values() for c in by.values())
    panels[0].set_xlim(1.0, finest)
    nines = [10.0**-n for n in range(1, 9) if 10.0**-n > 1.5 * finest]
    panels[0].xaxis.set_major_locator(FixedLocator([0.5, *nines]))
    only_outer(panels, columns=columns)
    label(figure, x="percentile (dashed: what the clock costs)", y="latency of one call")
    key(figure, [(name, source.looks[name], "line") for name in found])
    return figure


def _panel(
    axes: Axes, found: Mapping[str, Curve], looks: Mapping[str, Look], clock_ns: float | None
) -> None:
    in_ns(axes)
    axes.set_xscale("log")
    for index, (name, curve) in enumerate(found.items()):
        look = looks[name]
        axes.plot(
            curve.above, curve.latency_ns, color=look.colour, linestyle=(0, look.dash),
            marker=look.marker, markersize=4, markeredgewidth=0,
            markevery=(4 + index, 24), label=name,
        )  # fmt: skip
    if clock_ns:
        axes.axhline(clock_ns, color=MUTED, linestyle="--", linewidth=1)
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda above, _: _percentile(above)))


def _percentile(above: float) -> str:
    """0.001 -> "p99.9"."""
    return f"p{100 * (1 - above):.6f}".rstrip("0").rstrip(".")
