"""The comparison of two sets of processes that were not measured together: ranks of all of them.

The test is that of Mann and Whitney, "On a test of whether one of two random variables is
stochastically larger than the other" (Annals of Mathematical Statistics 18, 1947), of the candidate
against the base times 1 + theta: U counts the pairs in which the candidate's process lies above.
Null: the candidate, divided by 1 + theta, is distributed as the base, or lies below it. Of
processes that could change places each of the C(n + m, n) orders is as likely, so the level is
exact, and no p-value lies below 1 in so many. Equal values count against the alternative, which
keeps the level for counts, where most are equal.

The interval of the ratio is that of Hodges and Lehmann: the test inverted into ranks of the n * m
ratios (Hollander and Wolfe, Nonparametric Statistical Methods, section 4.2). That of the difference
has the same ranks of the n * m differences: the candidate, with the shift added, is then taken to
be distributed as the base. What all processes of a session share is in both estimates, and in
neither interval.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from allocphase.stats.interval import Interval, exp_ratio
from allocphase.stats.paired import Comparison, verdict_of
from allocphase.stats.signtest import holm
from allocphase.stats.values import (
    TIE,
    FloatArray,
    check_probability,
    count_log_ratios,
    middle,
    savings,
)
from allocphase.stats.verdict import margin

__all__ = ["Samples", "compare_samples", "least_processes"]

# Beyond so many pairs the distribution of U is taken for normal: the error of a tail of 1% is then
# below a hundredth of it.
EXACT_PAIRS = 10_000
POWER_Z = 0.8416  # the 80% point of the normal distribution


@dataclass(frozen=True, slots=True, eq=False)
class Samples:
    """One row to compare. base, candidate: shapes (n,) and (m,), zero or more, NaN is dropped."""

    base: npt.ArrayLike
    candidate: npt.ArrayLike
    theta: float = 0.02


def compare_samples(rows: Sequence[Samples], *, alpha: float = 0.025) -> list[Comparison]:
    """Compares rows together, same order; levels as of `paired.compare_rows`."""
    check_probability("alpha", alpha)
    arms = [(_arm(row.base), _arm(row.candidate)) for row in rows]
    logs = [count_log_ratios(candidate[:, None], base[None, :]) for base, candidate in arms]
    saved = [savings(base[None, :], candidate[:, None]) for base, candidate in arms]
    bounds = [margin(row.theta) for row in rows]
    up = [_p_value(x, bound) for x, bound in zip(logs, bounds, strict=True)]
    down = [_p_value(-x, bound) for x, bound in zip(logs, bounds, strict=True)]
    worse, better = holm(up), holm(down)
    return [
        _comparison(x, s, row.theta, (float(w), float(b)), alpha=alpha, rows=len(rows))
        for x, s, row, w, b in zip(logs, saved, rows, worse, better, strict=True)
    ]


def least_processes(rows: int, *, alpha: float = 0.025) -> int:
    """How many processes a side it takes to reject anything among so many rows."""
    n = 1
    while rows > alpha * math.comb(2 * n, n):
        n += 1
    return n


def _arm(values: npt.ArrayLike) -> FloatArray:
    array = np.asarray(values, dtype=np.float64)
    found = array[~np.isnan(array)]
    if (found < 0.0).any() or np.isinf(found).any():
        raise ValueError("a value is zero or more and finite, or NaN where it is missing")
    return found


def _p_value(log_ratios: FloatArray, bound: float) -> float:
    """P(U at least so high) if the arms could change places; 1 without processes."""
    if log_ratios.size == 0:
        return 1.0
    m, n = log_ratios.shape
    return _upper_tail(m, n, int((log_ratios > bound + TIE).sum()))


def _upper_tail(m: int, n: int, u: int) -> float:
    if m * n > EXACT_PAIRS:
        spread = math.sqrt(m * n * (m + n + 1) / 12.0)
        return 0.5 * math.erfc((u - 0.5 - m * n / 2.0) / spread / math.sqrt(2.0))
    return sum(_counts(m, n)[u:]) / math.comb(m + n, n)


@lru_cache(maxsize=64)
def _counts(m: int, n: int) -> tuple[int, ...]:
    """How many orders of m and n processes have each U, shape (m * n + 1,).

    The Gaussian binomial coefficient: the product over i of (1 - q^(n + i)) / (1 - q^i).
    """
    counts = [0] * (m * n + 1)
    counts[0] = 1
    for i in range(1, m + 1):
        for u in range(m * n, n + i - 1, -1):
            counts[u] -= counts[u - n - i]
        for u in range(i, m * n + 1):
            counts[u] += counts[u - i]
    return tuple(counts)


def _critical(m: int, n: int, level: float) -> int:
    """The least U with a tail of at most `level`; m * n + 1 where there is none."""
    low, high = 0, m * n + 1
    while low < high:
        middle = (low + high) // 2
        if middle <= m * n and _upper_tail(m, n, middle) > level:
            low = middle + 1
        else:
            high = middle
    return low


def _interval(pairs: FloatArray, alpha: float) -> Interval:
    """Of log ratios or differences of all pairs, shape (m, n): the middle one, and those of rank u
    from either end, where U of at least u is rejected at alpha.
    """
    if pairs.size == 0:
        return Interval(math.nan, -math.inf, math.inf, 1.0 - 2.0 * alpha)
    ordered, (m, n) = np.sort(pairs.ravel()), pairs.shape
    rank = _critical(m, n, alpha)
    bounded = rank <= ordered.size
    return Interval(
        estimate=middle(ordered),
        lower=float(ordered[ordered.size - rank]) if bounded else -math.inf,
        upper=float(ordered[rank - 1]) if bounded else math.inf,
        confidence=1.0 - 2.0 * alpha,
    )


def _comparison(
    x: FloatArray,
    saved: FloatArray,
    theta: float,
    p: tuple[float, float],
    *,
    alpha: float,
    rows: int,
) -> Comparison:
    interval = _interval(x, alpha)
    return Comparison(
        ratio=interval.exp(),
        saved=_interval(saved, alpha),
        theta=theta,
        pairs=min(x.shape) if x.size else 0,
        dropped=0,
        p_regressed=p[0],
        p_improved=p[1],
        min_detectable_ratio=exp_ratio(_least_effect(x, margin(theta), alpha / rows)),
        verdict=verdict_of(interval, theta, worse=p[0], better=p[1], alpha=alpha),
    )


def _least_effect(x: FloatArray, bound: float, level: float) -> float:
    """The least log ratio that such processes would show as regressed with power 0.8, about.

    The ratios about their own middle are the model (as in signtest.smallest_effect); U is taken for
    normal, with the greatest variance that its mean allows (Birnbaum and Klose, "Bounds for the
    variance of the Mann-Whitney statistic", Annals of Mathematical Statistics 28, 1957).
    Infinite where these processes can reject nothing.
    """
    if x.size == 0 or not np.isfinite(x).all():
        return math.inf
    m, n = x.shape
    critical = _critical(m, n, level)
    if critical > m * n:
        return math.inf
    residuals = np.sort(x.ravel()) - middle(np.sort(x.ravel()))
    for u in range(critical, m * n + 1):
        share = u / (m * n)
        spread = math.sqrt(m * n * max(m, n) * share * (1.0 - share))
        if u - POWER_Z * spread >= critical - 0.5:
            return bound - float(residuals[m * n - u])
    return bound - float(residuals[0])
