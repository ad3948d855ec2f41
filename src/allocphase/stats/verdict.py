"""The four verdicts on a row, and the three answers of the gate's sequential rule."""

from __future__ import annotations

import math
from enum import StrEnum

from allocphase.stats.interval import Interval
from allocphase.stats.values import TIE

__all__ = ["Decision", "Verdict", "judge_interval", "margin"]


class Verdict(StrEnum):
    """What is known of a row's ratio (candidate over base; more is worse) against 1 + theta."""

    REGRESSED = "regressed"
    """Above 1 + theta: the test rejects "at most 1 + theta"."""
    IMPROVED = "improved"
    """Below 1 / (1 + theta): the mirrored test rejects."""
    UNCHANGED = "unchanged"
    """Neither, and the whole interval lies in [1 / (1 + theta), 1 + theta]."""
    INCONCLUSIVE = "inconclusive"
    """None of these: the rounds do not tell."""


class Decision(StrEnum):
    """Where the sequential rule stands after some rounds."""

    REGRESSED = "regressed"
    NOT_REGRESSED = "not regressed"
    CONTINUE = "continue"
    """Undecided, rounds are left."""
    UNDECIDED = "undecided"
    """Undecided, and the budget is used up."""


def margin(theta: float) -> float:
    """log(1 + theta): what counts as a change, on the log scale, both ways.

    Raises ValueError when theta is negative or not finite.
    """
    if not 0.0 <= theta < math.inf:
        raise ValueError(f"theta is a share such as 0.02, zero or more, not {theta}")
    return math.log1p(theta)


def judge_interval(log_ratio: Interval, theta: float) -> Verdict:
    """The verdict that follows from an interval of the log ratio alone."""
    bound = margin(theta)
    if log_ratio.lower > bound + TIE:
        return Verdict.REGRESSED
    if log_ratio.upper < -bound - TIE:
        return Verdict.IMPROVED
    inside = log_ratio.within(-bound - TIE, bound + TIE)
    return Verdict.UNCHANGED if inside else Verdict.INCONCLUSIVE
