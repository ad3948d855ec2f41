"""Reads Go's benchmark format: what `go test -bench . -count 10` prints, and `--to go` writes.

Lines of one name are repetitions. A line without ns/op or sec/op has no time, and is counted.

Format: golang/proposal, design/14313-benchmark-format.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from urllib.parse import unquote

from allocphase.errors import shown
from allocphase.files.documents import MAX_KEY_LENGTH
from allocphase.files.typed import MOST_AMOUNT
from allocphase.run.foreign.benchmarks import (
    MOST_REPETITIONS,
    Benchmark,
    Benchmarks,
    Repetition,
    measured,
    named_allocator,
)
from allocphase.text.units import counted

__all__ = ["parse"]

_RESULT = re.compile(r"(Benchmark(?:[^a-z\s]\S*)?)\s+([0-9]+)\s+(\S.*)")
_CONFIG = re.compile(r"(goarch|cpu): *(.*\S)")
_NS = {"ns/op": 1.0, "sec/op": 1e9}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def parse(text: str) -> Benchmarks:
    """Raises ValueError with the line and the reason."""
    config: dict[str, str] = {}
    found: dict[str, list[Repetition]] = {}
    without = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if (key := _CONFIG.fullmatch(line)) is not None:
            config[key[1]] = key[2]
        elif (result := _RESULT.fullmatch(line.rstrip())) is not None:
            repetition = _repetition(result, number)
            if repetition is None:
                without += 1
            else:
                found.setdefault(result[1], []).append(repetition)
    if sum(map(len, found.values())) > MOST_REPETITIONS:
        raise ValueError(f"more than {MOST_REPETITIONS} lines of results")
    notes = [f"{counted(without, 'line')} without ns/op"] if without else []
    return Benchmarks(
        tool="Go's testing",
        version="",
        environment=dict(_environment(config)),
        started="",
        benchmarks=tuple(_benchmark(name, held) for name, held in found.items()),
        notes=tuple(notes),
    )


def _benchmark(name: str, repetitions: list[Repetition]) -> Benchmark:
    if not name.isprintable():
        raise ValueError(f"a name that cannot be printed: {shown(name)}")
    bare, allocator = named_allocator(name)
    return Benchmark(bare, unquote(allocator), 1, tuple(repetitions))


def _repetition(result: re.Match[str], number: int) -> Repetition | None:
    """None: there is no time in it."""
    try:
        values = _values(result[3].split())
        unit = next((unit for unit in _NS if unit in values), None)
        if unit is None:
            return None
        iterations = float(result[2])
        told = {name: value for name, value in values.items()
                if name != unit and abs(value) <= MOST_AMOUNT}  # fmt: skip
        told["iterations"] = iterations
        return measured(values[unit] * _NS[unit], iterations, told)
    except ValueError as error:
        raise ValueError(f"line {number}: {error}") from None


def _values(words: list[str]) -> dict[str, float]:
    if len(words) % 2:
        raise ValueError("a value without a unit")
    if any(len(unit) > MAX_KEY_LENGTH for unit in words[1::2]):
        raise ValueError(f"a unit of more than {MAX_KEY_LENGTH} characters")
    try:
        return {unit: float(value) for value, unit in zip(words[::2], words[1::2], strict=True)}
    except ValueError:
        raise ValueError("a value that is no number") from None


def _environment(config: Mapping[str, str]) -> Iterator[tuple[str, object]]:
    if "cpu" in config:
        yield "cpu", config["cpu"]
    if "goarch" in config:
        yield "machine", _MACHINES.get(config["goarch"], config["goarch"])
