"""The growth exponent: how time per operation scales with the number of live objects.

time = a * live^b is a line of slope b in logarithms. One round holds one process for each
level, so each round gives one slope, and the rounds' slopes are independent: their median has
an exact interval (interval.py), with nothing assumed of the errors along the line. Fitting all
points at once would not do: its interval would count the departure from a power law as noise,
and the levels of a round, which share the machine's state, as independent.

A round's slope is Theil and Sen's median of pairwise slopes (Sen, "Estimates of the regression
coefficient based on Kendall's tau", JASA 63, 1968) rather than least squares, which gives the
first and last level the most weight: just where constant costs and cache misses bend the line.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.stats.interval import Interval, median_interval
from allocphase.stats.values import FloatArray

__all__ = ["Growth", "growth"]


@dataclass(frozen=True, slots=True, eq=False)
class Growth:
    """The fitted power law, and where it does not hold.

    live: shape (levels,), ascending, the levels used; local_exponents: shape (levels - 1,), the
    median slope between neighbours (a step there names a cache or a threshold);
    worst_misfit_ratio: the largest factor, at least 1, between a level's median time and the
    line; rounds, dropped_rounds: complete rounds, and those that missed a level.
    """

    exponent: Interval
    live: FloatArray
    local_exponents: FloatArray
    worst_misfit_ratio: float
    rounds: int
    dropped_rounds: int


def growth(live: npt.ArrayLike, time: npt.ArrayLike, *, confidence: float = 0.95) -> Growth:
    """Fits the exponent of `time` in `live` (module docstring).

    live: shape (levels,), distinct and positive; time: shape (rounds, levels), positive, any
    unit, NaN where missing. A level without any time is left out (its cell failed); then a
    round that misses another is dropped. Raises ValueError for other shapes or values, for
    fewer than two levels, and if no complete round is left.
    """
    x, y = _logs(live, time)
    measured = ~np.isnan(y).all(axis=0)
    x, y = x[measured], y[:, measured]
    complete = ~np.isnan(y).any(axis=1)
    if x.size < 2 or not complete.any():
        raise ValueError("a growth exponent needs two levels and a round that has them all")
    kept = y[complete]
    exponent = median_interval(_theil_sen(x, kept), confidence=confidence)
    return Growth(
        exponent=exponent,
        live=np.exp(x),
        local_exponents=np.median(np.diff(kept, axis=1) / np.diff(x), axis=0),
        worst_misfit_ratio=_worst_misfit(x, np.median(kept, axis=0), exponent.estimate),
        rounds=int(complete.sum()),
        dropped_rounds=int((~complete).sum()),
    )


def _logs(live: npt.ArrayLike, time: npt.ArrayLike) -> tuple[FloatArray, FloatArray]:
    x, y = np.asarray(live, dtype=np.float64), np.asarray(time, dtype=np.float64)
    if x.ndim != 1 or y.ndim != 2 or y.shape[1] != x.size:
        raise ValueError("time has one row for each round and one column for each level of live")
    if not (np.isfinite(x) & (x > 0.0)).all() or np.unique(x).size != x.size:
        raise ValueError("the levels of live are distinct, positive and finite")
    if ((y <= 0.0) | np.isinf(y)).any():
        raise ValueError("a time is positive and finite, or NaN where it is missing")
    order = np.argsort(x)
    return np.log(x[order]), np.log(y[:, order])


def _theil_sen(x: FloatArray, y: FloatArray) -> FloatArray:
    """The median pairwise slope of each row of y, shape (rounds,)."""
    first, second = np.triu_indices(x.size, k=1)
    slopes = (y[:, second] - y[:, first]) / (x[second] - x[first])
    return np.asarray(np.median(slopes, axis=1), dtype=np.float64)


def _worst_misfit(x: FloatArray, y: FloatArray, slope: float) -> float:
    residuals = y - slope * x
    return math.exp(float(np.abs(residuals - np.median(residuals)).max()))
