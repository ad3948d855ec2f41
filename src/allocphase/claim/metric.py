"""Metric paths, and the cell that one is asked of.

A metric is named by either name of the catalogue; a selector has its path, with dots for levels,
as the columns of a run's cells are named. `syscalls.operation` alone is the total of that phase.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.analysis.measures import Measure, measure
from allocphase.claim.fields import Fields
from allocphase.errors import UsageError, shown
from allocphase.probe.kinds import LATENCY_KINDS
from allocphase.probe.probe import Probe

__all__ = ["CELL_KEYS", "LATENCY_KINDS", "Cell", "Selector", "read_cell"]

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
        base, mark, settings = self.allocator.partition("?")
        allocator = base.partition("=")[0] + mark + settings
        base, mark, settings = self.scenario.partition("?")
        scenario = Path(base).stem if base.endswith(".toml") else base
        return allocator, scenario + mark + settings


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
        """Whether each round has a value of its own; otherwise the one value is exact."""
        return self.measure.timed

    @classmethod
    def read(cls, fields: Fields) -> Selector:
        """From `allocator`, `scenario` and `metric`. Raises UsageError."""
        return cls(read_cell(fields), _checked(fields, fields.text("metric")))

    def changed(self, value: object, *, where: str) -> Selector:
        """The same with what a table such as { allocator = "phase1" } says otherwise."""
        fields = Fields.of(value, where=where, known=(*CELL_KEYS, "metric"))
        if not fields.table:
            raise UsageError(f"{where}: says nothing: give {', '.join(CELL_KEYS)} or metric")
        cell = replace(self.cell, **{key: _name(fields, key) for key in CELL_KEYS if key in fields})
        metric = _checked(fields, fields.text("metric")) if "metric" in fields else self.metric
        return Selector(cell, metric)


def read_cell(fields: Fields) -> Cell:
    """From `allocator` and `scenario`. Raises UsageError."""
    return Cell(_name(fields, "allocator"), _name(fields, "scenario"))


def _name(fields: Fields, key: str) -> str:
    """One name: a glob or a list of values would stand for several cells."""
    name = fields.text(key)
    base, _, settings = name.partition("?")
    if any(sign in base for sign in "*[") or "," in settings:
        raise fields.fail(key, f"must name one {key}, not several, as {shown(name)} does")
    return name


def _checked(fields: Fields, name: str) -> str:
    try:
        one = measure(name)
    except UsageError as error:
        raise UsageError(f"{fields.where}: {error}") from None
    if not one.claimed:
        raise fields.fail("metric", f"{one.path} is no number that a process gives by itself")
    return one.path
