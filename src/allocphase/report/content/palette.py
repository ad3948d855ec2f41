"""One look for each allocator and each cause, the same in every figure (reports/palette.toml)."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from typing import Any

from allocphase.analysis.frames import CAUSES
from allocphase.resources import read_resource

__all__ = ["Look", "cause_looks", "looks"]


@dataclass(frozen=True, slots=True)
class Look:
    """colour: "#rrggbb"; marker: matplotlib's letter; dash: lengths on and off, () is solid."""

    colour: str
    marker: str
    dash: tuple[float, ...] = ()


def looks(allocators: Iterable[str]) -> dict[str, Look]:
    """The look of each allocator, in the order given.

    Names with a look of their own keep it whatever else is in the run; the others share the rest,
    which repeats when there are more of them.
    """
    names = list(dict.fromkeys(allocators))
    entries = _table()["look"]
    own = {entry["allocator"]: _look(entry) for entry in entries if "allocator" in entry}
    spare = [_look(entry) for entry in entries if "allocator" not in entry]
    spare += [look for name, look in own.items() if name not in names]
    strangers = [name for name in names if name not in own]
    given = {name: spare[index % len(spare)] for index, name in enumerate(strangers)}
    return {name: own.get(name) or given[name] for name in names}


def cause_looks() -> dict[str, Look]:
    """The look of each cause, in the order of frames.CAUSES."""
    found = {entry["name"]: _look(entry) for entry in _table()["cause"]}
    return {name: found[name] for name in CAUSES}


def _look(entry: dict[str, Any]) -> Look:
    return Look(entry["colour"], entry["marker"], tuple(entry.get("dash", ())))


@cache
def _table() -> dict[str, Any]:
    return tomllib.loads(read_resource("reports/palette.toml"))
