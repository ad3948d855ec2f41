"""Latency by percentile, a panel a kind of operation, a line an allocator."""

from __future__ import annotations

from collections.abc import Mapping

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, FuncFormatter, NullLocator

from allocphase.frames import Run
from allocphase.metrics import KIND_NAMES
from allocphase.report.curves import Curve, curves
from allocphase.report.figures.canvas import MUTED, canvas, grid, in_ns, key
from allocphase.report.palette import Look, looks

__all__ = ["percentiles"]


def percentiles(run: Run, scenario: str) -> Figure:
    """The tail gets as much room as the middle: the axis is the share of slower operations."""
    found = {name: curves(run, name, scenario) for name in run.allocators}
    kinds = [kind for kind in KIND_NAMES if any(kind in by_kind for by_kind in found.values())]
    if not kinds:
        return _empty()
    chosen = looks(run.allocators)
    width = 10.5 / max(2, min(3, len(kinds)))
    figure, panels = grid(len(kinds), columns=3, panel=(width, 3.4), head=0.6)
    clock_ns = _clock_ns(run, scenario)
    for axes, kind in zip(panels, kinds, strict=True):
        _panel(axes, {name: by[kind] for name, by in found.items() if kind in by}, chosen)
        axes.set_title(kind)
        if clock_ns:
            axes.axhline(clock_ns, color=MUTED, linestyle="--", linewidth=1)
    panels[0].set_ylabel("latency of one call")
    figure.supxlabel("percentile", fontsize=9, color=MUTED)
    key(figure, [(name, chosen[name], "line") for name, by in found.items() if by])
    return figure


def _empty() -> Figure:
    figure = canvas(width=6, height=1)
    figure.text(0.5, 0.5, "no latency was measured", ha="center", color=MUTED)
    return figure


def _clock_ns(run: Run, scenario: str) -> float | None:
    cells = (cell["metrics"] for cell in run.cell_list if cell["scenario"] == scenario)
    return next((m["clock_floor_ns"] for m in cells if m.get("clock_floor_ns")), None)


def _panel(axes: Axes, found: Mapping[str, Curve], chosen: Mapping[str, Look]) -> None:
    in_ns(axes)
    axes.set_xscale("log")
    for index, (name, curve) in enumerate(found.items()):
        look = chosen[name]
        axes.plot(
            curve.above,
            curve.latency_ns,
            color=look.colour,
            linestyle=(0, look.dash or ()),
            marker=look.marker,
            markersize=4,
            markevery=(4 + index, 24),
            label=name,
        )
    finest = min(curve.above[-1] for curve in found.values())
    axes.set_xlim(1.0, finest)
    nines = [10.0**-n for n in range(1, 9) if 10.0**-n >= finest * 0.99]
    axes.xaxis.set_major_locator(FixedLocator([0.5, *nines]))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda above, _: _percentile(above)))
    axes.tick_params(labelleft=True)


def _percentile(above: float) -> str:
    """0.001 -> "p99.9"."""
    return f"p{100 * (1 - above):.6f}".rstrip("0").rstrip(".")
