"""The table of what was simulated and of what the processor counted, on the page."""

from __future__ import annotations

import math

from allocphase.report.content.counters import CounterRow, counters
from allocphase.report.content.source import Source
from allocphase.report.page.parts.arms import Values, named

__all__ = ["counters_part"]


def counters_part(source: Source, scenario: str) -> Values | None:
    """A row an allocator; None without any."""
    found = counters(source, source.cells(scenario))
    if found is None:
        return None
    return {
        "columns": [{"name": one.heading, "hint": one.title} for one in found.columns],
        "rows": [{**named(source, row.name), "cells": _cells(row)} for row in found.rows],
        "floor": None if found.floor is None else _cells(found.floor),
        "note": " ".join(found.notes),
    }


def _cells(row: CounterRow) -> list[Values]:
    return [
        {"text": text, "sort": "" if math.isnan(value) else value}
        for text, value in zip(row.texts, row.values, strict=True)
    ]
