"""What a family is: a named generator and the parameters it takes, with types and ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from allocphase.errors import shown
from allocphase.files.typed import FieldError
from allocphase.files.typed import read as read_document
from allocphase.spec import items
from allocphase.trace.records import Draft

__all__ = ["Family", "ParameterError", "Value", "parameter"]

# No count, size or frequency that means something is larger.
MAX_VALUE = 1 << 40
_WORDS = {"true": True, "false": False}

Value = bool | int | float | str | tuple[int, ...] | tuple[float, ...]


class ParameterError(FieldError):
    """A parameter is out of range, or does not go with another."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(reason, f".{key}")


@dataclass(frozen=True, slots=True)
class Family:
    """A workload's generator.

    `parameters` is a frozen dataclass whose fields are made by `parameter`; `draft` turns an
    instance of it and a seeded generator into ops, the same ones each time. `most_operations`:
    how many these, and the draws behind them, can be at most, known before anything is made.
    """

    name: str
    parameters: type[Any]
    draft: Callable[[Any, np.random.Generator], Draft]
    most_operations: Callable[[Any], int]

    def fields(self) -> dict[str, dataclasses.Field[Any]]:
        """The parameters by name; metadata has doc, minimum and maximum."""
        return {entry.name: entry for entry in dataclasses.fields(self.parameters)}

    def read(self, values: Mapping[str, object]) -> dict[str, Value]:
        """All parameters, defaults included, checked; TOML's values, or the texts of a command
        line. Raises FieldError.
        """
        types = get_type_hints(self.parameters)
        given = {key: _typed(value, types.get(key)) for key, value in values.items()}
        chosen = read_document(self.parameters, given, strict=True)
        found = {key: getattr(chosen, key) for key in self.fields()}
        for key, entry in self.fields().items():
            _check_range(key, found[key], entry.metadata)
        _check_pairs(found)
        return found


def parameter(
    doc: str,
    *,
    default: Value | None = None,
    minimum: float | None = None,
    maximum: float | None = None,
) -> Any:
    """A dataclass field with a description and an inclusive range (of each item of a list).

    Without a default the scenario file must give the value. `x_min` may not exceed `x_max`.
    """
    metadata = {"doc": doc, "minimum": minimum, "maximum": maximum}
    return field(default=MISSING if default is None else default, metadata=metadata)


def _typed(value: object, wanted: Any) -> object:
    """The value that a text stands for, and a number as the type that the parameter has.

    What cannot be converted stays as it is: the reader says why.
    """
    if get_origin(wanted) is tuple:
        found = items(value) if isinstance(value, str) else value
        if not isinstance(found, list | tuple):
            return found
        return tuple(_typed(item, get_args(wanted)[0]) for item in found)
    if wanted is float and type(value) is int and abs(value) <= MAX_VALUE:
        return float(value)
    if not isinstance(value, str) or wanted not in (int, float, bool):
        return value
    try:
        return _WORDS[value.lower()] if wanted is bool else wanted(value)
    except (KeyError, ValueError):
        return value


def _check_range(key: str, value: Value, metadata: Mapping[str, Any]) -> None:
    low, high = metadata["minimum"], metadata["maximum"]
    if value == ():
        raise ParameterError(key, "must have 1 or more")
    for item in value if isinstance(value, tuple) else (value,):
        if isinstance(item, int | float) and not abs(item) <= MAX_VALUE:  # nor is NaN
            raise ParameterError(key, f"must be at most {MAX_VALUE:g}, not {shown(item)}")
        if low is not None and not item >= low:
            raise ParameterError(key, f"must be at least {low}, not {item}")
        if high is not None and not item <= high:
            raise ParameterError(key, f"must be at most {high}, not {item}")


def _check_pairs(found: Mapping[str, Any]) -> None:
    for key, low in found.items():
        high = found.get(key.removesuffix("_min") + "_max") if key.endswith("_min") else None
        if high is not None and low > high:
            raise ParameterError(key, f"is {low}, more than {key.removesuffix('_min')}_max {high}")
