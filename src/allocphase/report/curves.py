"""Latency distributions of a cell, pooled over its processes, by kind of operation.

Raw samples and histograms come out alike: values in ns with their counts.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.frames import Run
from allocphase.metrics import KIND_NAMES
from allocphase.result import ProcessRecord
from allocphase.samples import Arrays, bucket_midpoints

__all__ = ["Curve", "Floats", "curves"]

Floats = npt.NDArray[np.float64]
Weighted = tuple[Floats, npt.NDArray[np.int64]]

POINTS = 120
# A write is the program's own work, not the allocator's.
_KINDS = tuple(name for name in KIND_NAMES if name != "write")


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A distribution seen from its tail.

    above: shape (points,), descending from 1: the share of operations slower than `latency_ns`,
    down to one operation in `samples`. latency_ns: same shape, ascending, in ns.
    """

    above: Floats
    latency_ns: Floats
    samples: int


def curves(run: Run, allocator: str, scenario: str) -> dict[str, Curve]:
    """By kind of operation; empty where the cell has no latency samples."""
    kinds = run.files.operations(scenario)["kind"]
    parts: dict[str, list[Weighted]] = {}
    for record in run.records_of(allocator, scenario):
        if record.probe == "latency" and record.status == "ok":
            for kind, pair in _by_kind(record, run.files.samples(record.id), kinds):
                parts.setdefault(kind, []).append(pair)
    return {kind: _curve(pairs) for kind, pairs in parts.items()}


def _by_kind(
    record: ProcessRecord, arrays: Arrays, kinds: npt.NDArray[np.uint8]
) -> Iterator[tuple[str, Weighted]]:
    ns_per_tick = 1e9 / float(record.result["clock"]["hz"])
    for code, name in enumerate(KIND_NAMES):
        if name not in _KINDS:
            continue
        ticks, counts = _ticks(arrays, kinds, code)
        if counts.size:
            yield name, (ticks * ns_per_tick, counts)


def _ticks(arrays: Arrays, kinds: npt.NDArray[np.uint8], code: int) -> Weighted:
    if "call_ticks" in arrays:
        values, counts = np.unique(arrays["call_ticks"][kinds == code], return_counts=True)
        return values.astype(np.float64), counts.astype(np.int64)
    buckets = arrays["call_histogram"][code].sum(axis=0).astype(np.int64)
    return bucket_midpoints()[buckets > 0], buckets[buckets > 0]


def _curve(pairs: list[Weighted]) -> Curve:
    values = np.concatenate([pair[0] for pair in pairs])
    counts = np.concatenate([pair[1] for pair in pairs])
    order = np.argsort(values, kind="stable")
    values, ends = values[order], np.cumsum(counts[order])
    total = int(ends[-1])
    above = np.geomspace(1.0, 1.0 / total, POINTS)
    ranks = np.clip(np.ceil((1.0 - above) * total), 1, total)
    return Curve(above, values[np.searchsorted(ends, ranks)], total)
