"""Successive halving on paired rounds: where the arms stand, and which of them go on.

All arms run a few rounds, each beside the default; the worse half by the median of the paired log
ratios is dropped, and the rounds are doubled, so that each stage takes about as long as the one
before and the few that are left have many rounds (Jamieson and Talwalkar, "Non-stochastic best arm
identification and hyperparameter optimization", AISTATS 2016; here an arm keeps its earlier
rounds). The default is no arm of the halving: it stays to the end, since all are paired with it.

An arm that breaks a bound is dropped at once where that is certain: by counts on which all its
processes and the default's agree, or because the 95% interval of the median excess lies above 0.
Where it is not, arms whose median breaks it rank behind those whose median keeps it.

The best of many estimates is too good by chance: nothing is concluded from them. That is for a
gate, in a session of its own.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import Enum

import numpy as np

from allocphase.stats import Interval, median_interval
from allocphase.stats.interval import exp_ratio
from allocphase.stats.values import FloatArray, agree, count_log_ratios, present

__all__ = [
    "FEW",
    "FIRST_ROUNDS",
    "LAST_ROUNDS",
    "Holding",
    "Standing",
    "cost",
    "fitted",
    "holding",
    "paired_ratio",
    "ranked",
    "schedule",
    "survivors",
]

# Of three rounds the median shrugs one disturbed process off.
FIRST_ROUNDS = 3
# Where two arms differ by less than this many rounds tell, it does not matter which one is taken.
LAST_ROUNDS = 24
# So many are not halved any more.
FEW = 4


class Holding(Enum):
    """Whether a bound is kept, by rank: the lower the better."""

    KEPT = 0
    """As far as its median says."""
    BROKEN_BY_MEDIAN = 1
    """Its median breaks it, but that may be noise."""
    BROKEN = 2
    """For certain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Standing:
    """An arm after some rounds. ratio: its value over the default's, by the median of the rounds,
    NaN where there is none, with its own 95% interval, which is open where rounds are few.
    settings: how many it changes. bounds: by their texts.
    """

    arm: str
    settings: int
    ratio: Interval
    bounds: Mapping[str, Holding]

    @property
    def broken(self) -> list[str]:
        """The bounds that it breaks for certain."""
        return [text for text, found in self.bounds.items() if found is Holding.BROKEN]

    @property
    def keeps_bounds(self) -> bool:
        """Whether its medians keep all of them."""
        return all(found is Holding.KEPT for found in self.bounds.values())

    @property
    def rank(self) -> tuple[int, float, int]:
        """The less the better: bounds, then the estimate; of equal ones fewer settings."""
        worst = max((found.value for found in self.bounds.values()), default=0)
        estimate = self.ratio.estimate
        return worst, math.inf if math.isnan(estimate) else estimate, self.settings


def schedule(arms: int) -> list[int]:
    """The rounds that an arm has at the end of each stage: doubled from stage to stage, up to
    LAST_ROUNDS or, where the arms are many, beyond. One arm alone competes with nobody.
    """
    if arms <= 1:
        return [FIRST_ROUNDS]
    stages, left = 1, arms
    while left > FEW:
        stages, left = stages + 1, survivors(left)
    first = max(FIRST_ROUNDS, LAST_ROUNDS >> (stages - 1))
    return [first << stage for stage in range(stages)]


def cost(arms: int, plan: Sequence[int]) -> int:
    """How many processes of each probe a schedule takes, the default's too, where no arm fails."""
    before, total = 0, 0
    for rounds in plan:
        total += (arms + 1) * (rounds - before)
        arms, before = survivors(arms), rounds
    return total


def fitted(arms: int, plan: Sequence[int], *, most: float) -> list[int]:
    """The same schedule with as many rounds in its first stage as it takes to cost at most so many
    processes: one at the least, and no more than `plan` has.
    """
    stages = range(len(plan))
    of_one = cost(arms, [1 << stage for stage in stages])
    first = min(plan[0], max(1, int(most // of_one)))
    return [first << stage for stage in stages]


def survivors(arms: int) -> int:
    """How many of so many go on: the better half, the middle one too."""
    return (arms + 1) // 2


def ranked(standings: Sequence[Standing]) -> list[Standing]:
    """The best first; equal ones as they came."""
    return sorted(standings, key=lambda one: one.rank)


def paired_ratio(arm: FloatArray, default: FloatArray) -> Interval:
    """The median of the rounds' ratios of an arm to the default, each of shape (rounds,).

    A count that was 0 makes a ratio of 0 or infinity: those have a place in the order, and no
    interval.
    """
    logs = count_log_ratios(arm, default)
    finite = logs[np.isfinite(logs)]
    if finite.size == logs[~np.isnan(logs)].size:
        return median_interval(finite).exp()
    # The median of those that there are, of which two may be infinite either way: no mean then.
    ordered = np.sort(logs[~np.isnan(logs)])
    middle = float(ordered[ordered.size // 2])
    return Interval(exp_ratio(middle), 0.0, math.inf, 0.0)


def holding(arm: FloatArray, most: FloatArray, *, exact: bool) -> Holding:
    """Whether an arm's values keep a bound of `most`, each of shape (rounds,), NaN where missing.

    exact: of a count, where all values of each that agree are certain. An arm without a value keeps
    nothing.
    """
    excess = present(arm - most)
    if not excess.size:
        return Holding.BROKEN_BY_MEDIAN
    found = median_interval(excess)
    if found.estimate <= 0.0:
        return Holding.KEPT
    certain = exact and excess.size >= FIRST_ROUNDS and agree(excess)
    return Holding.BROKEN if certain or found.lower > 0.0 else Holding.BROKEN_BY_MEDIAN
