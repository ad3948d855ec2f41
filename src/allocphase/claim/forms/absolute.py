"""An absolute time of another machine: never judged, measured and shown beside the published one.

allocator = "phase1"
scenario = "phase-report"
metric = "build_time_per_op_ns"
published = "time_ns"              the name of the published figure
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from allocphase.analysis.metrics import CONFIDENCE
from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, scaled, spelled
from allocphase.claim.metric import CELL_KEYS, Selector
from allocphase.claim.verdict import Verdict
from allocphase.stats import median_interval

__all__ = ["KEYS", "Absolute"]

KEYS = (*CELL_KEYS, "metric", "published")
ADVICE = "comparable: its ratio to another allocator, or both times on one machine"


@dataclass(frozen=True, slots=True)
class Absolute:
    """A timing, and what was published of it, in the metric's own unit."""

    form: ClassVar[str] = "absolute"
    selector: Selector
    published: float

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> Absolute:
        """Raises UsageError."""
        selector = Selector.read(fields)
        if not selector.timed:
            raise fields.fail("metric", f"{selector.metric} is a count: use count")
        return cls(selector, fields.named("published", fields.text("published"), published))

    @property
    def needs(self) -> tuple[Need, ...]:
        """One cell."""
        return ((self.selector.cell, self.selector.probe),)

    @property
    def subject(self) -> str:
        """The metric and its cell."""
        allocator, scenario = self.selector.cell.key
        return f"{self.selector.metric} of {allocator} on {scenario}"

    @property
    def expected(self) -> str:
        """The published figure."""
        return f"{scaled(self.selector.metric, self.published)} on the source's machine"

    def judge(self, evidence: Evidence) -> Finding:
        """Raises Missing."""
        interval = median_interval(evidence.by_round(self.selector), confidence=CONFIDENCE)
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=Verdict.NOT_COMPARABLE,
            expected=self.expected,
            measured=f"{spelled(interval, self.selector.metric)} here ({evidence.machine})",
            value=interval.estimate,
            lower=interval.lower,
            upper=interval.upper,
            notes=(ADVICE,),
        )
