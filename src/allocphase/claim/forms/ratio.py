"""The ratio of one metric to another: of two allocators, of two metrics, of two workloads.

    allocator = "phase2"
    scenario = "phase-report"
    metric = "build_time_per_op_ns"
    to = { allocator = "phase1" }      what is divided by, where it differs
    at_most = 54.0                     or at_least, or about with tolerance or within

Timings are paired within the round, and the interval of the median ratio decides; what the clock
takes of a latency is no part of it (claim/clock.py). Counts divide exactly: of two that one process
gives, within the process; of others, each of the one by each of the other.

`quantile_ratio` is the ratio of two latency quantiles of one cell: `kind`, `upper`, `lower`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocphase.analysis.measures import QUANTILES
from allocphase.analysis.metric_names import measure
from allocphase.claim.clock import ratio_of
from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, bounds, scaled, spelled, spelled_values
from allocphase.claim.metric import CELL_KEYS, LATENCY_KINDS, Selector, read_cell
from allocphase.claim.missing import Missing
from allocphase.claim.relation import RELATION_KEYS, Relation
from allocphase.stats import Interval

__all__ = ["KEYS", "QUANTILE_KEYS", "Ratio", "paired_ratio", "read_quantile_ratio"]

KEYS = (*CELL_KEYS, "metric", "to", *RELATION_KEYS)
QUANTILE_KEYS = (*CELL_KEYS, "kind", "upper", "lower", *RELATION_KEYS)


@dataclass(frozen=True, slots=True)
class Ratio:
    """`over` divided by `under`."""

    form: ClassVar[str] = "ratio"
    over: Selector
    under: Selector
    relation: Relation

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> Ratio:
        """Raises UsageError."""
        over = Selector.read(fields)
        under = over.changed(fields.value("to"), where=f"{fields.where}: to")
        return _ratio(fields, published, over=over, under=under)

    @property
    def needs(self) -> tuple[Need, ...]:
        """Both cells, each under its probe."""
        return (self.over.cell, self.over.probe), (self.under.cell, self.under.probe)

    @property
    def subject(self) -> str:
        """What differs between the two, the rest once."""
        (a, b), (s, t) = zip(self.over.cell.key, self.under.cell.key, strict=True)
        metrics = _over(self.over.metric, self.under.metric)
        if a != b and s != t:
            return f"{metrics} of {a} on {s} / {b} on {t}"
        return f"{metrics} of {_over(a, b)} on {_over(s, t)}"

    @property
    def expected(self) -> str:
        """The relation, in words."""
        return self.relation.text(lambda value: scaled("ratio", value))

    def judge(self, evidence: Evidence) -> Finding:
        """Raises Missing."""
        if self.over.timed:
            return self._judge_timed(evidence)
        over, under = evidence.counts(self.over), evidence.counts(self.under)
        if (under == 0).any():
            raise Missing(f"{self.under.metric} is 0: there is no ratio to it")
        together = self._one_process
        values = over / under if together else np.divide.outer(over, under).ravel()
        value, lower, upper = bounds(values)
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=self.relation.judge_values(values),
            expected=self.expected,
            measured=spelled_values(values, "ratio", processes=together),
            value=value,
            lower=lower,
            upper=upper,
            tied_to=self.relation.tied_to,
        )

    @property
    def _one_process(self) -> bool:
        """Whether each process gives both figures."""
        return (self.over.cell, self.over.probe) == (self.under.cell, self.under.probe)

    def _judge_timed(self, evidence: Evidence) -> Finding:
        interval = paired_ratio(evidence, over=self.over, under=self.under)
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=self.relation.judge_interval(interval),
            expected=self.expected,
            measured=spelled(interval, "ratio"),
            value=interval.estimate,
            lower=interval.lower,
            upper=interval.upper,
            tied_to=self.relation.tied_to,
            notes=evidence.doubts((self.over.cell, self.under.cell)),
        )


def read_quantile_ratio(fields: Fields, published: Mapping[str, float]) -> Ratio:
    """A ratio whose two metrics are quantiles of one cell's latency. Raises UsageError."""
    kind = fields.choice("kind", LATENCY_KINDS, "malloc")
    over, under = (
        Selector(read_cell(fields), measure(f"latency.{kind}.{fields.choice(key, _TAILS)}").path)
        for key in ("upper", "lower")
    )
    return _ratio(fields, published, over=over, under=under)


_TAILS = (*QUANTILES, "max")


def paired_ratio(evidence: Evidence, *, over: Selector, under: Selector) -> Interval:
    """The median over rounds of the ratio within the round, with its interval. Raises Missing."""
    return ratio_of(evidence.without_clock(over), evidence.without_clock(under))


def _ratio(
    fields: Fields, published: Mapping[str, float], *, over: Selector, under: Selector
) -> Ratio:
    if over == under:
        raise fields.fail("to", "names the same figure: its ratio is 1")
    if over.timed != under.timed:
        raise fields.fail("metric", f"{over.metric} and {under.metric}: a timing and a count")
    if over.timed and "equals" in fields:
        raise fields.fail("equals", "no two timings are equal: use about")
    return Ratio(over, under, Relation.read(fields, published))


def _over(a: str, b: str) -> str:
    return a if a == b else f"{a} / {b}"
