"""The timed calls of one latency process, by kind of operation and by what happened in them.

Distributions are values in ns with their counts, since a clock that moves in steps gives few
different ones. Of a trace beyond arrays.RAW_OPS the driver keeps histograms of all calls and, one
by one, only the slowest: what is known of single calls is complete above the fastest of those.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from allocphase.analysis.latency.attribution import CAUSES, EVENTS, Rows, causes_of, events_of
from allocphase.analysis.latency.replays import Kinds
from allocphase.errors import DataError
from allocphase.operation import KIND_NAMES, UNCALLED
from allocphase.probe.arrays import (
    OUTLIER,
    SIZE_CLASSES,
    SLOW_CALL,
    Arrays,
    bucket_midpoints,
)
from allocphase.probe.result import Latency
from allocphase.store.record import ProcessRecord

__all__ = [
    "ProcessCalls",
    "Weighted",
    "merged",
    "process_calls",
    "process_touches",
    "size_classes",
    "size_range",
    "uncalled_kinds",
    "undisturbed_calls",
    "undisturbed_mallocs",
]

# Values in ns and how many observations each has, in any order.
Weighted = tuple[npt.NDArray[np.float64], npt.NDArray[np.int64]]

_Int = TypeVar("_Int", bound=np.integer[Any])

_FOREIGN = KIND_NAMES.index("free_foreign")
_MALLOC = KIND_NAMES.index("malloc")
_LAST_ALLOCATION = KIND_NAMES.index("aligned_alloc")
_EVENT_BITS = len(EVENTS)


@dataclass(frozen=True, slots=True, eq=False)
class ProcessCalls:
    """The timed calls of one latency process.

    by_kind: all of them, by name of kind. groups: those known one by one, by (name of kind, bits
    of attribution.EVENTS); these are all calls that took longer than `complete_above_ns`, which
    is -inf where they are all. by_cause: shape (causes,), how many calls had each; None where
    system calls were not seen.
    """

    by_kind: Mapping[str, Weighted]
    groups: Mapping[tuple[str, int], Weighted]
    complete_above_ns: float
    by_cause: npt.NDArray[np.int64] | None


def process_calls(
    record: ProcessRecord, arrays: Arrays, kinds: Kinds, *, called: Rows | None = None
) -> ProcessCalls:
    """Groups a latency process's calls in its first replay, or in its warm ones: `arrays` are those
    of replays.arrays_of. kinds: of each operation of one replay, shape (ops,).

    called: the rows that made a system call; without them nothing is said of what happened.
    Raises DataError where samples and operations are not of one trace.
    """
    dropped = record.part(Latency).slow_calls_dropped
    if "call_ticks" in arrays:
        return _from_samples(record, arrays, kinds, None if dropped else called)
    return _from_histogram(record, arrays, None if dropped else called)


def _from_samples(
    record: ProcessRecord, arrays: Arrays, kinds: Kinds, called: Rows | None
) -> ProcessCalls:
    ticks = arrays["call_ticks"]
    kinds = _each(record, ticks, kinds)
    bits = 0 if called is None else events_of(arrays, called).spread(len(ticks))
    group = _grouped(kinds, bits)
    groups = {
        key: _in_ns(record, *np.unique(ticks[group == code], return_counts=True))
        for code, key in _present(group, uncalled_kinds(record))
    }
    kinds_seen = dict.fromkeys(kind for kind, _ in groups)
    by_kind = {k: merged([pair for (kind, _), pair in groups.items() if kind == k])
               for k in kinds_seen}  # fmt: skip
    counts = np.zeros(len(CAUSES), dtype=np.int64)
    for (_, bits), pair in groups.items():
        counts[causes_of(bits)] += pair[1].sum()
    return ProcessCalls(by_kind, groups, -math.inf, None if called is None else counts)


def _each(
    record: ProcessRecord, ticks: npt.NDArray[Any], column: npt.NDArray[_Int]
) -> npt.NDArray[_Int]:
    """What `column` says of the operations of one replay, for those of all."""
    if len(column) == 0 or len(ticks) % len(column):
        raise DataError(f"process {record.id}: {len(ticks)} latencies for {len(column)} operations")
    return np.resize(column, len(ticks))


def _grouped(kinds: Kinds, bits: npt.ArrayLike) -> npt.NDArray[np.uint8]:
    """A code for each call: its kind, then what happened in it."""
    codes: npt.NDArray[np.uint8] = (kinds << _EVENT_BITS | np.asarray(bits)).astype(np.uint8)
    return codes


def uncalled_kinds(record: ProcessRecord) -> tuple[int, ...]:
    """The kinds of operation that are no call, as indices into KIND_NAMES.

    A foreign free that the allocator lacks was not made.
    """
    return (*UNCALLED, _FOREIGN) if record.result.skipped_operations else UNCALLED


def _present(group: Kinds, skipped: Sequence[int]) -> Iterator[tuple[int, tuple[str, int]]]:
    """The codes that occur, and (kind, bits) of each."""
    for code in np.flatnonzero(np.bincount(group)).tolist():
        kind, bits = code >> _EVENT_BITS, code & ((1 << _EVENT_BITS) - 1)
        if kind not in skipped:
            yield code, (KIND_NAMES[kind], bits)


def _from_histogram(record: ProcessRecord, arrays: Arrays, called: Rows | None) -> ProcessCalls:
    by_kind = {}
    for kind, sizes in enumerate(arrays["call_histogram"]):
        counts = sizes.sum(axis=0).astype(np.int64)
        if kind not in uncalled_kinds(record) and counts.any():
            by_kind[KIND_NAMES[kind]] = _in_ns(record, *_buckets(counts))
    total = sum(int(counts.sum()) for _, counts in by_kind.values())
    if called is None:
        return ProcessCalls(by_kind, {}, math.inf, None)
    kept = arrays.get("outliers", np.empty(0, OUTLIER))
    kept = kept[~np.isin(kept["kind"], uncalled_kinds(record))]
    events = events_of(arrays, called)
    group = _grouped(kept["kind"], events.at(kept["op"].astype(np.int64)))
    groups = {
        key: _in_ns(record, *np.unique(kept["ticks"][group == code], return_counts=True))
        for code, key in _present(group, ())
    }
    counts = np.bincount(causes_of(events.bits), minlength=len(CAUSES))
    counts[CAUSES.index("neither")] += total - counts.sum()
    return ProcessCalls(by_kind, groups, _fastest_ns(record, kept, total), counts)


def _fastest_ns(record: ProcessRecord, kept: npt.NDArray[np.void], total: int) -> float:
    """What no call can exceed without having been kept."""
    if len(kept) == total:
        return -math.inf
    return float(kept["ticks"].min()) * _ns_per_tick(record) if len(kept) else math.inf


def _buckets(counts: npt.NDArray[np.int64]) -> tuple[npt.NDArray[Any], npt.NDArray[np.int64]]:
    return bucket_midpoints()[counts > 0], counts[counts > 0]


def _ns_per_tick(record: ProcessRecord) -> float:
    return 1e9 / record.clock.hz


def _in_ns(
    record: ProcessRecord, ticks: npt.NDArray[Any], counts: npt.NDArray[np.integer[Any]]
) -> Weighted:
    return ticks.astype(np.float64) * _ns_per_tick(record), counts.astype(np.int64)


def undisturbed_mallocs(record: ProcessRecord, arrays: Arrays, kinds: Kinds) -> Weighted:
    """A latency process's calls of malloc but for those in which somebody else had the CPU, which
    is the machine's doing. Of a trace too long to keep each call, to a histogram's bucket.
    """
    if "call_ticks" in arrays:
        left = np.resize(kinds == _MALLOC, len(arrays["call_ticks"]))
        left[_put_aside(arrays)] = False
        return _in_ns(record, *np.unique(arrays["call_ticks"][left], return_counts=True))
    return _in_ns(record, *_buckets(_undisturbed_histogram(arrays)[_MALLOC].sum(axis=0)))


def undisturbed_calls(
    record: ProcessRecord, arrays: Arrays, kinds: Kinds, sizes: npt.NDArray[np.uint32]
) -> dict[tuple[str, int], Weighted]:
    """All of its calls in the same way, by name of kind and by size class (see size_classes).

    kinds, sizes: of each operation of one replay, shape (ops,); of a free, its object's size.
    Raises DataError where samples and operations are not of one trace.
    """
    skipped = uncalled_kinds(record)
    if "call_ticks" not in arrays:
        counts = _undisturbed_histogram(arrays)
        return {
            (KIND_NAMES[kind], group): _in_ns(record, *_buckets(counts[kind, group]))
            for kind, group in np.argwhere(counts.any(axis=2)).tolist()
            if kind not in skipped
        }
    ticks = arrays["call_ticks"]
    kinds, sizes = _each(record, ticks, kinds), _each(record, ticks, sizes)
    left = ~np.isin(kinds, skipped)
    left[_put_aside(arrays)] = False
    codes = kinds[left].astype(np.int64) * SIZE_CLASSES + size_classes(sizes[left])
    order = np.argsort(codes, kind="stable")
    present, starts = np.unique(codes[order], return_index=True)
    parts = np.split(ticks[left][order], starts[1:])
    return {
        (KIND_NAMES[code // SIZE_CLASSES], code % SIZE_CLASSES): _in_ns(
            record, *np.unique(part, return_counts=True)
        )
        for code, part in zip(present.tolist(), parts, strict=False)
    }


def size_classes(sizes: npt.NDArray[np.uint32]) -> npt.NDArray[np.int64]:
    """0 for sizes of 0 and 1, then the exponent of the next power of two; same shape.

    driver/probes/histogram.h: histogram_size_class.
    """
    return np.frexp(np.maximum(sizes.astype(np.float64) - 1.0, 0.0))[1].astype(np.int64)


def size_range(size_class: int) -> tuple[int, int]:
    """The least and the greatest size of a class, in bytes."""
    return (1 << (size_class - 1)) + 1 if size_class else 0, 1 << size_class


def _put_aside(arrays: Arrays) -> npt.NDArray[np.int64]:
    """The places of the calls in which somebody else had the CPU."""
    slow = arrays.get("slow", np.empty(0, SLOW_CALL))
    return slow["op"][slow["preemptions"] > 0].astype(np.int64)


def _undisturbed_histogram(arrays: Arrays) -> npt.NDArray[np.int64]:
    """Shape (kinds, size classes, buckets)."""
    counts = arrays["call_histogram"].astype(np.int64)
    kept = arrays.get("outliers", np.empty(0, OUTLIER))
    # By sorting: a table of all places of a long trace would be as long as the trace.
    hit = kept[np.isin(kept["op"].astype(np.int64), _put_aside(arrays), kind="sort")]
    edges = (bucket_midpoints()[1:] + bucket_midpoints()[:-1]) / 2
    buckets = np.searchsorted(edges, hit["ticks"])
    np.subtract.at(counts, (hit["kind"], size_classes(hit["size"]), buckets), 1)
    return np.maximum(counts, 0)


def process_touches(record: ProcessRecord, arrays: Arrays, kinds: Kinds) -> Weighted:
    """The program's first writes to new memory."""
    if "touch_ticks" in arrays:
        ticks = arrays["touch_ticks"]
        ticks = ticks[np.resize(kinds <= _LAST_ALLOCATION, len(ticks))]
        return _in_ns(record, *np.unique(ticks, return_counts=True))
    counts = arrays["touch_histogram"].sum(axis=(0, 1)).astype(np.int64)
    return _in_ns(record, *_buckets(counts))


def merged(pairs: Sequence[Weighted]) -> Weighted:
    """One distribution out of several; of none, one without values."""
    values = [pair[0] for pair in pairs] or [np.empty(0)]
    counts = [pair[1] for pair in pairs] or [np.empty(0, dtype=np.int64)]
    return np.concatenate(values), np.concatenate(counts)
