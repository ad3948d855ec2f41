"""The instructions of one scenario beside its time: of each allocator, by call and by function, and
where the two do not tell the same.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from allocphase.analysis.cell import Cell
from allocphase.analysis.discrepancy import (
    INSTRUCTIONS,
    TIME,
    WITNESSES,
    Change,
    discrepancy,
)
from allocphase.analysis.measures import Measure
from allocphase.operation import KIND_NAMES
from allocphase.probe.probe import Probe
from allocphase.probe.result import Function, Instructions
from allocphase.report.content.source import Source
from allocphase.text.units import MISSING

__all__ = [
    "MOST_FUNCTIONS",
    "FunctionShare",
    "call_kinds",
    "call_texts",
    "counted_cells",
    "discrepancies",
    "functions",
]

MOST_FUNCTIONS = 10
# What callgrind calls a function of which it knows only where it lies in its object.
_OFFSET = re.compile("^0x0+(?=[0-9a-f])")


@dataclass(frozen=True, slots=True, kw_only=True)
class FunctionShare:
    """What one function takes by itself: instructions an operation, and of the allocator's all.

    place: FILE:LINE of its costliest line, or its object where there is no debug information.
    """

    name: str
    place: str
    per_op: float
    share: float


def counted_cells(source: Source, scenario: str) -> list[Cell]:
    """Those whose instructions were counted."""
    cells = source.cells(scenario)
    return [cell for cell in cells if cell.metrics.get(INSTRUCTIONS.path) is not None]


def call_kinds(cells: Sequence[Cell]) -> list[str]:
    """The kinds of call that any of them counted, in the order of kinds."""
    seen = {kind for cell in cells for kind in cell.metrics.get("instructions", {})}
    return [kind for kind in KIND_NAMES if kind in seen]


def call_texts(cell: Cell, kinds: Sequence[str]) -> list[str]:
    """Instructions of a call of each of these kinds."""
    found = cell.metrics.get("instructions", {})
    return [MISSING if found.get(kind) is None else f"{found[kind]:.4g}" for kind in kinds]


def functions(source: Source, name: str, scenario: str) -> list[FunctionShare]:
    """The costliest of an arm's, of its first process, the costliest first; none where nobody
    counted.
    """
    arm = source.arms[name]
    first = arm.run.first(arm.allocator, scenario, Probe.INSTRUCTIONS)
    if first is None:
        return []
    record = first[0]
    part, count = record.part(Instructions), record.result.repeated_operations
    total = sum(part.counted.values())
    if not count or not total:
        return []
    return [_share(one, count, total) for one in part.functions[:MOST_FUNCTIONS]]


def _share(one: Function, operations: int, total: int) -> FunctionShare:
    return FunctionShare(
        name=_OFFSET.sub("0x", one.name),
        place=one.source or one.object.replace("???", MISSING),
        per_op=one.instructions / operations,
        share=one.instructions / total,
    )


# ---- Time and instructions ---------------------------------------------------------------


def discrepancies(source: Source, scenario: str) -> list[str]:
    """A sentence or two of each arm whose time and instructions do not tell the same, against the
    baseline.
    """
    base = source.baseline
    if base is None:
        return []
    told = []
    for name in source.names_on(scenario):
        times = _change(source, scenario, TIME, base, name)
        counts = _change(source, scenario, INSTRUCTIONS, base, name)
        if name == base or times is None or counts is None:
            continue
        others = [_change(source, scenario, one, base, name) for _, one in WITNESSES]
        known = [one for one in others if one is not None]
        told.append(discrepancy(times, counts, known, name=name, base=base))
    return [text for text in told if text]


def _change(source: Source, scenario: str, one: Measure, base: str, name: str) -> Change | None:
    """None where one of the two was not measured."""
    found = source.compared(scenario, one).ratio(base, name)
    cells = {cell.allocator: cell for cell in source.cells(scenario)}
    if found is None:
        return None
    before, after = (one.read(cells[arm].metrics) for arm in (base, name))
    return Change(measure=one, base=before, candidate=after, ratio=found.interval)
