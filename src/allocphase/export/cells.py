"""The document of `--json`: schema 1, cells with their metrics in base units."""

from __future__ import annotations

from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.files.typed import plain

__all__ = ["cell_document", "cells_document"]

SCHEMA = 1


def cells_document(run: Run) -> dict[str, Any]:
    """`{"schema", "environment", "plan", "baseline", "notes", "cells"}`; what has none is null."""
    return {
        "schema": SCHEMA,
        "environment": run.manifest.environment,
        "plan": plain(run.manifest.plan),
        "baseline": run.baseline,
        "notes": run.files.notes(),
        "cells": [cell_document(cell) for cell in run.cell_list],
    }


def cell_document(cell: Cell) -> dict[str, Any]:
    """One of them."""
    return {
        "allocator": cell.allocator,
        "scenario": cell.scenario,
        "status": cell.status.value,
        "message": cell.message,
        "metrics": plain(cell.metrics),
        "warnings": [warning.text for warning in cell.warnings],
    }
