"""What tools/gbench of google/benchmark makes of two files, by its rules: entries of one name are
repetitions, those without time_unit, real_time and cpu_time are skipped, and the U test takes two
repetitions of each or more. Unknown versions of the schema are refused.
"""

from __future__ import annotations

import json
import math
from dataclasses import dataclass
from typing import Any

from scipy.stats import mannwhitneyu

__all__ = ["GoogleRow", "compare", "load"]

_TIMES = ("real_time", "cpu_time")
_NANOSECONDS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


@dataclass(frozen=True, slots=True)
class GoogleRow:
    """A name that both files have. change: of the means of real_time; p: of the U test."""

    name: str
    repetitions: tuple[int, int]
    change: float
    p: float | None


def load(text: str) -> dict[str, Any]:
    """A file, strictly: JSON has no NaN."""

    def refused(word: str) -> float:
        raise ValueError(f"{word} is not JSON")

    document: dict[str, Any] = json.loads(text, parse_constant=refused)
    assert document["context"].get("json_schema_version", 1) == 1
    assert isinstance(document["context"]["caches"], list)  # bencher.dev's reader wants it
    for entry in document["benchmarks"]:
        assert isinstance(entry["name"], str)
        assert entry["run_type"] in ("iteration", "aggregate")
        assert entry["repetition_index"] < entry["repetitions"]
        for name in (*_TIMES, "iterations", "threads"):
            assert entry[name] > 0 and math.isfinite(entry[name])
        assert entry["time_unit"] in _NANOSECONDS
    return document


def compare(old: dict[str, Any], new: dict[str, Any]) -> list[GoogleRow]:
    """`compare.py benchmarks OLD NEW`."""
    names = list(dict.fromkeys(entry["name"] for entry in old["benchmarks"]))
    both = [name for name in names if any(e["name"] == name for e in new["benchmarks"])]
    return [_row(name, _times(old, name), _times(new, name)) for name in both]


def _times(document: dict[str, Any], name: str) -> list[float]:
    return [
        entry["real_time"] * _NANOSECONDS[entry["time_unit"]]
        for entry in document["benchmarks"]
        if entry["name"] == name
    ]


def _row(name: str, old: list[float], new: list[float]) -> GoogleRow:
    tested = min(len(old), len(new)) >= 2
    p = float(mannwhitneyu(old, new, alternative="two-sided").pvalue) if tested else None
    means = [math.fsum(times) / len(times) for times in (old, new)]
    return GoogleRow(name, (len(old), len(new)), means[1] / means[0] - 1, p)
