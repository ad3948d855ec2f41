"""A counted figure: system calls, bytes, faults, what an allocator says of itself.

    allocator = "phase21"
    scenario = "phase-report"
    metric = "syscalls.operation"
    equals = 0                          or at_most, at_least, about
    minus = { allocator = "phase1" }    optional: the difference to another cell or metric

A system call that was never made counts 0 wherever the probe ran. Each process gives a count. The
claim holds where it does in all of them, and is contradicted where it does in none; a difference is
that of each process of the one cell from each of the other.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, bounds, scaled, spelled_values
from allocphase.claim.metric import CELL_KEYS, Selector
from allocphase.claim.relation import RELATION_KEYS, Relation
from allocphase.stats.values import FloatArray

__all__ = ["KEYS", "Count"]

KEYS = (*CELL_KEYS, "metric", "minus", *RELATION_KEYS)


@dataclass(frozen=True, slots=True)
class Count:
    """`selector`, less `minus` where there is one."""

    form: ClassVar[str] = "count"
    selector: Selector
    minus: Selector | None
    relation: Relation

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> Count:
        """Raises UsageError."""
        selector = Selector.read(fields)
        minus = None
        if "minus" in fields:
            minus = selector.changed(fields.value("minus"), where=f"{fields.where}: minus")
        for part in (selector, minus):
            if part is not None and part.timed:
                raise fields.fail("metric", f"{part.metric} is a timing: use ratio or absolute")
        return cls(selector, minus, Relation.read(fields, published))

    @property
    def needs(self) -> tuple[Need, ...]:
        """The cells, each under its probe."""
        parts = (self.selector,) if self.minus is None else (self.selector, self.minus)
        return tuple((part.cell, part.probe) for part in parts)

    @property
    def subject(self) -> str:
        """The metric and where it is counted."""
        return _named(self.selector) + ("" if self.minus is None else f", less {self._less()}")

    @property
    def expected(self) -> str:
        """The relation, in words."""
        return self.relation.text(self._scaled)

    def judge(self, evidence: Evidence) -> Finding:
        """Raises Missing."""
        values = evidence.counts(self.selector)
        measured = self._spelled(values)
        if self.minus is not None:
            others = evidence.counts(self.minus)
            values = np.subtract.outer(values, others).ravel()
            difference = self._spelled(values, processes=False)
            measured = f"{measured} - {self._spelled(others)} = {difference}"
        value, lower, upper = bounds(values)
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=self.relation.judge_values(values),
            expected=self.expected,
            measured=measured,
            value=value,
            lower=lower,
            upper=upper,
            tied_to=self.relation.tied_to,
        )

    def _spelled(self, values: FloatArray, *, processes: bool = True) -> str:
        return spelled_values(values, self.selector.metric, processes=processes)

    def _scaled(self, value: float) -> str:
        return scaled(self.selector.metric, value)

    def _less(self) -> str:
        assert self.minus is not None
        same_metric = self.minus.metric == self.selector.metric
        return self.minus.cell.key[0] if same_metric else _named(self.minus)


def _named(selector: Selector) -> str:
    allocator, scenario = selector.cell.key
    return f"{selector.metric} of {allocator} on {scenario}"
