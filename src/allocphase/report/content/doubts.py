"""Warnings of many cells in few lines: equal ones are said once, with who they concern."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from allocphase.analysis.cell import Cell
from allocphase.analysis.warning_kinds import CellWarning, Kind, sentence

__all__ = ["Doubt", "doubts"]


@dataclass(frozen=True, slots=True)
class Doubt:
    """One sentence; where the cells differ in a figure, it holds their range."""

    text: str
    allocators: tuple[str, ...]


def doubts(cells: Sequence[Cell]) -> list[Doubt]:
    """The warnings of some cells, in the order of their first appearance."""
    groups: dict[tuple[Kind, str], list[tuple[str, CellWarning]]] = {}
    for cell in cells:
        for warning in cell.warnings:
            groups.setdefault((warning.kind, warning.words), []).append((cell.allocator, warning))
    return [
        Doubt(
            sentence([warning for _, warning in group]),
            tuple(dict.fromkeys(allocator for allocator, _ in group)),
        )
        for group in groups.values()
    ]
