"""What can be gated: each measure's name, the probe that has it, and how it is read.

One process gives one number of each. A timed measure is sampled over rounds; a counted one is
the same in every process where the allocator is deterministic, and is compared as it stands.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from allocphase.analysis.metrics import QUANTILES, process_build_ns, process_time_ns
from allocphase.errors import UsageError, unknown
from allocphase.probe.result import Memory
from allocphase.store.record import ProcessRecord

__all__ = ["CALL_PREFIX", "MEASURES", "Measure", "Quantiles", "measure"]

# "syscalls.mmap" is the measure of one system call; "syscalls" that of all of them.
CALL_PREFIX = "syscalls."

# A process's latency quantiles of malloc in ns, by name; empty where there are none.
Quantiles = Callable[[ProcessRecord], Mapping[str, float | None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """`unit` is ns, bytes or count; `rule` is the default limit, as `--limit` writes it."""

    name: str
    title: str
    probe: str
    unit: str
    rule: str

    @property
    def timed(self) -> bool:
        """Whether it varies from process to process and is tested over rounds."""
        return self.unit == "ns"

    def read(self, record: ProcessRecord, quantiles: Quantiles) -> float:
        """The process's one number, in `unit`; NaN where it has none."""
        value = self._read(record, quantiles)
        return math.nan if value is None else float(value)

    def _read(self, record: ProcessRecord, quantiles: Quantiles) -> float | None:
        if self.name in _TIMES:
            return _TIMES[self.name](record)
        if self.name in QUANTILES:
            return quantiles(record).get(self.name)
        if self.probe == "syscalls":
            return _calls(record, self.name.removeprefix(CALL_PREFIX))
        return _memory(record.result.memory, self.name)


_TIMES = {"time": process_time_ns, "build_time": process_build_ns}


def _calls(record: ProcessRecord, name: str) -> float | None:
    part = record.result.syscalls
    counts = part.operation if part else None
    if counts is None:
        return None
    return float(sum(counts.values()) if name == "syscalls" else counts.get(name, 0))


def _memory(memory: Memory | None, name: str) -> float | None:
    if memory is None:
        return None
    return float(getattr(memory, name if name == "page_faults" else f"{name}_bytes"))


def _quantile(name: str) -> Measure:
    title = f"{name.replace('_', '.')} of malloc's latency in a process"
    return Measure(name=name, title=title, probe="latency", unit="ns", rule="off")


_ALL = (
    Measure(
        name="time",
        title="time per operation",
        probe="throughput",
        unit="ns",
        rule="2%",
    ),
    Measure(
        name="build_time",
        title="time per operation of the build part",
        probe="throughput",
        unit="ns",
        rule="off",
    ),
    *(_quantile(name) for name in QUANTILES),
    Measure(
        name="syscalls",
        title="system calls in operation",
        probe="syscalls",
        unit="count",
        rule="exact",
    ),
    Measure(
        name="peak_live",
        title="peak live bytes",
        probe="memory",
        unit="bytes",
        rule="exact",
    ),
    Measure(
        name="peak_mapped",
        title="peak mapped bytes",
        probe="memory",
        unit="bytes",
        rule="exact",
    ),
    Measure(
        name="page_faults",
        title="page faults in operation",
        probe="memory",
        unit="count",
        rule="exact",
    ),
    Measure(
        name="peak_rss",
        title="peak resident bytes",
        probe="memory",
        unit="bytes",
        rule="memory",
    ),
)
MEASURES = {found.name: found for found in _ALL}


def is_measure(name: str) -> bool:
    """Whether there is a measure of that name."""
    return name in MEASURES or name.startswith(CALL_PREFIX)


def measure(name: str) -> Measure:
    """The measure of that name, one system call's included. Raises UsageError."""
    if name in MEASURES:
        return MEASURES[name]
    if not name.startswith(CALL_PREFIX):
        raise UsageError(unknown("metric", name, MEASURES))
    call = name.removeprefix(CALL_PREFIX)
    total = MEASURES["syscalls"]
    title = f"calls of {call} in operation"
    return Measure(name=name, title=title, probe=total.probe, unit=total.unit, rule=total.rule)
