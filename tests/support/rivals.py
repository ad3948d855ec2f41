"""What two widespread rules say of the same rounds, so that false alarms can be compared.

Both take the arms as unpaired samples, as those tools do; NaN is dropped from each arm.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allocphase.stats.values import FloatArray, present
from allocphase.stats.verdict import Verdict

__all__ = ["mann_whitney", "pytest_benchmark"]

# benchstat computes the exact distribution up to 50 values without ties; with ties we take the
# normal approximation, where it is exact up to 25.
_EXACT_LIMIT = 50


def pytest_benchmark(
    base: npt.ArrayLike, candidate: npt.ArrayLike, *, threshold: float = 0.05
) -> Verdict:
    """`pytest --benchmark-compare-fail=median:5%`: the medians' ratio against a threshold.

    Unchanged is that tool's silence, which asks for no evidence. Raises ValueError for an arm
    without values. Source: pytest-benchmark, PercentageRegressionCheck.
    """
    old, new = _arm(base), _arm(candidate)
    worse = float(np.median(new) / np.median(old)) - 1.0 > threshold
    return Verdict.REGRESSED if worse else Verdict.UNCHANGED


def mann_whitney(base: npt.ArrayLike, candidate: npt.ArrayLike, *, alpha: float = 0.05) -> Verdict:
    """benchstat's rule: the two-sided Mann-Whitney test below alpha; its "~" is inconclusive.

    Raises ValueError for an arm without values. Source: Mann and Whitney, Annals of
    Mathematical Statistics 18, 1947; golang.org/x/perf/benchmath.
    """
    from scipy.stats import mannwhitneyu  # half a second to import, for this function alone

    old, new = _arm(base), _arm(candidate)
    pooled = np.concatenate([old, new])
    exact = np.unique(pooled).size == pooled.size and max(old.size, new.size) <= _EXACT_LIMIT
    test = mannwhitneyu(new, old, method="exact" if exact else "asymptotic")
    if float(test.pvalue) >= alpha:
        return Verdict.INCONCLUSIVE
    more = float(test.statistic) > old.size * new.size / 2.0
    return Verdict.REGRESSED if more else Verdict.IMPROVED


def _arm(values: npt.ArrayLike) -> FloatArray:
    samples = present(values)
    if samples.size == 0:
        raise ValueError("an arm without a single value cannot be compared")
    return samples
