"""Of the slowest calls, the share in which something happened: is it what makes them slow?

    allocator = "phase2?objects_per_slab=8"
    scenario = "phase-report"
    kind = "malloc"               of which operation (malloc where it is not given)
    above = "p99"                 slow: above this quantile of the process's own latencies
    event = "system call"         or page fault, sleep, preemption
    judge = "lift"                or share (where it is not given)
    at_least = 2.0

A share is evidence only against the *base rate*, the share of all calls of that kind in which the
same happened; their quotient is the *lift*. Where every call has it, so has every slow one,
whatever made it slow; where none has it, no slow one has. Then nothing is judged: not measured.

The system calls of an operation are those that the syscalls probe saw in it. The rest is what the
timed process itself saw in its slow calls, and none of it fits into a faster one
(driver/probes/latency.c), so that the base rate of each is known too. It is not of a trace beyond
arrays.RAW_OPS, which keeps its slowest calls only. One process gives one share, one base rate and
one lift.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

import numpy as np

from allocphase.analysis.latency import EVENTS, share_above
from allocphase.analysis.measures import QUANTILES
from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import CONFIDENCE
from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Finding, Need, percent, scaled, spelled
from allocphase.claim.metric import CELL_KEYS, LATENCY_KINDS, Cell, read_cell
from allocphase.claim.missing import Missing
from allocphase.claim.relation import RELATION_KEYS, Relation
from allocphase.probe.probe import Probe
from allocphase.stats import median_interval
from allocphase.stats.values import FloatArray, median

__all__ = ["EVENTS", "KEYS", "Rates", "Share", "rates"]

KEYS = (*CELL_KEYS, "kind", "above", "event", "judge", *RELATION_KEYS)
JUDGED = ("share", "lift")
_UNITS = {"share": "_share", "lift": "ratio"}


@dataclass(frozen=True, slots=True)
class Share:
    """Of the calls of `kind` above the quantile `above`, those with `event`. judged: of JUDGED."""

    form: ClassVar[str] = "share"
    cell: Cell
    kind: str
    above: str
    event: str
    judged: str
    relation: Relation

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> Share:
        """Raises UsageError."""
        judged = fields.choice("judge", JUDGED, JUDGED[0])
        return cls(
            cell=read_cell(fields),
            kind=fields.choice("kind", LATENCY_KINDS, "malloc"),
            above=fields.choice("above", QUANTILES),
            event=fields.choice("event", EVENTS),
            judged=judged,
            relation=Relation.read(fields, published, share=judged == "share"),
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
        return f"{self.judged} of a {self.event} among the {slow}, {allocator} on {scenario}"

    @property
    def expected(self) -> str:
        """The relation, in words."""
        return self.relation.text(lambda value: scaled(_UNITS[self.judged], value))

    def judge(self, evidence: Evidence) -> Finding:
        """Raises Missing."""
        found = rates(evidence, self.cell, kind=self.kind, above=self.above, event=self.event)
        if found.says_nothing:
            raise Missing(self._nothing(found))
        lift = median_interval(found.lift, confidence=CONFIDENCE)
        share = median_interval(found.share, confidence=CONFIDENCE)
        interval = lift if self.judged == "lift" else share
        return Finding(
            form=self.form,
            subject=self.subject,
            verdict=self.relation.judge_interval(interval),
            expected=self.expected,
            measured=(
                f"{spelled(share, _UNITS['share'])} of the slow, {percent(median(found.base))} of "
                f"all: a lift of {spelled(lift, _UNITS['lift'])}"
            ),
            value=interval.estimate,
            lower=interval.lower,
            upper=interval.upper,
            tied_to=self.relation.tied_to,
        )

    def _nothing(self, found: Rates) -> str:
        allocator, scenario = self.cell.key
        every = "every" if found.base.all() else "no"
        return (
            f"{every} {self.kind} call of {allocator} on {scenario} has a {self.event}: the share "
            "says nothing of what is slow"
        )


@dataclass(frozen=True, slots=True, eq=False)
class Rates:
    """share: of the slow calls those with the event; base: of all. Shape (processes,)."""

    share: FloatArray
    base: FloatArray

    @property
    def says_nothing(self) -> bool:
        """Whether, in each process, all calls have the event, or none."""
        return bool(((self.base == 0.0) | (self.base == 1.0)).all())

    @property
    def lift(self) -> FloatArray:
        """How many times as often a slow call has it as any call; NaN where no call has."""
        return self.share / np.where(self.base > 0.0, self.base, np.nan)


def rates(evidence: Evidence, cell: Cell, *, kind: str, above: str, event: str) -> Rates:
    """Those of each latency process that has a slow call. Raises Missing."""
    allocator, scenario = evidence.key(cell)
    records = [r for r in evidence.records(cell, Probe.LATENCY) if r.has_samples]
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
        if calls.by_cause is None:
            raise Missing(f"{allocator} on {scenario}: what happened in some calls was not kept")
        share, base = (
            share_above(calls, kind=kind, above_ns=limit, event=event)
            for limit in (limit_ns, -math.inf)
        )
        if share is not None:
            found.append((share, base))
    if not found:
        raise Missing(f"{allocator} on {scenario}: no {kind} call is known to be above its {above}")
    if any(base is None for _, base in found):
        raise Missing(
            f"{allocator} on {scenario}: of so long a trace only the slowest calls are known one "
            f"by one, so that the base rate of a {event} is not"
        )
    share, base = np.array(found, dtype=np.float64).T
    return Rates(share, base)
