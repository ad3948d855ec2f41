"""The exact one-sided sign test, what it can detect, and Holm's correction.

Null: at most half of the probability lies above the bound, that is the median is at or below
it. Then the number of observations above it is at most Binomial(n, 1/2) in distribution.
Source: Conover, Practical Nonparametric Statistics, 3rd edition, section 3.4. Observations
equal to the bound stay in n and count against the alternative, which keeps the test valid for
discrete data.

Assumed: independent observations, or more weakly that, whatever the past, each lies above the
bound with probability at most 1/2. No shape, no common spread.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
from scipy.special import bdtr, betaincinv

from allocphase.stats.interval import lower_rank
from allocphase.stats.values import TIE, FloatArray, check_probability, present

__all__ = ["above", "detectable_exceedance", "holm", "sign_test", "smallest_effect"]


def above(values: FloatArray, bound: float) -> npt.NDArray[np.bool_]:
    """Which values lie above the bound, ties excluded. Shape as `values`."""
    return values > bound + TIE


def sign_test(values: npt.ArrayLike, bound: float) -> float:
    """The p-value of the null "median <= bound" (module docstring); 1 without observations.

    values: shape (n,), NaN is dropped; bound in their unit.
    """
    samples = present(values)
    return float(bdtr(samples.size - int(above(samples, bound).sum()), samples.size, 0.5))


def detectable_exceedance(n: int, *, alpha: float, power: float = 0.8) -> float:
    """The least P(observation > bound) at which the test of n observations has this power.

    With c the critical count, P(Binomial(n, p) >= c) = I_p(c, n - c + 1), the regularised
    incomplete beta function (DLMF 8.17.5), inverted for p. NaN: n can never reject at alpha.
    """
    check_probability("alpha", alpha)
    check_probability("power", power)
    rank = lower_rank(n, 0.5, alpha)
    return math.nan if rank == 0 else float(betaincinv(n - rank + 1, rank, power))


def smallest_effect(values: npt.ArrayLike, bound: float, *, exceedance: float) -> float:
    """How far the median of such observations must lie for a share `exceedance` above `bound`.

    values: shape (n,), NaN is dropped. Observations of that median are modelled as the ones at
    hand, shifted: their distribution about their own median is the empirical one (the plug-in
    principle; Efron and Tibshirani, An Introduction to the Bootstrap, chapter 4). A share of
    m = ceil(n * exceedance) of them exceeds the bound once the m-th largest residual does, so
    the answer is bound - residual_(n - m + 1), an infimum. With few observations the residuals
    show little of the tails and the answer is somewhat small. Infinite without observations,
    or if exceedance is NaN.
    """
    samples = present(values)
    if samples.size == 0 or math.isnan(exceedance):
        return math.inf
    residuals = np.sort(samples - np.median(samples))
    needed = max(math.ceil(samples.size * exceedance * (1.0 - 1e-12)), 1)
    return bound - float(residuals[samples.size - needed])


def holm(p_values: npt.ArrayLike) -> FloatArray:
    """Adjusted p-values, same order: those at most alpha are rejected.

    The chance of any false rejection is at most alpha under any dependence between rows.
    p_values: shape (m,). Raises ValueError unless each is in [0, 1]. Source: Holm, "A simple
    sequentially rejective multiple test procedure", Scandinavian Journal of Statistics 6, 1979.
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0.0) & (p <= 1.0)).all():
        raise ValueError("p-values are one row of numbers between 0 and 1")
    order = np.argsort(p, kind="stable")
    stepped = np.maximum.accumulate(p[order] * np.arange(p.size, 0, -1))
    adjusted = np.empty_like(p)
    adjusted[order] = np.minimum(stepped, 1.0)
    return adjusted
