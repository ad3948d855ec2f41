"""How a row of any table names its allocator."""

from __future__ import annotations

from typing import Any

from allocphase.report.content.source import Source

__all__ = ["Values", "named"]

Values = dict[str, Any]


def named(source: Source, name: str) -> Values:
    """The arm's number, by which the page hides it, its name and its colour."""
    arm = source.names.index(name)
    return {"arm": arm, "allocator": name, "colour": source.looks[name].colour}
