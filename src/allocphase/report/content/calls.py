"""System calls of cells by name and phase."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allocphase.analysis.cell import Cell

__all__ = ["PHASES", "call_count", "call_names"]

PHASES = ("init", "operation", "teardown")


def call_names(cells: Sequence[Cell], phase: str) -> list[str]:
    """Names of the calls that any of the cells made in a phase, the most frequent first."""
    totals: dict[str, int] = {}
    for cell in cells:
        for name, count in _of_phase(cell, phase).items():
            totals[name] = totals.get(name, 0) + count
    return sorted(totals, key=lambda name: (-totals[name], name))


def call_count(cell: Cell, phase: str, name: str) -> int | None:
    """None where the phase was not seen: a preloaded allocator starts with its process."""
    counts = cell.metrics.get("syscalls", {}).get(phase)
    return None if counts is None else int(counts.get(name, 0))


def _of_phase(cell: Cell, phase: str) -> Mapping[str, int]:
    return cell.metrics.get("syscalls", {}).get(phase) or {}
