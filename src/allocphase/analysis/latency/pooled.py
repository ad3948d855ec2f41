"""The latencies of a cell, pooled over its processes, and their quantiles."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from allocphase.analysis.latency.attribution import CAUSES, Rows, causes_of
from allocphase.analysis.latency.calls import (
    ProcessCalls,
    Weighted,
    merged,
    process_calls,
    process_touches,
    undisturbed_mallocs,
)
from allocphase.analysis.latency.replays import Kinds, Replay, arrays_of, kinds_of
from allocphase.analysis.measures import QUANTILES
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import Arrays
from allocphase.stats import quantiles
from allocphase.store.record import ProcessRecord

__all__ = [
    "BEYOND",
    "QUANTILES",
    "Latencies",
    "Pool",
    "SampleReader",
    "describe",
    "is_told",
    "malloc_quantiles",
    "pool",
    "without_samples",
]

# A median no farther than this from what reading the clock costs is the clock's, not the call's.
AT_CLOCK = 1.5
# A quantile that rests on fewer observations beyond it is none: the next process has another.
BEYOND = 10

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


@dataclass(slots=True)
class Pool:
    """Latency processes of a cell, of which one kind of replay is looked at. `kinds`, `called`: as
    of process_calls, which says what is raised. `threads`: of the trace.
    """

    kinds: Kinds
    called: Rows | None = None
    threads: int = 1
    _calls: list[ProcessCalls] = field(default_factory=list)
    _touches: list[Weighted] = field(default_factory=list)
    _mallocs: list[Mapping[str, float | None]] = field(default_factory=list)

    def add(self, record: ProcessRecord, arrays: Arrays) -> None:
        """A process whose samples are kept; `arrays`: those of the replays (replays.arrays_of)."""
        self._calls.append(process_calls(record, arrays, self.kinds, called=self.called))
        self._touches.append(process_touches(record, arrays, self.kinds))
        self._mallocs.append(malloc_quantiles(record, arrays, self.kinds))

    def add_quantiles(self, quantiles_ns: Mapping[str, float | None]) -> None:
        """One whose samples are not."""
        self._mallocs.append(quantiles_ns)

    def latencies(self) -> Latencies:
        """All of them."""
        calls = self._calls
        by_kind = {
            name: merged([one.by_kind[name] for one in calls if name in one.by_kind])
            for name in KIND_NAMES
            if any(name in one.by_kind for one in calls)
        }
        counts = [one.by_cause for one in calls if one.by_cause is not None]
        complete = len(counts) == len(calls) > 0
        return Latencies(
            by_kind=by_kind,
            touches=merged(self._touches),
            mallocs=self._mallocs,
            known=_by_cause(calls) if complete else None,
            by_cause=dict(zip(CAUSES, np.sum(counts, axis=0).tolist(), strict=True))
            if complete
            else None,
            threads=self.threads,
            complete_above_ns=max((one.complete_above_ns for one in calls), default=-math.inf),
        )


def without_samples(quantiles_ns: Mapping[str, float | None]) -> dict[Replay, Latencies]:
    """Of one latency process of which nothing is kept but these."""
    pools = {which: Pool(np.empty(0, np.uint8)) for which in Replay}
    pools[Replay.WARM].add_quantiles(quantiles_ns)
    return {which: pooled.latencies() for which, pooled in pools.items()}


def pool(
    records: Sequence[ProcessRecord],
    samples: SampleReader,
    operations: Arrays,
    *,
    called: Mapping[Replay, Rows | None] | None = None,
    threads: int = 1,
) -> dict[Replay, Latencies]:
    """All latency processes of a cell, by replay. `operations`: RunFiles.operations; `called`: by
    replay; the rest and the errors as of Pool.
    """
    pools = {
        which: Pool(kinds_of(operations, which), (called or {}).get(which), threads)
        for which in Replay
    }
    for record in records:
        arrays = samples(record.id) if record.has_samples else {}
        for which, pooled in pools.items():
            if record.has_samples:
                pooled.add(record, arrays_of(arrays, which))
            elif which is Replay.WARM:
                pooled.add_quantiles(record.quantiles_ns)
    return {which: pooled.latencies() for which, pooled in pools.items()}


def _by_cause(calls: Sequence[ProcessCalls]) -> dict[str, Weighted]:
    parts: dict[str, list[Weighted]] = {cause: [] for cause in CAUSES}
    for one in calls:
        for (_, bits), pair in one.groups.items():
            parts[CAUSES[causes_of(bits)]].append(pair)
    return {cause: merged(pairs) for cause, pairs in parts.items()}


def describe(pair: Weighted, *, clock_ns: float | None = None) -> dict[str, Any]:
    """Quantiles that BEYOND observations lie above, at least; the others are None.

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
    (calls.undisturbed_mallocs); None where fewer than BEYOND calls lie above. kinds: as of
    process_calls.
    """
    found = undisturbed_mallocs(record, arrays, kinds)
    return _known_quantiles(found) if found[0].size else dict.fromkeys(QUANTILES)


def _known_quantiles(pair: Weighted) -> dict[str, float | None]:
    """By name; None where too few observations lie above it."""
    values, counts = pair
    total = int(counts.sum())
    found = quantiles(values, list(QUANTILES.values()), counts=counts)
    return {
        name: float(value) if is_told(total, q) else None
        for (name, q), value in zip(QUANTILES.items(), found, strict=True)
    }


def is_told(count: int, quantile: float) -> bool:
    """Whether so many observations have enough of them beyond the quantile."""
    return round(count * (1 - quantile), 6) >= BEYOND
