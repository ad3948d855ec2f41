"""The table of instructions beside time, and of each allocator its costliest functions."""

from __future__ import annotations

from allocphase.analysis.cell import Cell
from allocphase.analysis.discrepancy import INSTRUCTIONS
from allocphase.report.content.instructions import (
    call_kinds,
    call_texts,
    counted_cells,
    discrepancies,
    functions,
)
from allocphase.report.content.rows import interval_text, ratio_text
from allocphase.report.content.source import Source
from allocphase.report.content.values import by_time, format_percent, ranged_text
from allocphase.report.page.parts.arms import Values, named
from allocphase.text.line import plain
from allocphase.text.units import format_ns

__all__ = ["instructions_part"]


def instructions_part(source: Source, scenario: str) -> Values | None:
    """None where nobody's were counted."""
    cells = by_time(counted_cells(source, scenario))
    if not cells:
        return None
    kinds = call_kinds(cells)
    return {
        "kinds": kinds,
        "rows": [
            {
                **named(source, cell.allocator),
                "time": format_ns(cell.time_ns),
                "time_ratio": ratio_text(source.ratio(cell.allocator, scenario)),
                "instructions": ranged_text(INSTRUCTIONS, cell.metrics),
                **_ratio(source, scenario, cell),
                "calls": call_texts(cell, kinds),
            }
            for cell in cells
        ],
        "discrepancies": discrepancies(source, scenario),
        "functions": [
            {**named(source, cell.allocator), "rows": _functions(source, cell)} for cell in cells
        ],
    }


def _ratio(source: Source, scenario: str, cell: Cell) -> Values:
    found = source.compared(scenario, INSTRUCTIONS).ratio(source.baseline or "", cell.allocator)
    return {"ratio": ratio_text(found), "interval": interval_text(found)}


def _functions(source: Source, cell: Cell) -> list[Values]:
    return [
        {
            "name": plain(one.name),
            "place": plain(one.place),
            "per_op": f"{one.per_op:.4g}",
            "share": format_percent(one.share),
            "width": f"{100 * one.share:.1f}",
        }
        for one in functions(source, cell.allocator, cell.scenario)
    ]
