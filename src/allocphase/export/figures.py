"""What formats of figures write: a number a cell and metric, or a number a process and metric.

What was not measured, and what is not finite, is no figure: it is left out, and never a 0.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.analysis.lost import lost_line
from allocphase.analysis.measures import CATALOGUE, MEASURES, Measure, value_at
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.probe.probe import Probe
from allocphase.store.record import ProcessRecord

__all__ = [
    "COMPARED",
    "TOLD",
    "Figure",
    "figures_of",
    "finite",
    "is_exact",
    "lost_cells",
    "number_text",
    "process_figures",
]

# Those that can be compared: all of them are better the lower they are.
COMPARED = tuple(MEASURES.values())
# Every metric of a cell that is one number.
TOLD = tuple(one for one in CATALOGUE if not one.is_family and one.unit)
_PROBES = tuple(Probe)


@dataclass(frozen=True, slots=True)
class Figure:
    """Of a cell, in the metric's unit. lower, upper: the interval of a time, or the least and the
    greatest of a count's processes; None where all agree, or the rounds are too few.
    """

    measure: Measure
    value: float
    lower: float | None = None
    upper: float | None = None


def figures_of(cell: Cell, measures: tuple[Measure, ...] = COMPARED) -> Iterator[Figure]:
    """Those that the cell has, in the order of the catalogue."""
    for one in measures:
        value = _number(one, cell.metrics)
        if value is not None:
            yield Figure(one, value, *_bounds(one, cell.metrics))


def _bounds(one: Measure, metrics: Mapping[str, Any]) -> tuple[float | None, float | None]:
    interval = metrics.get(f"{one.path}_interval") if one.interval else one.range_of(metrics)
    if interval is None or not all(map(math.isfinite, interval[:2])):
        return None, None
    return float(interval[0]), float(interval[1])


def process_figures(
    run: Run, measures: tuple[Measure, ...] = COMPARED
) -> Iterator[tuple[ProcessRecord, dict[str, float]]]:
    """Each process of the run's cells that ended well, with its figures by name of the metric: of
    its own probe, and finite. In order of scenario, allocator, probe, round.
    """
    read = ProcessMetrics(run.files)
    for scenario in run.scenarios:
        for allocator in run.allocators:
            good = [record for record in run.records_of(allocator, scenario) if record.ok]
            for record in sorted(good, key=_order):
                metrics = read.of(record)
                own = [one for one in measures if one.probe is record.probe]
                found = {one.name: _number(one, metrics) for one in own}
                yield record, {name: value for name, value in found.items() if value is not None}


def _order(record: ProcessRecord) -> tuple[int, int, int]:
    return _PROBES.index(record.probe), record.round, record.repeat


def _number(one: Measure, metrics: Mapping[str, Any]) -> float | None:
    """None of what has no single value, such as a list by thread."""
    stored = value_at(metrics, one.path)
    if isinstance(stored, (bool, str, list, tuple)):
        return None
    return finite(one.read(metrics))


def finite(value: object) -> float | None:
    """A number that JSON has; None of anything else."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        return None
    return float(value) if math.isfinite(value) else None


def is_exact(run: Run, one: Measure) -> bool:
    """Whether it is a count on which the processes of each cell agree."""
    if one.rule not in ("exact", "off") or one.timed:
        return False
    return all(one.range_of(cell.metrics) is None for cell in run.cell_list)


def lost_cells(run: Run) -> list[str]:
    """A line a cell that has no figures, or not all: how it ended, and what was said."""
    return [
        lost_line(cell.status, cell.allocator, cell.scenario, cell.message)
        for cell in run.cell_list
        if not cell.ok
    ]


def number_text(value: float) -> str:
    """The shortest decimal that is this number; a whole one without a point."""
    whole = value.is_integer() and abs(value) < 2**53
    return str(int(value)) if whole else repr(value)
