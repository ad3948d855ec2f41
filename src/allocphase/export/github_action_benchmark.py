"""The list that benchmark-action/github-action-benchmark takes as `customSmallerIsBetter`.

    [{"name": "SCENARIO/ALLOCATOR time", "unit": "ns", "value": 20.0, "range": "19.6 to 20.4"}]

Its alerts know no noise: leave verdicts to `allocphase gate`.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.export.exported import Choice, Exported, json_text
from allocphase.export.figures import Figure, figures_of, lost_cells, number_text

__all__ = ["write"]


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of one run."""
    (run,) = runs
    entries = [entry for cell in run.cell_list for entry in _entries(cell)]
    return Exported.of_text(json_text(entries), lost_cells(run))


def _entries(cell: Cell) -> list[dict[str, Any]]:
    """The first has the cell's warnings, which a chart shows at its point."""
    found = [_entry(cell, figure) for figure in figures_of(cell)]
    if found and cell.warnings:
        found[0]["extra"] = "\n".join(warning.text for warning in cell.warnings)
    return found


def _entry(cell: Cell, figure: Figure) -> dict[str, Any]:
    found: dict[str, Any] = {
        "name": f"{cell.scenario}/{cell.allocator} {figure.measure.name}",
        "unit": figure.measure.unit,
        "value": figure.value,
    }
    if figure.lower is not None and figure.upper is not None:
        found["range"] = f"{number_text(figure.lower)} to {number_text(figure.upper)}"
    return found
