"""Why the slowest calls were slow: a stacked bar for each allocator and scenario."""

from __future__ import annotations

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Patch, Rectangle

from allocphase.analysis.frames import CAUSES
from allocphase.report.content.causes import NAMES, Slow, causes_seen, shown_quantile, slow
from allocphase.report.content.palette import cause_looks
from allocphase.report.content.source import Source
from allocphase.report.content.values import format_percent
from allocphase.report.figures.canvas import MUTED, TEXT, empty, grid
from allocphase.text.units import format_ns

__all__ = ["causes"]

# Tell the causes apart in grey; what has no cause is pale.
HATCHES = ("", "////", "xxxx", "....", "")
PALE = 0.35
# A share that its number fits into.
LEAST_LABELLED = 0.12


def causes(source: Source) -> Figure:
    """A panel a scenario, a row an allocator."""
    cells = {s: source.cells(s) for s in source.traced}
    found = {s: q for s, of_s in cells.items() if (q := shown_quantile(of_s)) is not None}
    if not found:
        return empty("it was not measured why calls are slow")
    names = source.names
    figure, panels = grid(
        len(found), columns=3, panel=(3.5, 0.25 * len(names) + 0.55), top=1.0, bottom=0.15,
        left=0.25 + 0.072 * max(map(len, names)), share=False, gaps=(0.15, 0.45),
    )  # fmt: skip
    for index, (axes, (scenario, quantile)) in enumerate(zip(panels, found.items(), strict=True)):
        _frame(axes, names, labelled=index % 3 == 0)
        axes.set_title(f"{scenario}: {NAMES[quantile]}")
        for cell in cells[scenario]:
            if (shares := slow(cell, quantile)) is not None:
                _row(axes, names.index(cell.allocator), shares)
    _key(figure, causes_seen([cell for of_s in cells.values() for cell in of_s]))
    return figure


def _frame(axes: Axes, names: list[str], *, labelled: bool) -> None:
    axes.set_xlim(0, 1.3)  # what is beyond 1 is for the time
    axes.set_ylim(len(names) - 0.5, -0.5)
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0, labelbottom=False, labelleft=labelled)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)


def _row(axes: Axes, row: int, found: Slow) -> None:
    looks, left = cause_looks(), 0.0
    for cause, hatch in zip(CAUSES, HATCHES, strict=True):
        share, rest = found.shares[cause], cause == CAUSES[-1]
        if not share:
            continue
        axes.add_patch(
            Rectangle((left, row - 0.33), share, 0.66, facecolor=looks[cause].colour, hatch=hatch,
                      alpha=PALE if rest else 1.0, edgecolor="white", linewidth=0.5)
        )  # fmt: skip
        if share >= LEAST_LABELLED:
            axes.text(left + share / 2, row, format_percent(share), ha="center", va="center",
                      fontsize=7.5, color=TEXT,
                      bbox={"facecolor": "white", "edgecolor": "none", "pad": 0.8})  # fmt: skip
        left += share
    axes.text(1.02, row, f"> {format_ns(found.above_ns)}", va="center", fontsize=7.5, color=MUTED)


def _key(figure: Figure, seen: list[str]) -> None:
    looks = cause_looks()
    handles = [
        Patch(facecolor=looks[c].colour, hatch=HATCHES[CAUSES.index(c)], edgecolor="white",
              alpha=PALE if c == CAUSES[-1] else 1.0, label=c)
        for c in seen
    ]  # fmt: skip
    height = float(figure.get_size_inches()[1])
    figure.suptitle(
        "Share of the slowest calls by cause; at the right, what they took longer than.",
        x=0.01, y=1 - 0.1 / height, ha="left", va="top", fontsize=9, color=MUTED,
    )  # fmt: skip
    figure.legend(handles=handles, loc="upper left", ncols=len(handles), handlelength=1.6,
                  bbox_to_anchor=(0.0, 1 - 0.3 / height))  # fmt: skip
