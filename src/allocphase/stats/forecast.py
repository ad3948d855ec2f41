"""What rounds like those at hand can tell: the gate's power, and whether it pays to go on.

The model is the plug-in one (Efron and Tibshirani, An Introduction to the Bootstrap, chapter 4):
the arms of a round, each less its own median, could change places, so each of them stands for the
candidate once, moved by the effect in question. How often it then has each rank is what the exact
recursion over the boundary (boundary.py) wants to know. With few rounds the tails show little, and
what is told is somewhat optimistic.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from allocphase.stats.boundary import chances
from allocphase.stats.interval import exp_ratio
from allocphase.stats.sequential import SequentialRank
from allocphase.stats.signtest import above
from allocphase.stats.values import FloatArray
from allocphase.stats.verdict import margin

__all__ = ["Forecast"]

# Of both sessions: an effect is seen that is flagged and confirmed 4 times in 5.
POWER = 0.8
# A row that fewer than so many of its likely futures decide is not worth further rounds; what the
# first rounds make likely is little more than chance.
FUTILE = 0.1
FUTILE_AFTER = 12
# A limit is named that identical arms would pass by in so many sessions.
SURE = 0.95


@dataclass(frozen=True, slots=True)
class Forecast:
    """The rule, and the log ratios of some rounds, as `SequentialRank` takes them."""

    rule: SequentialRank
    x: npt.ArrayLike
    _arms: FloatArray = field(init=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_arms", _residuals(self.rule.complete(self.x)))

    def scores(self, effect: float, bound: float) -> FloatArray:
        """The share of each score of a candidate that lies `effect` above its peers.

        effect, bound: log ratios; the score is as against exp(bound). Shape (others + 1,).
        """
        counts = np.zeros(self.rule.others + 1)
        for index in range(self._arms.shape[1]):
            others = np.delete(self._arms, index, axis=1)
            lead = self._arms[:, [index]] + effect - others
            found = above(lead, bound).sum(axis=1)
            counts += np.bincount(found, minlength=counts.size)
        return np.asarray(counts / counts.sum())

    @property
    def known(self) -> bool:
        """Whether there are rounds to tell by."""
        return self._arms.size > 0

    def least_ratio(self) -> float:
        """The least true ratio that the gate finds with power 0.8: this session and one like it.

        Infinite where the budget can never reach the boundary, or without rounds.
        """
        if not self.known or self.rule.least_rounds is None:
            return math.inf
        bound = margin(self.rule.theta)

        def found(effect: float) -> bool:
            power = self.rule.chances(self.scores(effect, bound)).regressed
            return power >= math.sqrt(POWER)

        return exp_ratio(_least(found, bound, bound + self._reach))

    def decided_theta(self) -> float:
        """The least limit by which identical arms would pass in such rounds, 19 times in 20.

        NaN without rounds.
        """
        if not self.known:
            return math.nan

        def passes(bound: float) -> bool:
            return self.rule.chances(self.scores(0.0, bound)).not_regressed >= SURE

        return math.expm1(_least(passes, 0.0, self._reach))

    def open_chance(self) -> float:
        """How often identical arms stay inconclusive in such a session: neither decided, nor twice
        the limit excluded. 0 without rounds: no noise is known that would explain it.
        """
        if not self.known:
            return 0.0
        undecided = self.rule.chances(self.scores(0.0, margin(self.rule.theta))).undecided
        return min(undecided, 1.0 - self._excludes(0.0, start=(0, 0)))

    def is_futile(self) -> bool:
        """Whether the rounds that are left will hardly decide the row, nor bound it."""
        ratios = self.rule.complete(self.x)
        run, bound = ratios.shape[0], margin(self.rule.theta)
        if run < FUTILE_AFTER or run >= self.rule.max_rounds or not np.isfinite(ratios).all():
            return False
        effect = float(np.median(ratios))
        at = int(self.rule.scores(ratios, bound).sum())
        future = self.rule.chances(self.scores(effect, bound), start=(run, at))
        if 1.0 - future.undecided >= FUTILE:
            return False
        twice = margin(2.0 * self.rule.theta)
        if bool(self.rule.interval(ratios).upper <= twice):
            return True
        at = int(self.rule.scores(ratios, twice).sum())
        return self._excludes(effect, start=(run, at)) < FUTILE

    @property
    def _reach(self) -> float:
        """Beyond it every arm lies above every other, or below."""
        return 2.0 * float(np.abs(self._arms).max()) + 1e-6

    def _excludes(self, effect: float, *, start: tuple[int, int]) -> float:
        """The chance that the interval comes to lie below twice the limit."""
        never = tuple(n * self.rule.others + 1 for n in range(1, self.rule.max_rounds + 1))
        scores = self.scores(effect, margin(2.0 * self.rule.theta))
        return chances(never, self.rule.sides, scores, start=start).not_regressed


def _residuals(ratios: FloatArray) -> FloatArray:
    """Log values of the arms of each round, each less its median: shape (rounds, others + 1).

    Ranks within a round do not depend on what its arms share, so the candidate may stand at 0.
    A round with an infinite ratio, of a count that was 0, has none.
    """
    finite = ratios[np.isfinite(ratios).all(axis=1)]
    if not finite.size:
        return np.empty((0, ratios.shape[1] + 1))
    arms = np.hstack([np.zeros((finite.shape[0], 1)), -finite])
    centred = arms - np.median(arms, axis=0)
    # The candidate's own noise is in the ratios alone: it is what they have in common.
    return np.asarray(centred - centred.mean(axis=1, keepdims=True))


def _least(holds: Callable[[float], bool], low: float, high: float) -> float:
    """The least value in [low, high] at which a monotone condition holds; infinite if in none."""
    if not holds(high):
        return math.inf
    for _ in range(40):
        middle = (low + high) / 2.0
        low, high = (low, middle) if holds(middle) else (middle, high)
    return high
