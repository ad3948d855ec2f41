"""System calls of cells by name and phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allocphase.analysis.cell import Cell
from allocphase.analysis.measures import value_at

__all__ = ["PHASES", "call_count", "call_names", "call_range"]

PHASES = ("init", "operation", "teardown")


def call_names(cells: Sequence[Cell], phase: str) -> list[str]:
    """Names of the calls that any of the cells made in a phase, the most frequent first."""
    totals: dict[str, float] = {}
    for cell in cells:
        for name, count in _of_phase(cell, phase).items():
            totals[name] = totals.get(name, 0) + count
    return sorted(totals, key=lambda name: (-totals[name], name))


def call_count(cell: Cell, phase: str, name: str) -> float | None:
    """None where the phase was not seen: a preloaded allocator starts with its process."""
    counts = cell.metrics.get("syscalls", {}).get(phase)
    return None if counts is None else float(counts.get(name, 0))


def call_range(cell: Cell, phase: str, name: str) -> Sequence[float] | None:
    """Least, greatest and number of processes, where those of the cell differ."""
    found: Sequence[float] | None = value_at(cell.metrics, f"syscalls_range.{phase}.{name}")
    return found


def _of_phase(cell: Cell, phase: str) -> Mapping[str, float]:
    return cell.metrics.get("syscalls", {}).get(phase) or {}
