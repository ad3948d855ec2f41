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

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocphase.claims.evidence import Evidence, Missing
from allocphase.claims.fields import Fields
from allocphase.claims.finding import Finding, Need, percent, spelled
from allocphase.claims.metric import CELL_KEYS, LATENCY_KINDS, Cell, read_cell
from allocphase.claims.relation import RELATION_KEYS, Relation
from allocphase.metrics import CONFIDENCE, QUANTILES
from allocphase.result import ProcessRecord
from allocphase.samples import Arrays
from allocphase.stats import median_interval

__all__ = ["EVENTS", "KEYS", "Share", "shares"]

KEYS = (*CELL_KEYS, "kind", "above", "event", *RELATION_KEYS)

# event: the field of the slow calls' records that counts it, None where another probe does
EVENTS: dict[str, str | None] = {
    "system call": None,
    "page fault": "faults",
    "sleep": "sleeps",
    "preemption": "preemptions",
}


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
        return (self.cell, "latency"), (self.cell, "syscalls")

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
    records = evidence.records(cell, "latency")
    evidence.records(cell, "syscalls")
    operations = evidence.run.operations_of(*cell.key)
    found = []
    for record in records:
        arrays = evidence.run.files.samples(record.id)
        limit_ns = evidence.of_process(record).get(f"latency_ns.{kind}.{above}")
        if limit_ns is None:
            raise Missing(f"{cell.key[0]} on {cell.key[1]}: too few {kind} calls for {above}")
        slow = _latencies_ns(record, arrays, len(operations)) > limit_ns
        slow &= np.asarray(operations["kind"] == kind)
        if slow.any():
            found.append(float(_happened(operations, arrays, event)[slow].mean()))
    if not found:
        raise Missing(f"{cell.key[0]} on {cell.key[1]}: no {kind} call is above its {above}")
    return np.array(found)


def _latencies_ns(record: ProcessRecord, arrays: Arrays, count: int) -> npt.NDArray[np.float64]:
    """By operation; a long trace keeps only its slowest calls, the others are NaN."""
    ns_per_tick = 1e9 / float(record.result["clock"]["hz"])
    if "call_ticks" in arrays:
        return arrays["call_ticks"].astype(np.float64) * ns_per_tick
    latencies = np.full(count, np.nan)
    latencies[arrays["outliers"]["op"].astype(np.int64)] = arrays["outliers"]["ticks"] * ns_per_tick
    return latencies


def _happened(operations: pd.DataFrame, arrays: Arrays, event: str) -> npt.NDArray[np.bool_]:
    field = EVENTS[event]
    if field is None:
        return np.asarray(operations["syscalls"] > 0)
    happened = np.zeros(len(operations), dtype=np.bool_)
    calls: Any = arrays.get("slow")
    if calls is not None:
        happened[calls["op"].astype(np.int64)[calls[field] > 0]] = True
    return happened
