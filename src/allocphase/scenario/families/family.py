"""What a family is: a named generator and the parameters it takes, with types and ranges."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from dataclasses import MISSING, dataclass, field
from typing import Any, get_args, get_origin, get_type_hints

import numpy as np

from allocphase.errors import shown
from allocphase.spec import items
from allocphase.trace.records import Draft

__all__ = ["Family", "ParameterError", "Value", "parameter"]

# No count, size or frequency that means something is larger.
MAX_VALUE = 1 << 40

Value = bool | int | float | str | tuple[int, ...] | tuple[float, ...]


class ParameterError(Exception):
    """A parameter is unknown, missing, of the wrong type or out of range."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}")
        self.key = key
        self.reason = reason


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
        """All parameters, defaults included, checked and converted. Raises ParameterError."""
        fields, types = self.fields(), get_type_hints(self.parameters)
        for key in values:
            if key not in fields:
                raise ParameterError(key, "no such parameter")
        found: dict[str, Value] = {}
        for key, entry in fields.items():
            if key not in values and entry.default is MISSING:
                raise ParameterError(key, "missing")
            found[key] = _converted(key, values.get(key, entry.default), types[key])
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


def _converted(key: str, value: object, wanted: Any) -> Value:
    """TOML's value, or the text of a command line, as the type that the parameter has."""
    if get_origin(wanted) is tuple:
        item = get_args(wanted)[0]
        found = items(value) if isinstance(value, str) else value
        if not isinstance(found, list | tuple) or not found:
            raise ParameterError(key, f"must be a list of {_plural(item)}, not {shown(value)}")
        return tuple(_scalar(key, entry, item) for entry in found)
    scalar: Value = _scalar(key, value, wanted)
    return scalar


def _scalar(key: str, value: object, wanted: type) -> Any:
    if isinstance(value, str) and wanted is not str:
        value = _from_text(key, value, wanted)
    if wanted is float and type(value) is int:
        return float(value)
    if type(value) is not wanted:
        raise ParameterError(key, f"must be {_a(wanted)}, not {shown(value)}")
    if isinstance(value, int | float) and not abs(value) <= MAX_VALUE:  # nor is NaN
        raise ParameterError(key, f"must be at most {MAX_VALUE:g}, not {shown(value)}")
    return value


def _from_text(key: str, text: str, wanted: type) -> object:
    words = {"true": True, "false": False}
    try:
        return words[text.lower()] if wanted is bool else wanted(text)
    except (KeyError, ValueError):
        raise ParameterError(key, f"must be {_a(wanted)}, not {shown(text)}") from None


def _a(wanted: type) -> str:
    return {int: "an integer", float: "a number", bool: "true or false", str: "a string"}[wanted]


def _plural(wanted: type) -> str:
    return {int: "integers", float: "numbers"}[wanted]


def _check_range(key: str, value: Value, metadata: Mapping[str, Any]) -> None:
    low, high = metadata["minimum"], metadata["maximum"]
    for item in value if isinstance(value, tuple) else (value,):
        if low is not None and not item >= low:
            raise ParameterError(key, f"must be at least {low}, not {item}")
        if high is not None and not item <= high:
            raise ParameterError(key, f"must be at most {high}, not {item}")


def _check_pairs(found: Mapping[str, Any]) -> None:
    for key, low in found.items():
        high = found.get(key.removesuffix("_min") + "_max") if key.endswith("_min") else None
        if high is not None and low > high:
            raise ParameterError(key, f"is {low}, more than {key.removesuffix('_min')}_max {high}")
