"""The paper that every static figure is drawn on: style, small multiples, axes in our units.

Only matplotlib's object interface is used: there is no global state. Margins are given in inches
rather than found by a layout engine, which would draw each figure twice.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Literal

import matplotlib as mpl
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FixedLocator, FuncFormatter, LogLocator, MaxNLocator, NullLocator

from allocphase.files.durable import write_whole
from allocphase.report.content.palette import Look
from allocphase.resources import find
from allocphase.text.units import format_bytes, format_count, format_ns, format_per_second

__all__ = [
    "MUTED",
    "TEXT",
    "blank",
    "empty",
    "grid",
    "in_bytes",
    "in_counts",
    "in_each",
    "in_finer_bytes",
    "in_levels",
    "in_ns",
    "in_rates",
    "in_ratios",
    "in_shares",
    "key",
    "label",
    "only_outer",
    "short",
    "styled",
    "write",
]

TEXT, MUTED = "#1f2328", "#59636e"
RIGHT_INCHES, BETWEEN_INCHES = 0.12, 0.5


@contextmanager
def styled() -> Iterator[None]:
    """Everything drawn inside has the style of reports/allocphase.mplstyle."""
    with mpl.rc_context(_style()):
        yield


@cache
def _style() -> mpl.RcParams:
    return mpl.rc_params_from_file(find("reports/allocphase.mplstyle"), use_default_template=False)


def _canvas(*, width: float, height: float) -> Figure:
    figure = Figure(figsize=(width, height))
    FigureCanvasAgg(figure)
    return figure


def empty(text: str) -> Figure:
    """A figure that says why it is empty."""
    figure = _canvas(width=6, height=1)
    figure.text(0.5, 0.5, text, ha="center", va="center", color=MUTED)
    return figure


def blank(*, width: float, height: float) -> tuple[Figure, Axes]:
    """A figure with one pair of invisible axes that measure in inches from the lower left."""
    figure = _canvas(width=width, height=height)
    axes = figure.add_axes((0, 0, 1, 1), xlim=(0, width), ylim=(0, height))
    axes.set_axis_off()
    return figure, axes


def grid(
    count: int,
    *,
    columns: int,
    panel: tuple[float, float],
    top: float,
    bottom: float,
    left: float,
    share: bool = True,
    gaps: tuple[float, float] = (0.18, 0.34),
) -> tuple[Figure, list[Axes]]:
    """A figure of `count` panels in rows of at most `columns`.

    In inches: `panel` is the size of one with its gap, `top`, `bottom` and `left` are the margins,
    `gaps` lie between panels, across and down. `share`: all panels have the same axes.
    """
    columns = max(1, min(columns, count))
    rows = max(1, math.ceil(count / columns))
    width = panel[0] * columns + left + RIGHT_INCHES
    height = panel[1] * rows + top + bottom
    figure = _canvas(width=width, height=height)
    axes = figure.subplots(rows, columns, sharex=share, sharey=share, squeeze=False)
    figure.subplots_adjust(
        left=left / width, right=1 - RIGHT_INCHES / width,
        top=1 - top / height, bottom=bottom / height,
        wspace=gaps[0] / (panel[0] - gaps[0]), hspace=gaps[1] / (panel[1] - gaps[1]),
    )  # fmt: skip
    flat = list(axes.flat)
    for spare in flat[count:]:
        spare.remove()
    return figure, flat[:count]


def label(figure: Figure, *, x: str, y: str) -> None:
    """What the axes of all panels mean."""
    width, height = figure.get_size_inches()
    figure.supxlabel(x, y=0.08 / height, va="bottom", fontsize=9, color=MUTED)
    figure.supylabel(y, x=0.05 / width, ha="left", fontsize=9, color=MUTED)


def only_outer(panels: Sequence[Axes], *, columns: int) -> None:
    """With common axes, only the first panel of a row and the last of a column are labelled."""
    for index, axes in enumerate(panels):
        axes.tick_params(labelleft=index % columns == 0, labelbottom=index + columns >= len(panels))


def in_ns(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """A log axis in ns, one tick a decade."""
    _log(axes, which, base=10.0, text=format_ns)


def in_bytes(axes: Axes, which: Literal["x", "y"] = "y") -> None:
    """A log axis in bytes, ticks at powers of four."""
    _log(axes, which, base=4.0, text=format_bytes)


def in_rates(axes: Axes) -> None:
    """A log axis in operations a second; its ticks are the more, the shorter it is."""
    low, high = axes.get_ylim()
    _log(axes, "y", base=10.0, text=format_per_second)
    decades = math.log10(high / low)
    subs = (1.0, 1.5, 2.0, 3.0, 5.0, 7.0) if decades < 1 else (1.0, 2.0, 5.0)
    axes.yaxis.set_major_locator(LogLocator(base=10.0, subs=subs, numticks=12))


def in_ratios(axes: Axes) -> None:
    """A log axis of factors, ticks at powers of two."""
    _log(axes, "y", base=2.0, text=lambda value: f"{value:g}x")


def in_shares(axes: Axes) -> None:
    """A linear axis from 0 in percent."""
    _from_nothing(axes, lambda value: f"{value:.0%}" if value >= 0.1 else f"{100 * value:g}%")


def in_each(axes: Axes) -> None:
    """A linear axis from 0, of what there is in an operation."""
    _from_nothing(axes, lambda value: f"{value:g}")


def in_finer_bytes(axes: Axes) -> None:
    """A log axis in bytes of values that are close together."""
    _log(axes, "y", base=2.0, text=format_bytes)
    axes.yaxis.set_major_locator(LogLocator(base=2.0, subs=(1.0, 1.5), numticks=8))


def _from_nothing(axes: Axes, text: Callable[[float], str]) -> None:
    axes.set_ylim(0, 1.25 * max(axes.get_ylim()[1], 0.01))
    axes.yaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 2.5, 5, 10]))
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: text(round(value, 9))))


def in_levels(axes: Axes, levels: Sequence[float]) -> None:
    """A horizontal log axis with a tick at each level of a sweep."""
    axes.set_xscale("log")
    axes.xaxis.set_major_locator(FixedLocator(list(levels)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(value)))


def in_counts(axes: Axes) -> None:
    """A linear horizontal axis that counts operations."""

    def text(value: float, _: int | None) -> str:
        # The last tick's label would meet the first one of the next panel.
        return "" if value > 0.9 * axes.get_xlim()[1] else format_count(value)

    axes.xaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(text))


def _log(
    axes: Axes, which: Literal["x", "y"], *, base: float, text: Callable[[float], str]
) -> None:
    (axes.set_yscale if which == "y" else axes.set_xscale)("log")
    axis = axes.yaxis if which == "y" else axes.xaxis
    axis.set_major_locator(LogLocator(base=base, numticks=8))
    axis.set_minor_locator(NullLocator())
    axis.set_major_formatter(_tick(text))


def _tick(text: Callable[[float], str]) -> FuncFormatter:
    return FuncFormatter(lambda value, _: short(text(value)))


def short(text: str) -> str:
    """Without the digits that a tick does not need: "10 ns", not "10.0 ns"."""
    number, _, unit = text.partition(" ")
    if "." in number:
        number = number.rstrip("0").rstrip(".")
    return f"{number} {unit}".strip()


def key(figure: Figure, entries: Sequence[tuple[str, Look, Literal["line", "point"]]]) -> None:
    """One legend above all panels. entries: name, look, and how it is drawn.

    The space before a name keeps matplotlib from hiding those that begin with an underscore.
    """
    handles = [
        Line2D(
            [], [], color=look.colour, marker=look.marker, label=f" {name}", markersize=5,
            markeredgewidth=0, linestyle=(0, look.dash) if kind == "line" else "",
        )
        for name, look, kind in entries
    ]  # fmt: skip
    figure.legend(handles=handles, loc="upper left", ncols=min(len(handles), 6), handlelength=2.6)


def write(figure: Figure, path: Path) -> None:
    """PNG or SVG, by the name; without a date, so that equal figures are equal files."""
    metadata = {"Date": None} if path.suffix == ".svg" else {"Software": "allocphase"}
    kind = path.suffix.removeprefix(".")
    write_whole(
        path, lambda file: figure.savefig(file, format=kind, metadata=metadata), synced=False
    )
