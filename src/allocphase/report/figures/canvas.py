"""The paper that every static figure is drawn on: style, small multiples, axes in our units.

Only matplotlib's object interface is used: there is no global state, and threads may draw.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, LogLocator, NullLocator

from allocphase.data import find
from allocphase.report.palette import Look
from allocphase.units import format_bytes, format_ns

__all__ = ["MUTED", "TEXT", "canvas", "grid", "in_bytes", "in_ns", "key", "styled", "tick", "write"]

TEXT, MUTED = "#1f2328", "#59636e"


@contextmanager
def styled() -> Iterator[None]:
    """Everything drawn inside has the style of reports/allocphase.mplstyle."""
    with mpl.rc_context(_style()):
        yield


@cache
def _style() -> mpl.RcParams:
    return mpl.rc_params_from_file(find("reports/allocphase.mplstyle"), use_default_template=False)


def canvas(*, width: float, height: float) -> Figure:
    """An empty figure with Agg behind it; inches."""
    figure = Figure(figsize=(width, height), layout="constrained")
    FigureCanvasAgg(figure)
    return figure


def grid(
    count: int, *, columns: int, panel: tuple[float, float], head: float = 0.6, share_y: bool = True
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in rows of at most `columns`; `panel` and `head` in inches."""
    columns = max(1, min(columns, count))
    rows = max(1, math.ceil(count / columns))
    figure = canvas(width=panel[0] * columns, height=panel[1] * rows + head)
    axes = figure.subplots(rows, columns, sharex=False, sharey=share_y, squeeze=False)
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.set_axis_off()
    return figure, flat[:count]


def tick(text: Callable[[float], str]) -> FuncFormatter:
    """A formatter without digits that a tick does not need: "10 ns", not "10.0 ns"."""
    return FuncFormatter(lambda value, _: _short(text(value)))


def _short(text: str) -> str:
    number, _, unit = text.partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {unit}".strip()


def in_ns(axes: Axes, which: str = "y") -> None:
    """A log axis in ns, one tick a decade."""
    _log(axes, which, base=10.0, text=format_ns)


def in_bytes(axes: Axes, which: str = "y") -> None:
    """A log axis in bytes, ticks at powers of two."""
    _log(axes, which, base=4.0, text=format_bytes)


def _log(axes: Axes, which: str, *, base: float, text: Callable[[float], str]) -> None:
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(LogLocator(base=base, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(tick(text))


def key(figure: Figure, entries: Sequence[tuple[str, Look, str]]) -> None:
    """One legend above all panels. entries: name, look and "line" or "point"."""
    from matplotlib.lines import Line2D

    handles = [
        Line2D(
            [],
            [],
            color=look.colour,
            marker=look.marker,
            label=name,
            markersize=5,
            linestyle=(0, look.dash)
            if kind == "line" and look.dash
            else "-"
            if kind == "line"
            else "",
        )
        for name, look, kind in entries
    ]
    figure.legend(
        handles=handles, loc="outside upper left", ncols=min(len(handles), 6), handlelength=2.6
    )


def write(figure: Figure, path: Path) -> None:
    """PNG or SVG, by the name; without a date, so that equal figures are equal files."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": "allocphase"}
    figure.savefig(path, metadata=metadata)
