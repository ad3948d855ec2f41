"""What a file of benchmarks says, whatever its format."""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

from allocphase.errors import shown
from allocphase.files.typed import LEAST_AMOUNT, MOST_AMOUNT

__all__ = [
    "MOST_REPETITIONS",
    "Benchmark",
    "Benchmarks",
    "Repetition",
    "distinct",
    "measured",
    "named_allocator",
]

# Of all benchmarks of a file together: a run's journal has as many lines.
MOST_REPETITIONS = 100_000
# "BM_alloc/allocator:mimalloc/64", "BenchmarkAlloc/allocator=mimalloc": a part of the name.
_ALLOCATOR = re.compile(r"/allocator[=:]([^/]+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class Repetition:
    """One of them. time_ns: of an iteration, by the wall; None where it failed, and problem says
    why. told: what else the file has of it, by name: counters, CPU time, iterations.
    """

    time_ns: float | None
    problem: str = ""
    iterations: float = 0.0
    told: Mapping[str, float] = field(default_factory=dict)

    @property
    def wall_s(self) -> float:
        """Of all its iterations; 0 where that is less than a run can tell."""
        seconds = (self.time_ns or 0.0) * self.iterations / 1e9
        return seconds if seconds >= LEAST_AMOUNT else 0.0


@dataclass(frozen=True, slots=True)
class Benchmark:
    """Under the name that it has without its allocator; allocator: "" where the name has none."""

    name: str
    allocator: str
    threads: int
    repetitions: tuple[Repetition, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Benchmarks:
    """A whole file. tool: its name for people; version: of what measured, as far as it is told;
    environment: facts of the machine (machine/fingerprint.py); started: ISO 8601, "" where the
    file does not say. notes: what was left out, and what is doubtful, a sentence each.
    """

    tool: str
    version: str
    environment: Mapping[str, object]
    started: str
    benchmarks: tuple[Benchmark, ...]
    notes: tuple[str, ...] = ()


def named_allocator(name: str) -> tuple[str, str]:
    """A benchmark's name without the part that names an allocator, and that; "" for none. Raises
    ValueError where the name has no other part.
    """
    found = _ALLOCATOR.search(name)
    if found is None:
        return name, ""
    bare = name[: found.start()] + name[found.end() :]
    if not bare:
        raise ValueError(f"{shown(name)} names an allocator and no benchmark")
    return bare, found[1]


def distinct(named: Iterable[tuple[str, Benchmark]]) -> tuple[Benchmark, ...]:
    """The benchmarks, each given with its name in the file. Raises ValueError where two of them
    are one as soon as the allocator is no part of their names.
    """
    names: dict[tuple[str, str], str] = {}
    found = []
    for name, one in named:
        key = (one.name, one.allocator)
        if key in names:
            raise ValueError(
                f"{shown(names[key])} and {shown(name)} are both {shown(one.name)} of "
                f"{shown(one.allocator)}: give one of them another name"
            )
        names[key] = name
        found.append(one)
    return tuple(found)


def measured(time_ns: float, iterations: float, told: Mapping[str, float]) -> Repetition:
    """A repetition that went well. Raises ValueError where a run cannot have such a time."""
    if not math.isfinite(time_ns) or not (time_ns == 0 or LEAST_AMOUNT <= time_ns <= MOST_AMOUNT):
        raise ValueError(f"a time of {time_ns:g} ns")
    if iterations > MOST_AMOUNT or time_ns * iterations / 1e9 > MOST_AMOUNT:
        raise ValueError(f"{iterations:g} iterations of {time_ns:g} ns")
    return Repetition(time_ns=time_ns, iterations=iterations, told=told)
