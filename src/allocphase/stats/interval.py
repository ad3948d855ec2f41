"""Exact, distribution-free confidence intervals of a median or another quantile.

The number B of n independent observations at or below the true quantile of order q is
Binomial(n, q), whatever the distribution. So the order statistics of rank l and u enclose it
with probability P(l <= B < u), exactly for a continuous distribution and at least that for a
discrete one. Source: David and Nagaraja, Order Statistics, 3rd edition, section 7.1
(Thompson 1936); each tail is held to (1 - confidence) / 2.

Assumed: independent observations of one distribution. For us these are processes, one number
each: the operations within one process follow each other and are no sample of this kind.
"""

from __future__ import annotations

import math
from bisect import bisect_right
from dataclasses import dataclass

import numpy.typing as npt
from scipy.special import bdtr

from allocphase.stats.quantile import Ordered
from allocphase.stats.values import check_probability, median, present

__all__ = ["Interval", "exp_ratio", "lower_rank", "median_interval", "quantile_interval"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate and what encloses it, in one unit.

    confidence is the coverage achieved, not the one asked for: at least that whenever both
    sides are finite. A side is infinite when there are too few observations to bound it.
    """

    estimate: float
    lower: float
    upper: float
    confidence: float

    @property
    def bounded(self) -> bool:
        """Whether there were enough observations for both sides."""
        return math.isfinite(self.lower) and math.isfinite(self.upper)

    def within(self, low: float, high: float) -> bool:
        """Whether the whole interval lies in [low, high]."""
        return low <= self.lower and self.upper <= high

    def exp(self) -> Interval:
        """The interval of exp(x), from that of x: how a log ratio becomes a ratio.

        An unbounded lower side becomes 0, the least a ratio can be. A median's sides are
        unbounded together, so `bounded` still tells.
        """
        low, middle, high = (exp_ratio(x) for x in (self.lower, self.estimate, self.upper))
        return Interval(middle, low, high, self.confidence)


def exp_ratio(log_ratio: float) -> float:
    """exp, infinite where it would overflow; NaN stays."""
    return math.inf if log_ratio > 709.0 else math.exp(log_ratio)


def lower_rank(n: int, q: float, tail: float) -> int:
    """The largest rank l with P(Binomial(n, q) < l) <= tail; 0 when there is none.

    The l-th smallest of n observations then lies above the true quantile with at most that
    probability. The upper rank is n + 1 - lower_rank(n, 1 - q, tail), by symmetry.
    """
    return bisect_right(range(n), tail, key=lambda k: float(bdtr(k, n, q)))


def quantile_interval(
    values: npt.ArrayLike,
    q: float,
    *,
    counts: npt.ArrayLike | None = None,
    confidence: float = 0.95,
) -> Interval:
    """The quantile of order q with its interval (module docstring), in the unit of `values`.

    values, counts: as for `quantiles`. The estimate is NaN when there is no observation.
    """
    check_probability("q", q)
    check_probability("confidence", confidence)
    ordered, tail = Ordered.of(values, counts), (1.0 - confidence) / 2.0
    n = ordered.size
    low = lower_rank(n, q, tail)
    high = n + 1 - lower_rank(n, 1.0 - q, tail)
    return Interval(
        estimate=ordered.quantile(q),
        lower=ordered.at_rank(low),
        upper=ordered.at_rank(high),
        confidence=_coverage(n, q, low=low, high=high),
    )


def median_interval(values: npt.ArrayLike, *, confidence: float = 0.95) -> Interval:
    """The median of raw samples (the mean of the middle two if n is even) with its interval.

    values: shape (n,), NaN is dropped.
    """
    samples = present(values)
    interval = quantile_interval(samples, 0.5, confidence=confidence)
    return Interval(median(samples), interval.lower, interval.upper, interval.confidence)


def _coverage(n: int, q: float, *, low: int, high: int) -> float:
    below = float(bdtr(low - 1, n, q)) if low >= 1 else 0.0
    above = float(bdtr(n - high, n, 1.0 - q)) if high <= n else 0.0
    return 1.0 - below - above
