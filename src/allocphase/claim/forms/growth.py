"""How a time grows with a parameter of the workload: the exponent b of time = a * parameter^b.

    allocator = "phase21"
    scenario = "random-churn"
    parameter = "live"
    values = [300, 1000, 3000]
    metric = "time_per_op_ns"
    about = 1.0
    within = 0.15

Each round gives one exponent (stats.growth); the interval of their median decides.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocphase.analysis.metrics import CONFIDENCE
from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, scaled, spelled
from allocphase.claim.metric import CELL_KEYS, Cell, Selector
from allocphase.claim.missing import Missing
from allocphase.claim.relation import RELATION_KEYS, Relation
from allocphase.spec import Spec
from allocphase.stats import growth
from allocphase.stats.values import FloatArray
from allocphase.text.units import format_count

__all__ = ["KEYS", "SWEEP_KEYS", "GrowthCheck", "Levels", "read_levels"]

SWEEP_KEYS = ("parameter", "values")
KEYS = (*CELL_KEYS, "metric", *SWEEP_KEYS, *RELATION_KEYS)


@dataclass(frozen=True, slots=True)
class Levels:
    """One timed metric at several values of a parameter; `selector` names the base scenario."""

    selector: Selector
    parameter: str
    values: tuple[float, ...]

    def at(self, value: float) -> Selector:
        """The metric of one level's cell, named as the scenario is with that parameter."""
        cell = self.selector.cell
        scenario = Spec.of_scenario(cell.scenario).with_setting(self.parameter, _plain(value))
        return Selector(Cell(cell.allocator, str(scenario)), self.selector.metric)

    def by_round(self, evidence: Evidence) -> FloatArray:
        """The times of all levels, shape (rounds, levels); of latencies the calls' part.

        Raises Missing, also where a level's time is the clock's own: it would not grow.
        """
        columns = [evidence.without_clock(self.at(value)) for value in self.values]
        for column in columns:
            column.check()
        return np.column_stack([column.net_ns for column in columns])


@dataclass(frozen=True, slots=True)
class GrowthCheck:
    """The exponent over `levels`."""

    form: ClassVar[str] = "growth"
    levels: Levels
    relation: Relation

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> GrowthCheck:
        """Raises UsageError."""
        return cls(read_levels(fields), Relation.read(fields, published))

    @property
    def needs(self) -> tuple[Need, ...]:
        """A cell for each level."""
        points = [self.levels.at(value) for value in self.levels.values]
        return tuple((point.cell, point.probe) for point in points)

    @property
    def subject(self) -> str:
        """What grows with what."""
        allocator, scenario = self.levels.selector.cell.key
        low, high = min(self.levels.values), max(self.levels.values)
        return (
            f"exponent of {self.levels.selector.metric} in {self.levels.parameter}, "
            f"{format_count(low)} to {format_count(high)}, {allocator} on {scenario}"
        )

    @property
    def expected(self) -> str:
        """The relation, in words."""
        return self.relation.text(lambda value: f"{value:.2f}")

    def judge(self, evidence: Evidence) -> Finding:
        """Raises Missing."""
        columns = self.levels.by_round(evidence)
        try:
            fitted = growth(self.levels.values, columns, confidence=CONFIDENCE)
        except ValueError as error:
            raise Missing(str(error)) from None
        interval = fitted.exponent
        metric = self.levels.selector.metric
        ends = [scaled(metric, float(np.nanmedian(columns[:, i]))) for i in (0, -1)]
        local = ", ".join(f"{b:.2f}" for b in fitted.local_exponents)
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=self.relation.judge_interval(interval),
            expected=self.expected,
            measured=f"{spelled(interval, 'exponent')}; {ends[0]} to {ends[1]}",
            value=interval.estimate,
            lower=interval.lower,
            upper=interval.upper,
            tied_to=self.relation.tied_to,
            notes=(f"between neighbouring values: {local}",),
        )


def read_levels(fields: Fields) -> Levels:
    """Raises UsageError."""
    selector = Selector.read(fields)
    if not selector.timed:
        raise fields.fail("metric", f"{selector.metric} is no timing")
    values = fields.numbers("values")
    if len(set(values)) < max(2, len(values)) or min(values) <= 0:
        raise fields.fail("values", "must be two or more distinct positive numbers")
    return Levels(selector, fields.text("parameter"), tuple(sorted(values)))


def _plain(value: float) -> str:
    return str(int(value)) if value.is_integer() else str(value)
