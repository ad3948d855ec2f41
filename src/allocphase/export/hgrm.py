"""HdrHistogram's percentile distribution (.hgrm), which its plotters read: of one distribution.

    {Value} {Percentile} {TotalCount} {1/(1-Percentile)}, five lines for each halving of the rest

of the warm calls of one kind in one cell, pooled over processes, in ns.

Format: HdrHistogram/HdrHistogram, AbstractHistogram.outputPercentileDistribution.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.errors import NothingMeasuredError
from allocphase.export.exported import Choice, Exported, one_cell
from allocphase.export.hdr import HdrHistogram, warm_latencies

__all__ = ["write"]

TICKS = 5  # for each halving of what lies beyond
_BUCKETS, _PARTS = 32, 2048  # of a histogram up to hdr.HIGHEST_NS


def write(runs: Sequence[Run], choice: Choice) -> Exported:
    """Of one cell of one run. Raises NothingMeasuredError where it has no such latencies."""
    (run,) = runs
    allocator, scenario = one_cell(run, choice)
    kinds = warm_latencies(run, allocator, scenario)
    if choice.kind not in kinds:
        there_are = f"; of {', '.join(kinds)} there are" if kinds else ""
        raise NothingMeasuredError(
            f"{run.path}: no latency of {choice.kind} was measured of {allocator} on {scenario}"
            f"{there_are}"
        )
    return Exported.of_text("\n".join(_lines(HdrHistogram.of(kinds[choice.kind]))) + "\n")


def _lines(histogram: HdrHistogram) -> Iterator[str]:
    lowest, highest, counts = histogram.buckets()
    total, last = histogram.total, highest.size - 1
    upto = np.cumsum(counts)
    yield f"{'Value':>12} {'Percentile':>14} {'TotalCount':>10} {'1/(1-Percentile)':>14}"
    yield ""
    for place, share in _levels(upto / total):
        rest = f" {1 / (1 - share):14.2f}"
        yield f"{highest[place]:12.3f} {share:2.12f} {upto[place]:10d}{rest}"
    yield f"{highest[last]:12.3f} {1:2.12f} {total:10d}"
    middle = lowest + (highest - lowest + 1) // 2
    mean = float(np.average(middle, weights=counts))
    deviation = math.sqrt(float(np.average((middle - mean) ** 2, weights=counts)))
    yield f"#[Mean    = {mean:12.3f}, StdDeviation   = {deviation:12.3f}]"
    yield f"#[Max     = {highest[last]:12.3f}, Total count    = {total:12d}]"
    yield f"#[Buckets = {_BUCKETS:12d}, SubBuckets     = {_PARTS:12d}]"


def _levels(reached: npt.NDArray[np.float64]) -> Iterator[tuple[int, float]]:
    """The place of the bucket in which each level lies, and the level, a share below 1. reached: up
    to and with each bucket, rising to 1. Steps are a fifth of what a halving leaves.
    """
    level, last = 0.0, reached.size - 1
    for place, share in enumerate(reached.tolist()):
        while level <= share:
            yield place, level
            if place == last:
                return
            level += 0.5 ** (math.floor(math.log2(1 / (1 - level))) + 1) / TICKS
