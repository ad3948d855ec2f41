"""Thinning of a cell's operations, so that what is drawn is bounded and no outlier is lost.

The operations are cut into equal stretches. Of each stretch and each cause, the fastest, the
slowest and the middle one are kept; so are the slowest operations of the whole cell, wherever
they are. What is left out therefore lies between points that are drawn.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["kept"]

# The slowest operations of a cell, kept one by one: a share of the points that are asked for.
SLOWEST_SHARE = 0.1
_PER_GROUP = 3

Indices = npt.NDArray[np.int64]


def kept(
    latency_ns: npt.NDArray[np.float64], cause: npt.NDArray[np.int8], *, points: int
) -> Indices:
    """Positions to draw, ascending; about `points` of them, all where there are no more.

    latency_ns, cause: shape (ops,), in order of operation; NaN latencies are never drawn.
    """
    present = np.flatnonzero(~np.isnan(latency_ns))
    if present.size <= points:
        return present.astype(np.int64)
    latency, codes = latency_ns[present], cause[present].astype(np.int64)
    slowest = np.argpartition(latency, -_slowest(points))[-_slowest(points) :]
    extremes = _extremes(latency, codes, stretches=_stretches(codes, points))
    chosen: Indices = present[np.union1d(slowest, extremes)]
    return chosen


def _slowest(points: int) -> int:
    return max(1, int(points * SLOWEST_SHARE))


def _stretches(codes: Indices, points: int) -> int:
    """As many as keep the number of points when every cause appears in every stretch."""
    causes = np.unique(codes).size
    return max(1, int(points * (1 - SLOWEST_SHARE)) // (_PER_GROUP * causes))


def _extremes(latency: npt.NDArray[np.float64], codes: Indices, *, stretches: int) -> Indices:
    """First, middle and last by latency of each (stretch, cause)."""
    stretch = np.arange(latency.size) * stretches // latency.size
    group = stretch * (codes.max() + 1) + codes
    # Bits of positive floats ascend with their values: one key, half the time of a lexsort.
    bits = latency.astype(np.float32).view(np.uint32).astype(np.int64)
    order = np.argsort(group << 32 | bits, kind="stable")
    starts = np.flatnonzero(np.diff(group[order], prepend=-1))
    ends = np.append(starts[1:], latency.size) - 1
    picked: Indices = order[np.concatenate([starts, (starts + ends) // 2, ends])]
    return picked
