"""System calls of cells by name: of a replay by phase, of a program all of them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from allocphase.analysis.cell import Cell
from allocphase.analysis.measures import value_at

__all__ = ["PHASES", "PROGRAM_CALLS", "call_count", "call_names", "call_range"]

PHASES = ("init", "operation", "teardown")
# Where a cell has its calls by name, and their ranges.
_REPLAY_CALLS = "syscalls"
PROGRAM_CALLS = "program_syscalls"


def call_names(cells: Sequence[Cell], phase: str, *, of: str = _REPLAY_CALLS) -> list[str]:
    """Names of the calls that any of the cells made in a phase, the most frequent first; `of`
    PROGRAM_CALLS there is one phase, "calls".
    """
    totals: dict[str, float] = {}
    for cell in cells:
        for name, count in (_counts(cell, phase, of) or {}).items():
            totals[name] = totals.get(name, 0) + count
    return sorted(totals, key=lambda name: (-totals[name], name))


def call_count(cell: Cell, phase: str, name: str, *, of: str = _REPLAY_CALLS) -> float | None:
    """None where the phase was not seen: a preloaded allocator starts with its process."""
    counts = _counts(cell, phase, of)
    return None if counts is None else float(counts.get(name, 0))


def call_range(
    cell: Cell, phase: str, name: str, *, of: str = _REPLAY_CALLS
) -> Sequence[float] | None:
    """Least, greatest and number of processes, where those of the cell differ."""
    found: Sequence[float] | None = value_at(cell.metrics, f"{of}_range.{phase}.{name}")
    return found


def _counts(cell: Cell, phase: str, of: str) -> Mapping[str, float] | None:
    found: Mapping[str, float] | None = value_at(cell.metrics, f"{of}.{phase}")
    return found
