"""What callgrind's simulation and the processor itself count, an operation: a row an allocator."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.analysis.measures import CATALOGUE, Measure
from allocphase.probe.probe import Probe
from allocphase.report.content.source import Source
from allocphase.report.content.values import by_time, ranged_text
from allocphase.text.line import plain

__all__ = ["CounterRow", "Counters", "counters"]

_SIMULATED = tuple(one for one in CATALOGUE if one.simulated)
_HARDWARE = tuple(
    one for one in CATALOGUE if one.probe is Probe.HARDWARE and one.path.startswith("hardware_per_")
)
_FLOOR = "floor"
_OF_SIMULATED = (
    "Simulated: of the allocator's own calls in a warm replay, under callgrind; size, ways and "
    "line of the caches, in bytes:"
)
_OF_HARDWARE = (
    "With :u, by the processor's counters in warm passes, outside of the kernel and with the "
    "replay's own, which the floor has alone."
)


@dataclass(frozen=True, slots=True)
class CounterRow:
    """texts, values: by column; NaN where there is no figure."""

    name: str
    texts: tuple[str, ...]
    values: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class Counters:
    """columns: those of which anybody has a figure. floor: the null allocator's, where a processor
    counted. notes: what they are of.
    """

    columns: tuple[Measure, ...]
    rows: tuple[CounterRow, ...]
    floor: CounterRow | None
    notes: tuple[str, ...]


def counters(source: Source, cells: Sequence[Cell]) -> Counters | None:
    """Of cells of one scenario, fastest first; None where nobody has any."""
    known = (*_SIMULATED, *_HARDWARE)
    columns = tuple(one for one in known if any(_has(cell, one) for cell in cells))
    counted = [cell for cell in by_time(cells) if any(_has(cell, one) for one in columns)]
    if not counted:
        return None
    floors = (c.metrics.get("hardware_floor_per_op") for c in counted)
    floor = next((found for found in floors if found), None)
    return Counters(
        columns,
        tuple(_row(cell.allocator, cell.metrics, columns) for cell in counted),
        None if floor is None else _row(_FLOOR, {"hardware_per_op": floor}, columns),
        tuple(_notes(source, columns)),
    )


def _notes(source: Source, columns: Sequence[Measure]) -> Iterator[str]:
    if any(one.simulated for one in columns):
        caches = source.run.manifest.environment.get("simulated_caches")
        yield f"{_OF_SIMULATED} {plain(str(caches))}."
    if any(not one.simulated for one in columns):
        yield _OF_HARDWARE


def _row(name: str, metrics: Mapping[str, Any], columns: Sequence[Measure]) -> CounterRow:
    return CounterRow(
        name,
        tuple(ranged_text(one, metrics) for one in columns),
        tuple(one.read(metrics) for one in columns),
    )


def _has(cell: Cell, one: Measure) -> bool:
    return not math.isnan(one.read(cell.metrics))
