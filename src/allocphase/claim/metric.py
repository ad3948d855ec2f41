"""Metric paths, and the cell that one is asked of.

A metric is named by either name of the catalogue; a selector has its path, with dots for levels,
as the columns of a run's cells are named. `syscalls.operation` alone is the total of that phase.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

from allocphase.analysis.measures import Measure
from allocphase.analysis.metric_names import measure
from allocphase.claim.fields import Fields
from allocphase.errors import UsageError, shown
from allocphase.operation import LATENCY_KINDS
from allocphase.probe.probe import Probe
from allocphase.spec import Spec

__all__ = [
    "CELL_KEYS",
    "LATENCY_KINDS",
    "Cell",
    "Selector",
    "read_allocator",
    "read_cell",
    "read_scenario",
]

CELL_KEYS = ("allocator", "scenario")


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
    """One metric of one cell; `metric` is a path."""

    cell: Cell
    metric: str

    @property
    def measure(self) -> Measure:
        """The metric's entry in the catalogue."""
        return measure(self.metric)

    @property
    def probe(self) -> Probe:
        """The probe whose processes give the metric."""
        return self.measure.probe

    @property
    def timed(self) -> bool:
        """Whether it is tested over rounds; otherwise each process gives a count."""
        return self.measure.timed

    @property
    def has_clock(self) -> bool:
        """Whether a pair of readings of the clock is in it: a time of single calls or writes."""
        return self.metric.startswith(("latency_ns.", "first_touch_ns."))

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


def _checked(fields: Fields, name: str) -> str:
    try:
        one = measure(name)
    except UsageError as error:
        raise UsageError(f"{fields.where}: {error}") from None
    if not one.claimed:
        raise fields.fail("metric", f"{one.path} is no number that a process gives by itself")
    return one.path
