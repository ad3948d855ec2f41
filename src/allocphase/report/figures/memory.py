"""Resident memory over operation time, beside what the program asked for."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FuncFormatter, MaxNLocator

from allocphase.frames import Run
from allocphase.report.figures.canvas import MUTED, grid, in_bytes, key
from allocphase.report.palette import Look, looks
from allocphase.units import format_count

__all__ = ["memory"]

PAGE_BYTES = 4096


def memory(run: Run) -> Figure:
    """A panel a scenario: RSS growth of each allocator as lines, live bytes as the filled area."""
    figure, panels = grid(len(run.scenarios), columns=3, panel=(3.5, 2.5), head=0.8, share_y=False)
    chosen = looks(run.allocators)
    for axes, scenario in zip(panels, run.scenarios, strict=True):
        _panel(axes, run, scenario, chosen)
        axes.set_title(scenario)
    figure.supxlabel("operation", fontsize=9, color=MUTED)
    figure.supylabel("resident memory (lines), live bytes (area)", fontsize=9, color=MUTED)
    key(figure, [(name, look, "line") for name, look in chosen.items()])
    return figure


def _panel(axes: Axes, run: Run, scenario: str, chosen: dict[str, Look]) -> None:
    in_bytes(axes)
    axes.xaxis.set_major_locator(MaxNLocator(4, integer=True))
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: format_count(value)))
    live = None
    for index, (name, look) in enumerate(chosen.items()):
        for arrays in run.samples_of(name, scenario, "memory")[:1]:
            points = arrays["checkpoints"]
            live = points
            axes.plot(
                points["op"],
                points["rss_bytes"].clip(PAGE_BYTES),
                color=look.colour,
                linestyle=(0, look.dash or ()),
                marker=look.marker,
                markersize=3.5,
                markevery=(0.03 + 0.012 * index, 0.2),
                linewidth=1.2,
            )
    if live is not None:
        bottom = max(PAGE_BYTES, int(live["live_bytes"].max()) // 64)
        axes.fill_between(
            live["op"],
            live["live_bytes"].clip(bottom / 2),
            bottom / 2,
            color="#d8dee4",
            linewidth=0,
            zorder=0.5,
        )
        axes.set_ylim(bottom=bottom / 2, top=axes.get_ylim()[1] * 1.5)
        axes.set_xlim(left=0)
