"""Reads the table of a check strictly: nothing unknown, nothing missing, no wrong type.

Every error names the file, the claim, the key, and what would be accepted. Such a table is flat: a
cell's keys, a relation's and the form's side by side, of which one of several must be given; and a
figure is a number or the name of one that its claim publishes. So it is not of one type, as other
documents are (files/typed.py), but read by each part in turn.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from allocphase.errors import UsageError, shown, unknown
from allocphase.text.share import parse_share

__all__ = ["Fields"]


@dataclass(frozen=True, slots=True)
class Fields:
    """A table and where it stands, such as "promises.toml: claim quiet, check 2"."""

    table: Mapping[str, Any]
    where: str

    @classmethod
    def of(cls, value: object, *, where: str, known: Collection[str]) -> Fields:
        """Raises UsageError when `value` is no table, or has a key that is not `known`."""
        if not isinstance(value, Mapping):
            raise UsageError(f"{where}: must be a table, not {shown(value)}")
        for key in value:
            if key not in known:
                raise UsageError(f"{where}: {unknown('key', key, known)}")
        return cls(value, where)

    def __contains__(self, key: str) -> bool:
        return key in self.table

    def fail(self, key: str, reason: str) -> UsageError:
        """The error for a key, to be raised."""
        return UsageError(f"{self.where}: {key}: {reason}")

    def value(self, key: str) -> Any:
        """Raises UsageError when it is missing."""
        if key not in self.table:
            raise self.fail(key, "missing")
        return self.table[key]

    def text(self, key: str, default: str | None = None) -> str:
        """A string that is not empty."""
        value = self.value(key) if default is None else self.table.get(key, default)
        if not isinstance(value, str) or not value.strip():
            raise self.fail(key, f"must be a string that is not empty, not {shown(value)}")
        return " ".join(value.split())

    def choice(self, key: str, known: Collection[str], default: str | None = None) -> str:
        """One of `known`; the error has the nearest of them."""
        value = self.text(key, default)
        if value not in known:
            raise UsageError(f"{self.where}: {unknown(key, value, known)}")
        return value

    def number(self, key: str) -> float:
        """A finite integer or float."""
        return self._number(key, self.value(key))

    def share(self, key: str) -> float:
        """A number below 1, or a string such as "5%"."""
        value = self.value(key)
        try:
            return parse_share(value if isinstance(value, str) else self._number(key, value))
        except ValueError as error:
            raise self.fail(key, f"{error} (not {shown(value)})") from None

    def numbers(self, key: str) -> tuple[float, ...]:
        """A list of numbers."""
        return tuple(self._number(key, item) for item in self._list(key))

    def texts(self, key: str) -> tuple[str, ...]:
        """A list of strings."""
        found = self._list(key)
        if not all(isinstance(item, str) and item for item in found):
            raise self.fail(key, f"must be a list of strings, not {shown(found)}")
        return tuple(found)

    def figure(self, key: str, published: Mapping[str, float], *, share: bool = False) -> float:
        """A number, or one that is a `share`; or the name of a published one."""
        value = self.value(key)
        if share and (not isinstance(value, str) or value.endswith("%")):
            return self.share(key)
        if not isinstance(value, str):
            return self._number(key, value)
        return self.named(key, value, published)

    def named(self, key: str, name: str, published: Mapping[str, float]) -> float:
        """The published figure `name`, which `key` refers to."""
        if not published:
            raise self.fail(key, f"refers to {shown(name)}, but the claim has no published figures")
        if name not in published:
            raise UsageError(f"{self.where}: {key}: {unknown('published figure', name, published)}")
        return published[name]

    def _list(self, key: str) -> list[Any]:
        value = self.value(key)
        if not isinstance(value, list) or not value:
            raise self.fail(key, f"must be a list that is not empty, not {shown(value)}")
        return value

    def _number(self, key: str, value: object) -> float:
        if isinstance(value, bool) or not isinstance(value, int | float):
            raise self.fail(key, f"must be a number, not {shown(value)}")
        if not math.isfinite(value):
            raise self.fail(key, f"must be finite, not {shown(value)}")
        return float(value)
