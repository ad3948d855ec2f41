"""The table of the first replay beside the warm ones, and of build and drain."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.operation import KIND_NAMES
from allocphase.report.content.source import Source
from allocphase.report.page.parts.arms import Values, named
from allocphase.text.units import MISSING, format_count, format_ns

__all__ = ["replays_part"]

TIMES = {
    "build": "build_time_per_op_ns",
    "first replay": "cold_time_per_op_ns",
    "warm": "time_per_op_ns",
    "drain": "drain_time_per_op_ns",
}
LATENCIES = {"first replay": "cold_latency_ns", "warm": "latency_ns"}
FIGURES = {"p50": "p50", "p99": "p99", "p99.9": "p99_9", "max": "max", "calls": "samples"}


def replays_part(source: Source, scenario: str) -> Values | None:
    """None where nothing was timed."""
    cells = [cell for cell in source.cells(scenario) if "cold_time_per_op_ns" in cell.metrics]
    if not cells:
        return None
    kind = _shown(cells)
    groups = [{"name": "time/op", "names": list(TIMES)}]
    groups += [{"name": f"{kind}, {name}", "names": list(FIGURES)} for name in LATENCIES if kind]
    return {
        "groups": groups,
        "rows": [
            {**named(source, cell.allocator), "cells": list(_texts(cell.metrics, kind))}
            for cell in cells
        ],
    }


def _shown(cells: Sequence[Cell]) -> str:
    """The kind of call: malloc, or the first that there is; "" where none was timed."""
    seen = {
        kind for cell in cells for path in LATENCIES.values() for kind in cell.metrics.get(path, {})
    }
    return next((kind for kind in KIND_NAMES if kind in seen), "")


def _texts(metrics: Mapping[str, Any], kind: str) -> Iterator[str]:
    for path in TIMES.values():
        yield format_ns(metrics.get(path))
    for path in LATENCIES.values() if kind else ():
        found = metrics.get(path, {}).get(kind, {})
        for name in FIGURES.values():
            value = found.get(name)
            form = format_count if name == "samples" else format_ns
            yield MISSING if value is None else form(value)
