"""The latencies of a cell, pooled over its processes, and their quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from allocphase.analysis.latency.attribution import CAUSES, Rows, causes_of
from allocphase.analysis.latency.calls import (
    Kinds,
    ProcessCalls,
    Weighted,
    merged,
    process_calls,
    process_touches,
    undisturbed_mallocs,
)
from allocphase.analysis.measures import QUANTILES
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import Arrays
from allocphase.stats import quantiles
from allocphase.store.record import ProcessRecord

__all__ = ["QUANTILES", "Latencies", "SampleReader", "describe", "malloc_quantiles", "pool"]

# A median no farther than this from what reading the clock costs is the clock's, not the call's.
AT_CLOCK = 1.5

SampleReader = Callable[[int], Arrays]


@dataclass(frozen=True, slots=True, eq=False)
class Latencies:
    """The same of all latency processes of a cell together; `known` has a cause's single calls.

    touches: the program's first writes to new memory. mallocs: of each process by itself, as by
    malloc_quantiles; all else is of those alone whose samples are kept. by_cause, known: None where
    causes are not to be had.
    """

    by_kind: Mapping[str, Weighted]
    touches: Weighted
    mallocs: Sequence[Mapping[str, float | None]]
    known: Mapping[str, Weighted] | None
    by_cause: Mapping[str, int] | None
    threads: int
    complete_above_ns: float


def pool(
    records: Sequence[ProcessRecord],
    samples: SampleReader,
    kinds: Kinds,
    *,
    called: Rows | None = None,
    threads: int = 1,
) -> Latencies:
    """All latency processes of a cell. Arguments and errors as of process_calls.

    threads: of the trace.
    """
    calls, touches = [], []
    mallocs: list[Mapping[str, float | None]] = []
    for record in records:
        if not record.has_samples:
            mallocs.append(record.quantiles_ns)
            continue
        arrays = samples(record.id)
        calls.append(process_calls(record, arrays, kinds, called=called))
        touches.append(process_touches(record, arrays, kinds))
        mallocs.append(malloc_quantiles(record, arrays, kinds))
    by_kind = {
        name: merged([one.by_kind[name] for one in calls if name in one.by_kind])
        for name in KIND_NAMES
        if any(name in one.by_kind for one in calls)
    }
    counts = [one.by_cause for one in calls if one.by_cause is not None]
    complete = len(counts) == len(calls) > 0
    return Latencies(
        by_kind=by_kind,
        touches=merged(touches),
        mallocs=mallocs,
        known=_by_cause(calls) if complete else None,
        by_cause=dict(zip(CAUSES, np.sum(counts, axis=0).tolist(), strict=True))
        if complete
        else None,
        threads=threads,
        complete_above_ns=max((one.complete_above_ns for one in calls), default=-math.inf),
    )


def _by_cause(calls: Sequence[ProcessCalls]) -> dict[str, Weighted]:
    parts: dict[str, list[Weighted]] = {cause: [] for cause in CAUSES}
    for one in calls:
        for (_, bits), pair in one.groups.items():
            parts[CAUSES[causes_of(bits)]].append(pair)
    return {cause: merged(pairs) for cause, pairs in parts.items()}


def describe(pair: Weighted, *, clock_ns: float | None = None) -> dict[str, Any]:
    """Quantiles that at least one observation lies above; the others are None.

    clock_ns: what reading the clock costs; with it, whether the median is the clock's own.
    """
    values, counts = pair
    described: dict[str, Any] = _known_quantiles(pair)
    described["max"] = float(values.max())
    described["mean"] = float(np.average(values, weights=counts))
    described["samples"] = int(counts.sum())
    if clock_ns is not None:
        median = described["p50"]
        described["at_clock_floor"] = median is not None and median <= AT_CLOCK * clock_ns
    return described


def malloc_quantiles(
    record: ProcessRecord, arrays: Arrays, kinds: Kinds
) -> dict[str, float | None]:
    """Of one latency process, in ns by name, without the calls that were put aside
    (calls.undisturbed_mallocs); None where no call lies above. kinds: as of process_calls.
    """
    found = undisturbed_mallocs(record, arrays, kinds)
    return _known_quantiles(found) if found[0].size else dict.fromkeys(QUANTILES)


def _known_quantiles(pair: Weighted) -> dict[str, float | None]:
    """By name; None where no observation lies above it."""
    values, counts = pair
    total = int(counts.sum())
    found = quantiles(values, list(QUANTILES.values()), counts=counts)
    return {
        name: float(value) if round(total * (1 - q), 6) >= 1 else None
        for (name, q), value in zip(QUANTILES.items(), found, strict=True)
    }
