"""The ratio of one metric to another: of two allocators, of two metrics, of two workloads.

    allocator = "phase2"
    scenario = "phase-report"
    metric = "build_time_per_op_ns"
    to = { allocator = "phase1" }      what is divided by, where it differs
    at_most = 54.0                     or at_least, or about with tolerance or within

Timings are paired within the round, and the interval of the median ratio decides. Counts divide
exactly.

`quantile_ratio` is the ratio of two latency quantiles of one cell: `kind`, `upper`, `lower`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from allocphase.analysis.measures import QUANTILES
from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import CONFIDENCE
from allocphase.claim.evidence import Evidence, Missing
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, scaled, spelled
from allocphase.claim.metric import CELL_KEYS, LATENCY_KINDS, Selector, read_cell
from allocphase.claim.relation import RELATION_KEYS, Relation
from allocphase.stats import Interval, log_ratios, median_interval

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
        return f"{metrics} of {_over(a, b)} on {_over(s, t)}"

    @property
    def expected(self) -> str:
        """The relation, in words."""
        return self.relation.text(lambda value: scaled("ratio", value))

    def judge(self, evidence: Evidence) -> Finding:
        """Raises Missing."""
        if self.over.timed:
            return self._judge_timed(evidence)
        base = evidence.count(self.under)
        if base == 0:
            raise Missing(f"{self.under.metric} is 0: there is no ratio to it")
        value = evidence.count(self.over) / base
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=self.relation.judge_value(value),
            expected=self.expected,
            measured=scaled("ratio", value),
            value=value,
        )

    def _judge_timed(self, evidence: Evidence) -> Finding:
        interval = paired_ratio(evidence, self.over, self.under)
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=self.relation.judge_interval(interval),
            expected=self.expected,
            measured=spelled(interval, "ratio"),
            value=interval.estimate,
            lower=interval.lower,
            upper=interval.upper,
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


def paired_ratio(evidence: Evidence, over: Selector, under: Selector) -> Interval:
    """The median over rounds of the ratio within the round, with its interval. Raises Missing."""
    logs = log_ratios(evidence.by_round(under), evidence.by_round(over))
    interval = median_interval(logs, confidence=CONFIDENCE)
    if interval.estimate != interval.estimate:
        raise Missing("no round has both figures")
    return interval.exp()


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
