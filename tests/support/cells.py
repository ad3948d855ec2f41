"""Cells that no run has measured."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.analysis.warning_kinds import CellWarning
from allocphase.probe.status import Status

__all__ = ["cell_of"]


def cell_of(allocator: str, metrics: Mapping[str, Any], *warnings: CellWarning) -> Cell:
    """A good one, on the scenario `some`."""
    return Cell(
        allocator=allocator,
        scenario="some",
        status=Status.OK,
        message="",
        metrics=metrics,
        warnings=warnings,
    )
