"""Reads Go's benchmark format: what `go test -bench . -count 10` prints, and `--to go` writes.

Lines of one name are repetitions, and of one package: a name that several packages have is that of
each, `a.BenchmarkAlloc`. A line without ns/op or sec/op has no time, and is counted.

Format: golang/proposal, design/14313-benchmark-format.md.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Set
from urllib.parse import unquote

from allocphase.errors import shown
from allocphase.files.documents import MAX_KEY_LENGTH
from allocphase.files.typed import MOST_AMOUNT
from allocphase.run.foreign.benchmarks import (
    MOST_REPETITIONS,
    Benchmark,
    Benchmarks,
    Repetition,
    distinct,
    measured,
    named_allocator,
)
from allocphase.text.units import counted

__all__ = ["parse"]

_RESULT = re.compile(r"(Benchmark(?:[^a-z\s]\S*)?)\s+([0-9]+)\s+(\S.*)")
_CONFIG = re.compile(r"(goarch|cpu|pkg): *(.*\S)")
# GOMAXPROCS, which Go puts behind all parts of a name.
_PROCESSORS = re.compile(r"-[0-9]+\Z")
_NS = {"ns/op": 1.0, "sec/op": 1e9}
_MACHINES = {"amd64": "x86_64", "arm64": "aarch64"}


def parse(text: str) -> Benchmarks:
    """Raises ValueError with the line and the reason."""
    config: dict[str, str] = {}
    found: dict[tuple[str, str], list[Repetition]] = {}
    without = 0
    for number, line in enumerate(text.splitlines(), start=1):
        if (key := _CONFIG.fullmatch(line)) is not None:
            config[key[1]] = key[2]
        elif (result := _RESULT.fullmatch(line.rstrip())) is not None:
            repetition = _repetition(result, number)
            if repetition is None:
                without += 1
            else:
                found.setdefault((config.get("pkg", ""), result[1]), []).append(repetition)
    if sum(map(len, found.values())) > MOST_REPETITIONS:
        raise ValueError(f"more than {MOST_REPETITIONS} lines of results")
    notes = [f"{counted(without, 'line')} without ns/op"] if without else []
    return Benchmarks(
        tool="Go's testing",
        version="",
        environment=dict(_environment(config)),
        started="",
        benchmarks=distinct(_benchmarks(found)),
        notes=tuple(notes),
    )


def _benchmarks(
    found: Mapping[tuple[str, str], list[Repetition]],
) -> Iterator[tuple[str, Benchmark]]:
    """With their names in the file. found: by package and that name."""
    packages: dict[str, set[str]] = {}
    for package, name in found:
        packages.setdefault(_parts(name)[0], set()).add(package)
    prefixes = {bare: _prefixes(among) for bare, among in packages.items()}
    for (package, name), repetitions in found.items():
        bare, allocator = _parts(name)
        full = prefixes[bare][package] + bare
        if not (full + allocator).isprintable():
            raise ValueError(f"a name that cannot be printed: {shown(name)}")
        yield name, Benchmark(full, allocator, 1, tuple(repetitions))


def _parts(name: str) -> tuple[str, str]:
    """The benchmark's name, and the allocator's."""
    rest = _PROCESSORS.sub("", name)
    bare, allocator = named_allocator(rest)
    return bare + name[len(rest) :], unquote(allocator)


def _prefixes(packages: Set[str]) -> dict[str, str]:
    """By package, what goes before a name that all of these have: nothing before that of one, else
    the last part of its path where that tells them apart.
    """
    if len(packages) == 1:
        return dict.fromkeys(packages, "")
    last = {one: one.rpartition("/")[2] for one in packages}
    told = last if len(set(last.values())) == len(packages) else {one: one for one in packages}
    return {one: f"{name}." if name else "" for one, name in told.items()}


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
