"""Documents as frozen dataclasses: what a key must be stands in its annotation, and nowhere else.

    @dataclass(frozen=True, slots=True, kw_only=True)
    class Entry:
        name: Name                       must be there
        path: str | None                 may be null
        config: Mapping[str, str]        any keys
        calls: tuple[Count, ...] = ()    may be absent; is left out when it is that

    read(Entry, value)     an Entry from what JSON or TOML gave; FieldError names the key
    plain(entry)           the way back: what json.dumps takes, keys in the order of the fields
    load_json, load_toml   read of a file; its faults are errors with the file and the key

A field with `init=False` follows from the others: it is written, and what a file has there is not
read. Keys that a class does not name are left alone, so that an older reader takes a newer file;
what people write by hand is read with `strict`, which refuses them and names the nearest one.
Bounds on length and depth are documents.py's.
"""

from __future__ import annotations

import dataclasses
import math
import types
from collections.abc import Callable, Collection, Mapping
from enum import StrEnum
from functools import cache
from pathlib import Path
from typing import (
    Annotated,
    Any,
    Literal,
    TypeVar,
    Union,
    cast,
    get_args,
    get_origin,
    get_type_hints,
)

from allocphase.errors import DataError, UsageError, shown, unknown
from allocphase.files.documents import read_json, read_toml

__all__ = [
    "Amount",
    "Chance",
    "Check",
    "Count",
    "FieldError",
    "Figure",
    "Name",
    "Number",
    "Positive",
    "at_most",
    "figures",
    "known",
    "length",
    "load_json",
    "load_toml",
    "plain",
    "read",
]

T = TypeVar("T")
_Reader = Callable[[Any], Any]


class FieldError(ValueError):
    """The first key that is not as it must be: `scenarios[3].name: must be a string, not 5`."""

    def __init__(self, reason: str, where: str = "") -> None:
        path = where.removeprefix(".")
        super().__init__(f"{path}: {reason}" if path else reason)
        self.reason = reason
        self.where = where

    def under(self, step: str) -> FieldError:
        """The same, seen from one level above."""
        return FieldError(self.reason, step + self.where)


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """A demand on one value, for Annotated; `words` end the sentence "must be ..."."""

    words: str
    holds: Callable[[Any], bool]

    def __call__(self, value: Any) -> Any:
        if not self.holds(value):
            raise FieldError(f"must be {self.words}, not {shown(value)}")
        return value


@dataclasses.dataclass(frozen=True, slots=True)
class _Length:
    exact: int | None
    least: int

    def __call__(self, value: tuple[Any, ...]) -> tuple[Any, ...]:
        if self.exact is not None and len(value) != self.exact:
            raise FieldError(f"must be a list of {self.exact}, not {shown(list(value))}")
        if len(value) < self.least:
            raise FieldError(f"must have {self.least} or more")
        return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


_NUMBER = Check("a number", _is_number)
_SCALARS: dict[Any, _Reader] = {
    str: Check("a string", lambda value: isinstance(value, str)),
    bool: Check("true or false", lambda value: isinstance(value, bool)),
    int: Check("an integer", _is_integer),
    float: _NUMBER,
    object: lambda value: value,
    Any: lambda value: value,
}

# Names are printed on terminals, where a control character is a command.
Name = Annotated[
    str,
    Check(
        "a string that can be printed",
        lambda value: isinstance(value, str) and value != "" and value.isprintable(),
    ),
]
Number = Annotated[float, _NUMBER]
# Of anything that is measured, in any unit: 1e18 ns are thirty years. Ratios of two of them, their
# squares and their sums are within what a double holds.
LEAST_AMOUNT, MOST_AMOUNT = 1e-12, 1e18
Positive = Annotated[
    float,
    Check(
        f"a number from {LEAST_AMOUNT:g} to {MOST_AMOUNT:g}",
        lambda v: _is_number(v) and LEAST_AMOUNT <= v <= MOST_AMOUNT,
    ),
]
Amount = Annotated[
    float,
    Check(
        f"0, or a number from {LEAST_AMOUNT:g} to {MOST_AMOUNT:g}",
        lambda v: _is_number(v) and (v == 0 or LEAST_AMOUNT <= v <= MOST_AMOUNT),
    ),
]
Count = Annotated[int, Check("an integer of 0 or more", lambda v: _is_integer(v) and v >= 0)]
# What is computed of amounts: a ratio, a share, a spread.
_COMPUTED = Check(
    f"a number of {MOST_AMOUNT / LEAST_AMOUNT:g} at most",
    lambda v: _is_number(v) and abs(v) <= MOST_AMOUNT / LEAST_AMOUNT,
)
# JSON has no NaN and no infinity: both are null there, and null is NaN here.
Figure = Annotated[float, lambda value: math.nan if value is None else _COMPUTED(_NUMBER(value))]
Chance = Annotated[float, Check("between 0 and 1", lambda v: _is_number(v) and 0 <= v <= 1)]


def at_most(limit: int) -> Check:
    """A count with a bound of its own."""
    words = f"an integer between 0 and {limit}"
    return Check(words, lambda value: _is_integer(value) and 0 <= value <= limit)


def known(names: Collection[str]) -> _Reader:
    """A string that is one of many, in Annotated; the error has the nearest of them."""

    def read_it(value: Any) -> Any:
        if _SCALARS[str](value) not in names:
            raise FieldError(unknown("name", value, names))
        return value

    return read_it


def figures(document: type[T]) -> Callable[[Any], T]:
    """A dataclass of numbers that are null where they are not finite, in Annotated.

    For those of rooms that know of no documents: their fields are plain floats.
    """
    hints = {field.name: Figure for field in dataclasses.fields(cast(Any, document))}
    reader: _Reader = _table(document, hints, strict=False)
    return reader


def length(exact: int | None = None, *, least: int = 0) -> _Length:
    """Of a tuple, in Annotated."""
    return _Length(exact, least)


def read(document: type[T], value: Any, *, strict: bool = False) -> T:
    """`value` as a document, which is a dataclass. Raises FieldError for its first fault."""
    reader: _Reader = _reader(cast(Any, document), strict)
    return cast(T, reader(value))


def load_json(document: type[T], path: Path, *, schema: int, remedy: str = "") -> T:
    """The document of that schema in a JSON file. remedy: what to do about one of another.

    Raises FileNotFoundError, DataError with the key where it is not as allocphase writes it, and
    UsageError where it cannot be read.
    """
    values = read_json(path)
    if not isinstance(values, dict) or values.get("schema") != schema:
        problem = f"{path}: schema: this version reads schema {schema}"
        raise DataError(f"{problem}: {remedy}" if remedy else problem)
    try:
        return read(document, values)
    except FieldError as error:
        raise DataError(f"{path}: {error}") from None


def load_toml(document: type[T], path: Path) -> T:
    """The document in a TOML file, read with `strict`. Raises UsageError with the file and key."""
    try:
        return read(document, read_toml(path), strict=True)
    except FieldError as error:
        raise UsageError(f"{path}: {error}") from None


def plain(value: Any, *, defaults: bool = False) -> Any:
    """Tables, lists and scalars. What is not finite is null; what is at its default is left out,
    unless `defaults` are wanted.
    """
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {
            field.name: plain(held, defaults=defaults)
            for field in dataclasses.fields(value)
            if (held := getattr(value, field.name)) != _default(field) or defaults
        }
    if isinstance(value, Mapping):
        return {str(key): plain(item, defaults=defaults) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [plain(item, defaults=defaults) for item in value]
    if isinstance(value, StrEnum):
        return value.value
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value


def _default(field: dataclasses.Field[Any]) -> Any:
    if field.default_factory is not dataclasses.MISSING:
        return field.default_factory()
    return field.default


# ---- From an annotation to what reads it -------------------------------------------------


@cache
def _reader(annotation: Any, strict: bool) -> _Reader:
    if annotation in _SCALARS:
        return _SCALARS[annotation]
    origin, arguments = get_origin(annotation), get_args(annotation)
    if origin is Annotated:
        return _annotated(arguments[0], annotation.__metadata__, strict)
    if origin in (Union, types.UnionType):
        return _nullable(arguments, strict)
    if origin is Literal:
        return _choice({word: word for word in arguments})
    if origin is tuple and arguments[-1] is Ellipsis:
        return _listing(_reader(arguments[0], strict))
    if origin is tuple:
        return _row([_reader(one, strict) for one in arguments])
    if origin is not None and issubclass(origin, Mapping):
        return _entries(*(_reader(one, strict) for one in arguments))
    if issubclass(annotation, StrEnum):
        return _choice({member.value: member for member in annotation})
    return _table(annotation, get_type_hints(annotation, include_extras=True), strict)


def _annotated(base: Any, demands: tuple[_Reader, ...], strict: bool) -> _Reader:
    """Of a list or of entries the demand comes after their items; of all else it says all."""
    readers = demands if get_origin(base) is None else [_reader(base, strict), *demands]

    def read_it(value: Any) -> Any:
        for reader in readers:
            value = reader(value)
        return value

    return read_it


def _nullable(arguments: tuple[Any, ...], strict: bool) -> _Reader:
    (inner,) = (_reader(one, strict) for one in arguments if one is not types.NoneType)
    return lambda value: None if value is None else inner(value)


def _choice(members: Mapping[str, object]) -> _Reader:
    check = Check(
        f"one of {', '.join(members)}", lambda value: isinstance(value, str) and value in members
    )
    return lambda value: members[check(value)]


def _listing(item: _Reader) -> _Reader:
    def read_it(value: Any) -> tuple[Any, ...]:
        return _items(value, [item] * len(_checked_list(value)))

    return read_it


def _row(items: list[_Reader]) -> _Reader:
    """A list in which each place has a type of its own."""
    right = _Length(len(items), 0)
    return lambda value: _items(right(_checked_list(value)), items)


def _items(values: Any, readers: list[_Reader]) -> tuple[Any, ...]:
    numbered = enumerate(zip(values, readers, strict=True))
    return tuple(_at(f"[{index}]", reader, one) for index, (one, reader) in numbered)


def _entries(key_of: _Reader, item: _Reader) -> _Reader:
    """A key that is not as it must be is a fault of the table that has it."""

    def read_it(value: Any) -> dict[Any, Any]:
        table = _checked_table(value)
        return {key_of(key): _at(f".{key}", item, one) for key, one in table.items()}

    return read_it


def _table(document: type, hints: Mapping[str, Any], strict: bool) -> _Reader:
    fields = [field for field in dataclasses.fields(document) if field.init]
    readers = {field.name: _reader(hints[field.name], strict) for field in fields}
    required = [
        field.name
        for field in fields
        if field.default is field.default_factory is dataclasses.MISSING
    ]

    def read_it(value: Any) -> Any:
        table = _checked_table(value)
        if strict and (others := [key for key in table if key not in readers]):
            raise FieldError(unknown("key", str(others[0]), readers))
        if missing := [name for name in required if name not in table]:
            raise FieldError("missing", f".{missing[0]}")
        return document(
            **{
                name: _at(f".{name}", reader, table[name])
                for name, reader in readers.items()
                if name in table
            }
        )

    return read_it


def _checked_list(value: Any) -> Any:
    if not isinstance(value, list | tuple):
        raise FieldError(f"must be a list, not {shown(value)}")
    return value


def _checked_table(value: Any) -> Mapping[str, Any]:
    if not isinstance(value, dict):
        raise FieldError(f"must be a table, not {shown(value)}")
    return value


def _at(step: str, reader: _Reader, value: Any) -> Any:
    try:
        return reader(value)
    except FieldError as error:
        raise error.under(step) from None
