"""Shapes: what a document from elsewhere must look like before anyone computes with it.

A shape is a function from a value to its first fault, `""` for none: where it is and what was
expected there, as in `scenarios[3].name: must be a string, not 5`. `table` looks at the keys that
it names and leaves others alone, so that an older reader takes a newer file.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from typing import Any

from allocphase.errors import shown

__all__ = [
    "COUNT",
    "FLAG",
    "NAME",
    "NUMBER",
    "POSITIVE",
    "TEXT",
    "Shape",
    "anything",
    "at_most",
    "entries",
    "listing",
    "nullable",
    "one_of",
    "table",
]

Shape = Callable[[Any], str]


def _scalar(words: str, holds: Callable[[Any], bool]) -> Shape:
    return lambda value: "" if holds(value) else f": must be {words}, not {shown(value)}"


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


TEXT = _scalar("a string", lambda value: isinstance(value, str))
# Names are printed on terminals, where a control character is a command.
NAME = _scalar(
    "a string that can be printed",
    lambda value: isinstance(value, str) and value != "" and value.isprintable(),
)
FLAG = _scalar("true or false", lambda value: isinstance(value, bool))
NUMBER = _scalar("a number", _is_number)
POSITIVE = _scalar("a number above 0", lambda value: _is_number(value) and value > 0)
COUNT = _scalar("an integer of 0 or more", lambda value: _is_integer(value) and value >= 0)


def at_most(limit: int) -> Shape:
    """A count with a bound of its own."""
    words = f"an integer between 0 and {limit}"
    return _scalar(words, lambda value: _is_integer(value) and 0 <= value <= limit)


def one_of(known: Collection[str]) -> Shape:
    """One of some strings."""
    words = f"one of {', '.join(known)}"
    return _scalar(words, lambda value: isinstance(value, str) and value in known)


def anything(value: object) -> str:  # noqa: ARG001
    """No demand."""
    return ""


def nullable(shape: Shape) -> Shape:
    """The same, or null."""
    return lambda value: "" if value is None else shape(value)


def listing(shape: Shape, *, length: int | None = None, at_least: int = 0) -> Shape:
    """A list of them; of that length where one is given."""

    def check(value: object) -> str:
        if not isinstance(value, list) or length not in (None, len(value)):
            many = "a list" if length is None else f"a list of {length}"
            return f": must be {many}, not {shown(value)}"
        if len(value) < at_least:
            return f": must have {at_least} or more"
        faults = ((index, shape(item)) for index, item in enumerate(value))
        return next((f"[{index}]{fault}" for index, fault in faults if fault), "")

    return check


def entries(shape: Shape) -> Shape:
    """A table with any keys, and such values."""

    def check(value: object) -> str:
        if not isinstance(value, dict):
            return f": must be a table, not {shown(value)}"
        faults = ((key, shape(item)) for key, item in value.items())
        return next((f".{key}{fault}" for key, fault in faults if fault), "")

    return check


def table(
    required: Mapping[str, Shape] | None = None, optional: Mapping[str, Shape] | None = None
) -> Shape:
    """A table that has the first keys, and whose other known keys are as they should be."""
    required, optional = required or {}, optional or {}

    def check(value: object) -> str:
        if not isinstance(value, dict):
            return f": must be a table, not {shown(value)}"
        missing = next((key for key in required if key not in value), None)
        if missing is not None:
            return f".{missing}: missing"
        known = {**required, **optional}
        faults = ((key, known[key](value[key])) for key in known if key in value)
        return next((f".{key}{fault}" for key, fault in faults if fault), "")

    return check
