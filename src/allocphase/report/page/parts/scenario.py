"""The page's part for one scenario, as its template reads it."""

from __future__ import annotations

from collections.abc import Sequence

from allocphase.analysis.cell import Cell
from allocphase.report.content.calls import (
    PHASES,
    PROGRAM_CALLS,
    call_count,
    call_names,
    call_range,
)
from allocphase.report.content.rows import COLUMNS, PROGRAM_COLUMNS, Row, program_rows, rows
from allocphase.report.content.source import Source
from allocphase.report.content.values import with_range, workload_text
from allocphase.report.figures.catalogue import slug
from allocphase.report.page.parts.arms import Values, named
from allocphase.report.page.parts.causes import why_part
from allocphase.report.page.parts.counters import counters_part
from allocphase.report.page.parts.instructions import instructions_part
from allocphase.report.page.parts.memory import memory_part
from allocphase.report.page.parts.program import change_part
from allocphase.report.page.parts.replays import replays_part
from allocphase.report.page.parts.threads import threads_part
from allocphase.report.page.strip import scale_of, strip
from allocphase.store.manifest import ScenarioEntry
from allocphase.text.units import counted, format_bytes, format_count, format_ns

__all__ = ["fragment", "scenario_part"]


def fragment(scenario: str, index: int) -> str:
    """The part's id, which a link names."""
    return f"scenario-{slug(scenario, index)}"


def scenario_part(source: Source, index: int) -> Values:
    """Everything but what the script draws."""
    scenario = source.scenarios[index]
    entry, cells = source.entry(scenario), source.cells(scenario)
    columns = COLUMNS if entry.program is None else PROGRAM_COLUMNS
    return {
        "index": index,
        "id": fragment(scenario, index),
        "name": scenario,
        "title": entry.title.rstrip("."),
        "facts": _facts(source, scenario),
        "stands_for": entry.stands_for,
        "does_not_show": entry.does_not_show,
        "share_in_malloc": None if entry.program is None else entry.program.share_in_malloc,
        "failures": [_with_arm(source, cell) for cell in cells if not cell.ok],
        "doubts": source.doubts(scenario),
        "program": entry.program is not None,
        "changes": change_part(source, scenario) if entry.program is not None else None,
        "columns": [{"name": name, "hint": hint} for name, hint in columns],
        "rows": _rows(source, scenario, cells),
        "marked": any(r is not None and r.mostly_replay for r in source.ratios(scenario).values()),
        **(
            {"calls": _program_calls(source, cells)}
            if entry.program is not None
            else _of_trace(source, scenario, cells)
        ),
    }


def _of_trace(source: Source, scenario: str, cells: Sequence[Cell]) -> Values:
    """What only a trace has, whose calls are looked at one by one."""
    return {
        "timeline": _timeline_caption(source, scenario),
        "instructions": instructions_part(source, scenario),
        "why": why_part(source, scenario),
        "calls": _calls(source, cells),
        "replays": replays_part(source, scenario),
        "counters": counters_part(source, scenario),
        "memory": memory_part(source, scenario),
        "threads": threads_part(source, scenario),
        "clock": _clock(source, scenario),
    }


def _facts(source: Source, scenario: str) -> list[str]:
    entry, floor_ns = source.entry(scenario), source.floor_ns(scenario)
    if entry.program is not None or entry.benchmark is not None:
        return [workload_text(entry)]
    facts = [workload_text(entry), *_parts(entry)]
    facts += [f"{entry.threads} threads"] * (entry.threads > 1)
    facts += [f"peak live {format_bytes(entry.peak_live_bytes)}"]
    return facts + [f"floor {format_ns(floor_ns)} an op"] * (floor_ns is not None)


def _parts(entry: ScenarioEntry) -> list[str]:
    """Of a scenario with a steady part, what is before and after it."""
    apart = entry.build_operations + entry.drain_operations
    if not 0 < apart < entry.operations:
        return []
    build, drain = format_count(entry.build_operations), format_count(entry.drain_operations)
    return [f"of these {build} to build and {drain} to drain, the others a steady part"]


def _clock(source: Source, scenario: str) -> str:
    """What reading the clock costs, and how finely it tells times apart."""
    cost_ns, step_ns = source.clock_ns(scenario), source.clock_step_ns(scenario)
    if cost_ns is None:
        return ""
    step = "" if step_ns is None else f", and it moves in steps of {format_ns(step_ns)}"
    return f"reading the clock costs {format_ns(cost_ns)}{step}"


def _with_arm(source: Source, cell: Cell) -> Values:
    return {"cell": cell, "arm": source.names.index(cell.allocator)}


def _rows(source: Source, scenario: str, cells: Sequence[Cell]) -> list[Values]:
    floor_ns = source.floor_ns(scenario)
    scale, by_name = scale_of(cells, floor_ns), {cell.allocator: cell for cell in cells}

    def values(row: Row) -> list[Values]:
        colour = source.looks[row.allocator].colour
        picture = strip(by_name[row.allocator], colour=colour, floor_ns=floor_ns, scale=scale)
        return [
            {
                "text": v.text,
                "sort": v.sort,
                "name": v.name,
                "below": v.below,
                "strip": "" if place else picture,
            }
            for place, v in enumerate(row.values)
        ]

    table = rows if source.entry(scenario).program is None else program_rows
    found = table(cells, source.ratios(scenario))
    return [{**named(source, row.allocator), "values": values(row)} for row in found]


def _timeline_caption(source: Source, scenario: str) -> str:
    cells = [source.points(name, scenario) for name in source.names_on(scenario)]
    if not any(points.row.size for points in cells):
        return ""
    text = (
        "The calls of one process's first replay, on the same scales for all. Drag over a panel to "
        "zoom all of them."
    )
    if any(len(points.threads) for points in cells):
        text += " The threads' calls stand one thread after the other."
    drawn = sum(points.row.size for points in cells)
    total = sum(points.total for points in cells)
    calls = counted(total, "call")
    if any(points.slowest_only for points in cells):
        text += " The trace is so long that only its slowest calls are kept one by one."
        calls = counted(total, "slowest call")
    if drawn == total:
        return f"{text} All {calls} are drawn."
    return (
        f"{text} {format_count(drawn)} of {calls} are drawn: the fastest, slowest and middle one "
        "of each stretch and cause, and the slowest of all; no outlier is left out."
    )


def _calls(source: Source, cells: Sequence[Cell]) -> Values | None:
    if not any("syscalls" in cell.metrics for cell in cells):
        return None
    names = {phase: call_names(cells, phase) or ["none"] for phase in PHASES}
    columns = [(phase, name) for phase in PHASES for name in names[phase]]
    phases = [{"name": phase, "names": names[phase]} for phase in PHASES]
    lines = [
        {
            **named(source, cell.allocator),
            "cells": [
                _count(call_count(cell, *column), call_range(cell, *column)) for column in columns
            ],
        }
        for cell in cells
    ]
    return {"phases": phases, "rows": lines}


def _program_calls(source: Source, cells: Sequence[Cell]) -> Values | None:
    """The same of all processes of a program; None where nobody's calls were seen."""
    names = call_names(cells, "calls", of=PROGRAM_CALLS)
    if not names:
        return None
    lines = [
        {
            **named(source, cell.allocator),
            "cells": [
                _count(
                    call_count(cell, "calls", name, of=PROGRAM_CALLS),
                    call_range(cell, "calls", name, of=PROGRAM_CALLS),
                )
                for name in names
            ],
        }
        for cell in cells
    ]
    return {"phases": [{"name": "all processes", "names": names}], "rows": lines}


def _count(count: float | None, found: Sequence[float] | None) -> Values:
    """Shaded by the power of ten: calls-1 for 1 to 9, calls-2 for 10 to 99 ..."""
    if not count and found is None:
        return {"text": "?" if count is None else "·", "look": "none"}
    text = with_range(format_count(count), found, format_count)
    return {"text": text, "look": f"calls-{min(len(str(int(count or 1))), 6)}"}
