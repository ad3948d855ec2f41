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
_MOST_GROUPS = 1 << 16

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
    extremes = _extremes(latency, _groups(codes, points))
    chosen: Indices = present[np.union1d(slowest, extremes)]
    return chosen


def _slowest(points: int) -> int:
    return max(1, int(points * SLOWEST_SHARE))


def _groups(codes: Indices, points: int) -> npt.NDArray[np.uint16]:
    """The number of each operation's (stretch, cause), as many as the points allow.

    Twice the stretches make at most twice the groups, since a group only splits in two. So one
    try, with every cause in every stretch assumed, tells how many stretches there may be.
    """
    wanted = max(1, int(points * (1 - SLOWEST_SHARE)) // _PER_GROUP)
    causes = int(codes.max()) + 1
    first = _cut(codes, max(1, wanted // causes), causes)
    spare = wanted / np.count_nonzero(np.bincount(first))
    return _cut(codes, max(1, int(max(1, wanted // causes) * spare)), causes)


def _cut(codes: Indices, stretches: int, causes: int) -> npt.NDArray[np.uint16]:
    stretch = np.arange(codes.size) * min(stretches, _MOST_GROUPS // causes) // codes.size
    return (stretch * causes + codes).astype(np.uint16)


def _extremes(latency: npt.NDArray[np.float64], groups: npt.NDArray[np.uint16]) -> Indices:
    """First, middle and last by latency of each group."""
    by_latency = np.argsort(latency, kind="stable")
    order = by_latency[np.argsort(groups[by_latency], kind="stable")]  # numpy sorts uint16 fast
    starts = np.flatnonzero(np.diff(groups[order].astype(np.int64), prepend=-1))
    ends = np.append(starts[1:], latency.size) - 1
    picked: Indices = order[np.concatenate([starts, (starts + ends) // 2, ends])]
    return picked
