"""Go's benchmark format as golang/proposal's design 14313 and golang.org/x/perf/benchfmt have it.

Strict where benchstat is lenient: a line that looks like a result and is none is an error here.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

__all__ = ["GoFile", "GoResult", "parse"]

_CONFIG = re.compile(r"([a-z][^\sA-Z:]*):(?:[ \t]+(.*))?$")


@dataclass(frozen=True, slots=True)
class GoResult:
    """parts: sub-configuration of the name, by key."""

    name: str
    parts: dict[str, str]
    iterations: int
    values: dict[str, float]


@dataclass(frozen=True, slots=True)
class GoFile:
    """units: the settings of each unit."""

    config: dict[str, str] = field(default_factory=dict)
    units: dict[str, dict[str, str]] = field(default_factory=dict)
    results: list[GoResult] = field(default_factory=list)


def parse(text: str) -> GoFile:
    """All of a file; other lines are skipped, as readers do."""
    found = GoFile()
    for line in text.splitlines():
        if line.startswith("Benchmark"):
            found.results.append(_result(line))
        elif line.startswith("Unit "):
            _, unit, *settings = line.split()
            assert unit not in found.units, f"settings of {unit} may not be overridden"
            found.units[unit] = dict(one.split("=", 1) for one in settings)
        elif (key := _CONFIG.match(line)) is not None:
            found.config[key[1]] = key[2]
    return found


def _result(line: str) -> GoResult:
    name, iterations, *rest = line.split()
    base, *parts = name.split("/")
    assert re.match(r"Benchmark([^a-z]|$)", base), line
    assert not re.search(r"-[0-9]+$", name), f"read as GOMAXPROCS: {line}"
    assert rest and len(rest) % 2 == 0, line
    units = rest[1::2]
    assert len(set(units)) == len(units), line
    values = dict(zip(units, map(float, rest[::2]), strict=True))
    return GoResult(name, dict(one.split("=", 1) for one in parts), int(iterations), values)
