"""Metric paths, and the cell that one is asked of.

A path has dots for levels, as the columns of a run's cells do. `syscalls.operation` alone is the
total of that phase.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace

from allocphase.analysis.metrics import KIND_NAMES, QUANTILES
from allocphase.claim.fields import Fields
from allocphase.errors import UsageError, shown, unknown
from allocphase.spec import Spec

__all__ = [
    "CELL_KEYS",
    "LATENCY_KINDS",
    "Cell",
    "Selector",
    "probe_of",
    "read_allocator",
    "read_cell",
    "read_scenario",
]

CELL_KEYS = ("allocator", "scenario")
# A write is the program's own work, not the allocator's.
LATENCY_KINDS = tuple(name for name in KIND_NAMES if name != "write")

_PROBES = {
    "time_per_op_ns": "throughput",
    "cold_time_per_op_ns": "throughput",
    "build_time_per_op_ns": "throughput",
    "latency_ns": "latency",
    "first_touch_ns": "latency",
    "syscalls": "syscalls",
    "syscalls_per_op": "syscalls",
    "allocator_stats": "syscalls",
    "peak_live_bytes": "memory",
    "peak_mapped_bytes": "memory",
    "peak_rss_bytes": "memory",
    "rss_after_free_bytes": "memory",
    "lazily_freed_bytes": "memory",
    "page_faults": "memory",
    "page_faults_in_calls": "faults",
    "fragmentation": "memory",
    "verified": "verify",
}
_TIMED = ("throughput", "latency")
_STATISTICS = (*QUANTILES, "max", "mean")


def probe_of(path: str) -> str:
    """The probe whose processes give the metric."""
    return _PROBES[path.partition(".")[0]]


@dataclass(frozen=True, slots=True)
class Cell:
    """An allocator and a scenario, as specified to `run`.

    A specification such as mine=./libmine.so or mixes/web.toml names its cell mine, web.
    """

    allocator: str
    scenario: str

    @property
    def key(self) -> tuple[str, str]:
        """The names that the run gives the two."""
        return Spec.of_allocator(self.allocator).label, Spec.of_scenario(self.scenario).label


@dataclass(frozen=True, slots=True)
class Selector:
    """One metric of one cell."""

    cell: Cell
    metric: str

    @property
    def probe(self) -> str:
        """The probe whose processes give the metric."""
        return probe_of(self.metric)

    @property
    def timed(self) -> bool:
        """Whether each round has a value of its own; otherwise the one value is exact."""
        return self.probe in _TIMED

    @classmethod
    def read(cls, fields: Fields) -> Selector:
        """From `allocator`, `scenario` and `metric`. Raises UsageError."""
        return cls(read_cell(fields), _checked(fields, fields.text("metric")))

    def changed(self, value: object, *, where: str) -> Selector:
        """The same with what a table such as { allocator = "phase1" } says otherwise."""
        fields = Fields.of(value, where=where, known=(*CELL_KEYS, "metric"))
        if not fields.table:
            raise UsageError(f"{where}: says nothing: give {', '.join(CELL_KEYS)} or metric")
        cell = self.cell
        if "allocator" in fields:
            cell = replace(cell, allocator=read_allocator(fields))
        if "scenario" in fields:
            cell = replace(cell, scenario=read_scenario(fields))
        metric = _checked(fields, fields.text("metric")) if "metric" in fields else self.metric
        return Selector(cell, metric)


def read_cell(fields: Fields) -> Cell:
    """From `allocator` and `scenario`. Raises UsageError."""
    return Cell(read_allocator(fields), read_scenario(fields))


def read_allocator(fields: Fields, key: str = "allocator") -> str:
    """A specification of one allocator. Raises UsageError."""
    text = fields.text(key)
    spec = Spec.of_allocator(text, where=f"{fields.where}: {key}: ")
    return str(_one(spec, "allocator", fields, key))


def read_scenario(fields: Fields, key: str = "scenario") -> str:
    """A specification of one scenario. Raises UsageError."""
    text = fields.text(key)
    spec = Spec.of_scenario(text, where=f"{fields.where}: {key}: ")
    return str(_one(spec, "scenario", fields, key))


def _one(spec: Spec, what: str, fields: Fields, key: str) -> Spec:
    """A glob or several values would stand for several cells."""
    if len(spec.points()) > 1 or any(sign in spec.name for sign in "*["):
        raise fields.fail(key, f"must name one {what}, not several, as {shown(str(spec))} does")
    return spec


def _checked(fields: Fields, path: str) -> str:
    root, *rest = path.split(".")
    if root not in _PROBES:
        raise UsageError(f"{fields.where}: {unknown('metric', root, _PROBES)}")
    levels = _levels(root)
    if levels is None:
        return path
    for part, known in zip(rest, levels, strict=False):
        if known and part not in known:
            raise UsageError(f"{fields.where}: {unknown(f'metric {path}:', part, known)}")
    least = 1 if root == "syscalls" else len(levels)
    if not least <= len(rest) <= len(levels):
        levels_text = f"{len(rest)} levels below {root}, not {least}"
        raise fields.fail("metric", f"{shown(path)} has {levels_text}")
    return path


def _levels(root: str) -> list[Collection[str]] | None:
    """What may stand at each level below the root; an empty collection is anything."""
    if root == "allocator_stats":
        return None
    if root == "latency_ns":
        return [LATENCY_KINDS, _STATISTICS]
    if root == "first_touch_ns":
        return [_STATISTICS]
    return [("init", "operation", "teardown"), ()] if root == "syscalls" else []
