"""The interval of a share: spikes that made a system call, sessions that raised a false alarm."""

from __future__ import annotations

import math

from scipy.special import betaincinv

from allocphase.stats.interval import Interval
from allocphase.stats.values import check_probability

__all__ = ["proportion_interval"]


def proportion_interval(successes: int, trials: int, *, confidence: float = 0.95) -> Interval:
    """successes / trials with Clopper and Pearson's exact interval ("The use of confidence or
    fiducial limits illustrated in the case of the binomial", Biometrika 26, 1934).

    Chosen over Wilson's: its coverage is never below nominal, also at 0 of n, which is the case
    that matters for a false-alarm rate. `confidence` of the result is the guaranteed one. No
    trials: the share is NaN, in [0, 1]. Assumed: independent trials. Raises ValueError unless
    0 <= successes <= trials.
    """
    check_probability("confidence", confidence)
    if not 0 <= successes <= trials:
        raise ValueError(f"{successes} of {trials} is no share")
    tail, failures = (1.0 - confidence) / 2.0, trials - successes
    return Interval(
        estimate=successes / trials if trials else math.nan,
        lower=float(betaincinv(successes, failures + 1, tail)) if successes else 0.0,
        upper=float(betaincinv(successes + 1, failures, 1.0 - tail)) if failures else 1.0,
        confidence=confidence,
    )
