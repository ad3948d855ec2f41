"""Reads Google Benchmark's JSON (`--benchmark_out=FILE --benchmark_out_format=json`).

Entries of one name are repetitions. Aggregates are left out, since they are made of those; a file
that has nothing else is refused, since statistics need the repetitions.

Format: google/benchmark, src/json_reporter.cc.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from allocphase.errors import shown
from allocphase.files.documents import parse_json
from allocphase.files.typed import (
    MOST_AMOUNT,
    Amount,
    Count,
    FieldError,
    Name,
    Number,
    at_most,
    read,
)
from allocphase.operation import MAX_THREADS
from allocphase.run.foreign.benchmarks import (
    MOST_REPETITIONS,
    Benchmark,
    Benchmarks,
    Repetition,
    distinct,
    measured,
    named_allocator,
)
from allocphase.text.times import in_utc

__all__ = ["parse"]

_NS = {"ns": 1.0, "us": 1e3, "ms": 1e6, "s": 1e9}


@dataclass(frozen=True, slots=True, kw_only=True)
class _Context:
    date: str = ""
    host_name: str = ""
    num_cpus: Count = 0
    library_version: str = ""
    library_build_type: str = ""
    cpu_scaling_enabled: bool = False
    json_schema_version: Count = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class _Entry:
    """aggregate_name: of an aggregate alone, also of versions that have no run_type."""

    name: Name
    run_type: str = "iteration"
    aggregate_name: str = ""
    real_time: Amount | None = None
    cpu_time: Number | None = None
    time_unit: str = "ns"
    iterations: Count = 0
    threads: Annotated[int, at_most(MAX_THREADS)] = 1
    error_occurred: bool = False
    error_message: str = ""
    skipped: bool = False
    skip_message: str = ""

    @property
    def is_aggregate(self) -> bool:
        return self.run_type == "aggregate" or self.aggregate_name != ""


# Numbers of an entry that are no counters.
_KNOWN = {
    *_Entry.__slots__,
    "family_index",
    "per_family_instance_index",
    "repetitions",
    "repetition_index",
}


def parse(text: str) -> Benchmarks:
    """Raises ValueError with the key and the reason."""
    try:
        document = parse_json(text)
    except ValueError as error:
        raise ValueError(f"no JSON, as --benchmark_out_format=json writes it: {error}") from None
    if not isinstance(document, dict) or not isinstance(document.get("benchmarks"), list):
        raise ValueError("benchmarks: missing: this is no JSON of Google Benchmark")
    context = _read(_Context, document.get("context", {}), "context")
    if context.json_schema_version != 1:
        raise ValueError(f"context.json_schema_version: {context.json_schema_version}, not 1")
    entries = [
        (_read(_Entry, value, f"benchmarks[{n}]"), value, n)
        for n, value in enumerate(document["benchmarks"])
    ]
    found: dict[str, list[tuple[_Entry, Repetition]]] = {}
    aggregates = 0
    for entry, value, number in entries:
        if entry.is_aggregate:
            aggregates += 1
        else:
            found.setdefault(entry.name, []).append((entry, _repetition(entry, value, number)))
    if aggregates and not found:
        raise ValueError(
            "there are aggregates only: measure with --benchmark_repetitions=10 and without "
            "--benchmark_report_aggregates_only"
        )
    if len(entries) > MOST_REPETITIONS:
        raise ValueError(f"benchmarks: more than {MOST_REPETITIONS}")
    started = context.date if _is_time(context.date) else ""
    return Benchmarks(
        tool="Google Benchmark",
        version=f"{context.library_version} {context.library_build_type}".strip(),
        environment=_environment(context),
        started=started,
        benchmarks=distinct((name, _benchmark(name, held)) for name, held in found.items()),
        notes=tuple(_notes(context, started)),
    )


def _read(kind: type[Any], value: object, where: str) -> Any:
    try:
        return read(kind, value)
    except FieldError as error:
        raise ValueError(str(error.under(where))) from None


def _benchmark(name: str, held: list[tuple[_Entry, Repetition]]) -> Benchmark:
    bare, allocator = named_allocator(name)
    repetitions = tuple(repetition for _, repetition in held)
    return Benchmark(bare, allocator, max(held[0][0].threads, 1), repetitions)


def _repetition(entry: _Entry, value: Mapping[str, object], number: int) -> Repetition:
    if entry.error_occurred or entry.skipped:
        said = entry.error_message or entry.skip_message or "no reason is given"
        return Repetition(time_ns=None, problem=said)
    if entry.time_unit not in _NS:
        raise ValueError(f"benchmarks[{number}].time_unit: one of {', '.join(_NS)}")
    if entry.real_time is None:
        raise ValueError(f"benchmarks[{number}].real_time: missing")
    scale = _NS[entry.time_unit]
    told = dict(_counters(value))
    if entry.iterations:
        told["iterations"] = float(entry.iterations)
    if entry.cpu_time is not None and abs(entry.cpu_time * scale) <= MOST_AMOUNT:
        told["cpu_time_ns"] = entry.cpu_time * scale
    try:
        return measured(entry.real_time * scale, entry.iterations, told)
    except ValueError as error:
        raise ValueError(f"benchmarks[{number}]: {error}") from None


def _counters(entry: Mapping[str, object]) -> Iterator[tuple[str, float]]:
    for name, value in entry.items():
        if name in _KNOWN or isinstance(value, bool) or not isinstance(value, (int, float)):
            continue
        if abs(value) <= MOST_AMOUNT:
            yield name, float(value)


def _environment(context: _Context) -> dict[str, object]:
    """The CPU's name is not told; that of its machine stands for it, so that figures of two
    machines are not held against each other.
    """
    found: dict[str, object] = {"host_name": context.host_name} if context.host_name else {}
    if context.host_name:
        found["cpu"] = f"that of {context.host_name}"
    if context.num_cpus:
        found["cpus"] = context.num_cpus
    return found


def _is_time(date: str) -> bool:
    try:
        in_utc(date)
    except ValueError:
        return False
    return True


def _notes(context: _Context, started: str) -> list[str]:
    notes = []
    if context.date != started:
        notes.append(f"its date, {shown(context.date)}, is no time: that of the file stands for it")
    if context.library_build_type == "debug":
        notes.append("the library was built for debugging, which its times contain")
    if context.cpu_scaling_enabled:
        notes.append("the CPU's clock was left to change while it ran")
    return notes
