"""Of the slowest calls, the share in which something happened: is it what makes them slow?

    allocator = "phase2"
    scenario = "phase-report"
    kind = "malloc"               of which operation (malloc where it is not given)
    above = "p99"                 slow: above this quantile of the process's own latencies
    event = "system call"         or page fault, sleep, preemption
    at_least = 0.9

The system calls of an operation are those that the syscalls probe saw in it; the rest is what the
timed process itself saw in its slow calls. One process gives one share.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np
import numpy.typing as npt

from allocphase.analysis.latency import EVENTS, share_above
from allocphase.analysis.measures import QUANTILES
from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import CONFIDENCE
from allocphase.claim.evidence import Evidence, Missing
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, percent, spelled
from allocphase.claim.metric import CELL_KEYS, LATENCY_KINDS, Cell, read_cell
from allocphase.claim.relation import RELATION_KEYS, Relation
from allocphase.probe.probe import Probe
from allocphase.stats import median_interval

__all__ = ["EVENTS", "KEYS", "Share", "shares"]

KEYS = (*CELL_KEYS, "kind", "above", "event", *RELATION_KEYS)


@dataclass(frozen=True, slots=True)
class Share:
    """Of the calls of `kind` above the quantile `above`, those with `event`."""

    form: ClassVar[str] = "share"
    cell: Cell
    kind: str
    above: str
    event: str
    relation: Relation

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> Share:
        """Raises UsageError."""
        return cls(
            cell=read_cell(fields),
            kind=fields.choice("kind", LATENCY_KINDS, "malloc"),
            above=fields.choice("above", QUANTILES),
            event=fields.choice("event", EVENTS),
            relation=Relation.read(fields, published),
        )

    @property
    def needs(self) -> tuple[Need, ...]:
        """Latencies and, for the event, system calls."""
        return (self.cell, Probe.LATENCY), (self.cell, Probe.SYSCALLS)

    @property
    def subject(self) -> str:
        """Which calls, and what in them."""
        allocator, scenario = self.cell.key
        slow = f"{self.kind} calls above {self.above.replace('_', '.')}"
        return f"share with a {self.event} of the {slow}, {allocator} on {scenario}"

    @property
    def expected(self) -> str:
        """The relation, in words."""
        return self.relation.text(percent)

    def judge(self, evidence: Evidence) -> Finding:
        """Raises Missing."""
        found = shares(evidence, self.cell, kind=self.kind, above=self.above, event=self.event)
        interval = median_interval(found, confidence=CONFIDENCE)
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=self.relation.judge_interval(interval),
            expected=self.expected,
            measured=spelled(interval, "_share"),
            value=interval.estimate,
            lower=interval.lower,
            upper=interval.upper,
        )


def shares(
    evidence: Evidence, cell: Cell, *, kind: str, above: str, event: str
) -> npt.NDArray[np.float64]:
    """The share of each latency process, shape (processes,). Raises Missing."""
    allocator, scenario = cell.key
    records = evidence.records(cell, Probe.LATENCY)
    evidence.records(cell, Probe.SYSCALLS)
    called = evidence.run.called_rows(allocator, scenario)
    if called is None:
        raise Missing(f"{allocator} on {scenario}: not every system call was seen")
    quantile = measure(f"latency.{kind}.{above}")
    found = []
    for record in records:
        limit_ns = evidence.of_process(record, quantile)
        if math.isnan(limit_ns):
            raise Missing(f"{allocator} on {scenario}: too few {kind} calls for {above}")
        calls = evidence.run.process_calls(record, called=called)
        share = share_above(calls, kind=kind, above_ns=limit_ns, event=event)
        if share is not None:
            found.append(share)
    if not found:
        raise Missing(f"{allocator} on {scenario}: no {kind} call is known to be above its {above}")
    return np.array(found)
