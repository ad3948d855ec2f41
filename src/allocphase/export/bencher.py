"""Bencher Metric Format, which `bencher run --adapter json` takes.

    {"SCENARIO/ALLOCATOR": {"time-ns": {"value": 20.0, "lower_value": 19.6, "upper_value": 20.4}}}

Format: bencherdev/bencher, adapter `json`. Measures are made where they do not exist.
"""

from __future__ import annotations

from collections.abc import Sequence

from allocphase.analysis.frames import Run
from allocphase.export.exported import Choice, Exported, json_text
from allocphase.export.figures import Figure, figures_of, lost_cells

__all__ = ["write"]


def write(runs: Sequence[Run], _: Choice) -> Exported:
    """Of one run."""
    (run,) = runs
    document = {
        f"{cell.scenario}/{cell.allocator}": measures
        for cell in run.cell_list
        if (measures := {_slug(one): _value(one) for one in figures_of(cell)})
    }
    return Exported.of_text(json_text(document), lost_cells(run))


def _slug(figure: Figure) -> str:
    one = figure.measure
    return f"{one.name}-{one.unit}".replace("_", "-").removesuffix("-rate")


def _value(figure: Figure) -> dict[str, float]:
    bounds = {"lower_value": figure.lower, "upper_value": figure.upper}
    known = {name: value for name, value in bounds.items() if value is not None}
    return {"value": figure.value, **known}
