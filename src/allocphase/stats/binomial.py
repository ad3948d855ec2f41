"""The binomial distribution: how many of n independent trials succeed, each with probability p.

What the tests and intervals of this package need of it. scipy.special has it too, but takes longer
to import than a run's whole summary to compute; the tests hold this module to it.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from allocphase.stats.values import FloatArray

__all__ = ["at_least", "at_most", "most_within", "success_probability"]

# Up to so many trials, n! / (k! (n - k)!) * p^k * (1 - p)^(n - k) is computed as it stands: the
# first factor stays below 1e150, so that a power that underflows belongs to no chance at all.
_BY_DEFINITION = 500
# Farther from the mode than this a chance is below 1e-308, by Bernstein's inequality
# P(|X - n p| >= t) <= 2 exp(-t^2 / (2 (n p (1 - p) + t / 3))).
_DEVIATIONS, _TRIALS = 38.0, 500


def at_most(k: int, n: int, p: float) -> float:
    """P(X <= k); for p = 1/2 and n below 53 exactly. 0 < p < 1."""
    first, chances = _chances(n, p)
    return min(math.fsum(chances[: max(k - first + 1, 0)]), 1.0)


def at_least(k: int, n: int, p: float) -> float:
    """P(X >= k); for p = 1/2 and n below 53 exactly. 0 < p < 1."""
    first, chances = _chances(n, p)
    return min(math.fsum(chances[max(k - first, 0) :]), 1.0)


@lru_cache(maxsize=1024)
def most_within(n: int, p: float, tail: float) -> int:
    """The largest k <= n with P(X < k) <= tail; 0 when there is none. 0 < p < 1."""
    first, chances = _chances(n, p)
    return min(first + int(np.searchsorted(np.cumsum(chances), tail, side="right")), n)


@lru_cache(maxsize=1024)
def success_probability(k: int, n: int, chance: float) -> float:
    """The p with P(X >= k) = chance, by bisection to its last bit. 0 < k <= n, 0 < chance < 1."""
    low, high = 0.0, 1.0
    while low < (middle := (low + high) / 2.0) < high:
        if at_least(k, n, middle) < chance:
            low = middle
        else:
            high = middle
    return high


def _chances(n: int, p: float) -> tuple[int, FloatArray]:
    """(first, P(X = first), P(X = first + 1), ...); what is not in the array has no chance."""
    if n > _BY_DEFINITION:
        return _chances_around_the_mode(n, p)
    q = 1.0 - p
    return 0, np.array([ways * p**k * q ** (n - k) for k, ways in enumerate(_coefficients(n))])


@lru_cache(maxsize=256)
def _coefficients(n: int) -> tuple[float, ...]:
    """n! / (k! (n - k)!) for each k."""
    return tuple(float(math.comb(n, k)) for k in range(n + 1))


def _chances_around_the_mode(n: int, p: float) -> tuple[int, FloatArray]:
    """From the ratio of neighbours, P(X = k + 1) / P(X = k) = (n - k) p / ((k + 1) (1 - p))."""
    mode = min(int((n + 1) * p), n)
    far = math.ceil(_DEVIATIONS * math.sqrt(n * p * (1.0 - p))) + _TRIALS
    first, last = max(mode - far, 0), min(mode + far, n)
    k = np.arange(first, last, dtype=np.float64)
    ratios = (n - k) * p / ((k + 1.0) * (1.0 - p))
    below = np.cumprod(1.0 / ratios[: mode - first][::-1])[::-1]
    above = np.cumprod(ratios[mode - first :])
    weights = np.concatenate([below, [1.0], above])
    return first, weights / weights.sum()
