"""The document of `--json`: schema 1, cells with their metrics in base units."""

from __future__ import annotations

import math
from typing import Any

from allocphase.analysis.frames import Run
from allocphase.files.typed import plain

__all__ = ["cells_document"]

SCHEMA = 1
_CELL_KEYS = ("allocator", "scenario", "status", "message", "metrics", "warnings")


def cells_document(run: Run) -> dict[str, Any]:
    """`{"schema", "environment", "plan", "notes", "cells"}`; no value is null, never NaN."""
    return {
        "schema": SCHEMA,
        "environment": run.manifest.environment,
        "plan": plain(run.manifest.plan),
        "notes": run.files.notes(),
        "cells": [{key: _plain(cell[key]) for key in _CELL_KEYS} for cell in run.cell_list],
    }


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value
