"""What was resident of a program's processes together, from its start to its end."""

from __future__ import annotations

import math

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from allocphase.report.content.programs import resident
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import empty, grid, key, label, short
from allocphase.text.units import format_bytes, format_ns

__all__ = ["program_memory"]

# Ticks of an axis, at most about so many.
TICKS = 6


def program_memory(source: Source, scenario: str) -> Figure:
    """A line an allocator; both axes begin with nothing."""
    found = [(name, resident(source, name, scenario)) for name in source.names_on(scenario)]
    lines = [(name, line) for name, line in found if line is not None]
    if not lines:
        return empty(f"{scenario}: nobody looked at its memory")
    figure, (axes,) = grid(1, columns=1, panel=(7.5, 3.6), top=0.85, bottom=0.55, left=0.85)
    for name, line in lines:
        look = source.looks[name]
        axes.plot(line.time_ns, line.rss_bytes, color=look.colour, linestyle=(0, look.dash),
                  marker=look.marker, markersize=3.5, markeredgewidth=0,
                  markevery=max(1, line.time_ns.size // 8), linewidth=1.4)  # fmt: skip
    axes.set_xlim(left=0)
    axes.set_ylim(bottom=0)
    axes.xaxis.set_major_locator(MaxNLocator(TICKS))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: short(format_ns(value))))
    _in_bytes_from_nothing(axes)
    axes.set_title(scenario)
    label(figure, x="time since its start", y="resident memory of all its processes")
    key(figure, [(name, source.looks[name], "line") for name, _ in lines])
    return figure


def _in_bytes_from_nothing(axes: Axes) -> None:
    """Ticks at multiples of a power of two, which are round in our units."""
    top = axes.get_ylim()[1]
    step = 2.0 ** math.ceil(math.log2(max(top, 1.0) / TICKS))
    axes.set_yticks([step * place for place in range(int(top / step) + 1)])
    axes.yaxis.set_major_formatter(FuncFormatter(lambda value, _: short(format_bytes(value))))
