"""System calls by name, in init, operation and teardown: a table whose shade is the count."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from allocphase.analysis.cell import Cell
from allocphase.report.content.calls import PHASES, call_count, call_names
from allocphase.report.content.source import Source
from allocphase.report.figures.canvas import MUTED, TEXT, grid
from allocphase.text.units import format_count

__all__ = ["syscalls"]

# (phase, name) of each column; None parts two phases.
Columns = list[tuple[str, str] | None]

# One scale for all panels: a single call is just visible, a million is full.
FULL_DECADES = 6.0


def syscalls(source: Source) -> Figure:
    """A panel a scenario; rows are allocators, columns the calls that any of them made."""
    height = 0.23 * len(source.names) + 1.1
    figure, panels = grid(
        len(source.traced), columns=2, panel=(5.25, height), top=0.85, bottom=0.5, left=0.9,
        share=False, gaps=(0.95, 1.1),
    )  # fmt: skip
    for axes, scenario in zip(panels, source.traced, strict=True):
        _panel(axes, source.cells(scenario))
        axes.set_title(scenario, pad=18)
    figure.suptitle(
        "System calls by name; darker is more (log scale).  ?: not seen, since a preloaded "
        "allocator starts with its process.",
        x=0.005,
        ha="left",
        fontsize=9,
        color=MUTED,
    )
    return figure


def _columns(cells: Sequence[Cell]) -> Columns:
    columns: Columns = []
    for phase in PHASES:
        names = call_names(cells, phase) or ["none"]
        columns += [None] * bool(columns) + [(phase, name) for name in names]
    return columns


def _panel(axes: Axes, cells: Sequence[Cell]) -> None:
    columns = _columns(cells)
    table = np.array([[_known(cell, column) for column in columns] for cell in cells])
    shade: npt.NDArray[np.float64] = np.log10(np.nan_to_num(table) + 1.0) / FULL_DECADES
    axes.imshow(shade, cmap="Oranges", vmin=0, vmax=1, aspect="auto", alpha=(shade > 0) * 1.0)
    _frame(axes, columns, [cell.allocator for cell in cells])
    for (row, column), count in np.ndenumerate(table):
        if columns[column] is not None:
            dark = shade[row, column] > 0.6
            axes.text(
                column,
                row,
                _count(count),
                ha="center",
                va="center",
                fontsize=7,
                color="white" if dark else TEXT if count > 0 else MUTED,
            )


def _known(cell: Cell, column: tuple[str, str] | None) -> float:
    count = call_count(cell, *column) if column else 0
    return np.nan if count is None else float(count)


def _count(count: float) -> str:
    if np.isnan(count):
        return "?"
    if count >= 10_000:  # the exact number is in the report's table
        return f"{count / 1000:.3g}k"
    return format_count(count) if count else "·"


def _frame(axes: Axes, columns: Columns, names: Sequence[str]) -> None:
    shown = [(index, column) for index, column in enumerate(columns) if column]
    axes.set_xticks(
        [index for index, _ in shown],
        [column[1] for _, column in shown],
        rotation=38,
        ha="right",
        rotation_mode="anchor",
    )
    axes.set_yticks(range(len(names)), names)
    axes.tick_params(length=0)
    axes.tick_params(axis="y", labelleft=True)
    axes.grid(visible=False)
    axes.spines[:].set_visible(False)
    for phase in PHASES:
        places = [index for index, column in shown if column[0] == phase]
        axes.plot(
            [places[0] - 0.45, places[-1] + 0.45],
            [-0.62, -0.62],
            color=MUTED,
            linewidth=1,
            clip_on=False,
        )
        axes.text(
            sum(places) / len(places),
            -0.8,
            phase,
            ha="center",
            va="bottom",
            fontsize=8,
            color=MUTED,
        )
    axes.set_ylim(len(names) - 0.5, -0.6)
