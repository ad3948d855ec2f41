"""The twin arm: a copy of the base, measured as a third arm, is what "no difference" looks like.

Its log ratio to the base is the session's noise floor. A twin that regresses or improves by
the very test the candidate faces shows that the session tells copies apart: nothing it says of
the candidate can be believed, whichever way.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.stats.interval import Interval
from allocphase.stats.paired import log_ratios
from allocphase.stats.sequential import SequentialSign
from allocphase.stats.values import present
from allocphase.stats.verdict import Verdict

__all__ = ["Floor", "noise_floor", "spread"]

# The MAD of a normal distribution is 1 / 1.4826 of its standard deviation (Rousseeuw and Croux,
# "Alternatives to the median absolute deviation", JASA 88, 1993).
_MAD_TO_SD = 1.4826


@dataclass(frozen=True, slots=True)
class Floor:
    """What two copies of one object show beside each other.

    ratio: twin over base; spread: of its log ratios, as a share; moved: whether the copies
    pass for different objects.
    """

    ratio: Interval
    spread: float
    moved: bool


def noise_floor(base: npt.ArrayLike, twin: npt.ArrayLike, rule: SequentialSign) -> Floor:
    """Puts the candidate's own test to the twin, at whichever round one stops.

    base, twin: shape (rounds,), positive, NaN where missing; without any pair the floor is
    unknown and has not moved. Of a sound session it says "moved" with probability at most
    2 * alpha / rows, and far less when theta exceeds the spread. Raises ValueError for more
    pairs than the rule's budget has.
    """
    ratios = log_ratios(base, twin)
    moved = rule.verdict(ratios) in (Verdict.REGRESSED, Verdict.IMPROVED)
    return Floor(rule.interval(ratios).exp(), spread(ratios), moved)


def spread(values: npt.ArrayLike) -> float:
    """The standard deviation as the median absolute deviation suggests it, in their unit.

    values: shape (n,), NaN is dropped. Of log ratios it reads as a share: 0.01 is 1%. One
    disturbed round in many does not move it. NaN for fewer than two values.
    """
    samples = present(values)
    if samples.size < 2:
        return math.nan
    return _MAD_TO_SD * float(np.median(np.abs(samples - np.median(samples))))
