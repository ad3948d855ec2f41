"""Warnings of many cells in few lines: equal ones are said once, with who they concern."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

__all__ = ["Doubt", "doubts"]

_NUMBER = re.compile(r"\d[\d,]*(?:\.\d+)?")


@dataclass(frozen=True, slots=True)
class Doubt:
    """One warning; where the cells' texts differ in a number, it holds their range."""

    text: str
    allocators: tuple[str, ...]


def doubts(cells: Sequence[Mapping[str, Any]]) -> list[Doubt]:
    """The warnings of some cells, in the order of their first appearance."""
    groups: dict[str, list[tuple[str, str]]] = {}
    for cell in cells:
        for warning in cell["warnings"]:
            shape = _NUMBER.sub("#", warning)
            groups.setdefault(shape, []).append((cell["allocator"], warning))
    return [_merged(group) for group in groups.values()]


def _merged(group: Sequence[tuple[str, str]]) -> Doubt:
    rows = [_NUMBER.findall(text) for _, text in group]
    ranges = iter([_range(numbers) for numbers in zip(*rows, strict=True)])
    text = _NUMBER.sub(lambda _: next(ranges), group[0][1])
    return Doubt(text, tuple(dict.fromkeys(allocator for allocator, _ in group)))


def _range(numbers: Sequence[str]) -> str:
    ordered = sorted(set(numbers), key=lambda number: float(number.replace(",", "")))
    return ordered[0] if len(ordered) == 1 else f"{ordered[0]} to {ordered[-1]}"
