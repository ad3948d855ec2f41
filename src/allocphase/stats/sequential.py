"""The gate's sequential rule: rounds until the row is decided, with a bounded error.

A round has the candidate, the baseline and, in a first session, a copy of the baseline: its twin.
The candidate, divided by 1 + theta, is ranked among them: its score is how many of the others lie
below it. After every round the rule asks whether the sum of the scores has reached its boundary
(boundary.py), or that of the scores the other way, and stops at the first round where it has. With
one other arm this is the sequential sign test; the twin, which has to be measured in any case to
see what no difference looks like, makes it a rank among three, which needs a third fewer rounds.

Errors, over all looks of one row together:
  - regressed although the ratio is at most 1 + theta: at most alpha / rows, hence at most alpha
    for any of the rows of the session (Bonferroni: the boundary must stand before the first
    round, and few rows regress, so that Holm's steps would gain little);
  - not regressed although the ratio is at least 1 + theta: at most pass_error, for each row;
  - improved although it is at least 1 / (1 + theta): at most better_error / rows;
  - the interval misses the true ratio: at most 5%, wherever one stops. It is a repeated confidence
    interval, the boundary inverted into ranks of the ratios to all other arms (Jennison and
    Turnbull, Group Sequential Methods with Applications to Clinical Trials, 1999, chapter 9).

Assumed: that at a ratio of exactly 1 + theta the candidate, divided by it, could change places with
each other arm of its round (with one other arm: that it lies above it half of the time), whatever
the past; and that a round goes missing for no reason of its ratio. With three arms a candidate that
varies much more than the baseline is flagged more often than alpha: 1.6, 2.1 and 2.8 times for 1.5,
2 and 3 times the spread. That is why a second session judges by signs alone.

A group-sequential test rather than its rivals: its error is counted exactly for the budget at hand;
Wald's SPRT needs an alternative, and truncating it leaves its error to be computed this way anyhow;
a betting e-process is valid for ever, and at 40 rounds pays for that with power.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.stats.boundary import Chances, chances, rank_boundary
from allocphase.stats.interval import Interval
from allocphase.stats.quantile import Ordered
from allocphase.stats.signtest import above
from allocphase.stats.values import FloatArray, check_probability, middle
from allocphase.stats.verdict import Decision, margin

__all__ = ["INTERVAL_ERROR", "SequentialOutcome", "SequentialRank"]

# Each side of a row's own interval.
INTERVAL_ERROR = 0.025


@dataclass(frozen=True, slots=True)
class SequentialOutcome:
    """Where a row stands. rounds: complete ones read, up to the one that decided.

    ratio: candidate over base, from those rounds.
    """

    decision: Decision
    rounds: int
    ratio: Interval

    @property
    def decided(self) -> bool:
        """Whether the row needs no further round."""
        return self.decision is not Decision.CONTINUE


@dataclass(frozen=True, slots=True)
class SequentialRank:
    """The rule for one row of a session of `rows` rows, with `others` arms beside the candidate.

    Everything takes `x`: log ratios of the candidate to each other arm, shape (rounds, others), or
    (rounds,) for a single one; a round of which one is NaN is no round. Functions raise ValueError
    for more rounds than the budget has; the rule itself for a parameter out of range.
    """

    theta: float = 0.02
    alpha: float = 0.01
    pass_error: float = 0.05
    better_error: float = 0.0005
    max_rounds: int = 40
    rows: int = 1
    others: int = 2

    def __post_init__(self) -> None:
        margin(self.theta)
        if self.rows < 1:
            raise ValueError(f"a session has 1 or more rows, not {self.rows}")
        for name in ("alpha", "better_error", "pass_error"):
            check_probability(name, getattr(self, name))
        self._boundary(self.alpha / self.rows)
        self._boundary(self.pass_error)

    @property
    def up(self) -> tuple[int, ...]:
        """Sums of scores that decide "regressed", by number of rounds from 1."""
        return self._boundary(self.alpha / self.rows)

    @property
    def down(self) -> tuple[int, ...]:
        """Sums of the scores the other way that decide "not regressed"."""
        return self._boundary(self.pass_error)

    @property
    def sides(self) -> tuple[int, ...]:
        """The ranks of the interval's sides, from either end."""
        return self._boundary(INTERVAL_ERROR)

    @property
    def least_rounds(self) -> int | None:
        """After how many rounds "regressed" can first be said; None: in no round of this budget."""
        reached = (n for n, sum_ in enumerate(self.up, start=1) if sum_ <= n * self.others)
        return next(reached, None)

    def decide(self, x: npt.ArrayLike) -> SequentialOutcome:
        """Reads the rounds so far, in order; a pure function, to be asked after each batch.

        Once decided, further rounds change nothing.
        """
        ratios = self.complete(x)
        decision, rounds = self._first_stop(ratios)
        return SequentialOutcome(decision, rounds, self.interval(ratios[:rounds]).exp())

    def improved(self, x: npt.ArrayLike) -> bool:
        """Whether the mirrored test has found at any round that it is below 1 / (1 + theta)."""
        scores = self.scores(-self.complete(x), margin(self.theta))
        reached = np.cumsum(scores) >= np.array(self._better[: scores.size])
        return bool(reached.any())

    def may_improve(self, x: npt.ArrayLike) -> bool:
        """Whether every ratio so far lies below 1 / (1 + theta), and further rounds could tell."""
        ratios = self.complete(x)
        n = ratios.shape[0]
        can = n < self.max_rounds and self._better[-1] <= self.max_rounds * self.others
        return can and n > 0 and bool(above(-ratios, margin(self.theta)).all())

    def interval(self, x: npt.ArrayLike) -> Interval:
        """The median log ratio with a 95% interval that holds at whichever round one stops.

        Also of differences to each other arm, in their unit: there the candidate, less the true
        difference, is what could change places with them.
        """
        ratios = self.complete(x)
        n = ratios.shape[0]
        if n == 0:
            return Interval(math.nan, -math.inf, math.inf, 1.0 - 2.0 * INTERVAL_ERROR)
        ordered, rank = _ordered(ratios), self.sides[n - 1]
        return Interval(
            estimate=middle(ordered.values),
            lower=ordered.at_rank(ordered.size - rank + 1),
            upper=ordered.at_rank(rank),
            confidence=1.0 - 2.0 * INTERVAL_ERROR,
        )

    def chances(self, scores: npt.ArrayLike, *, start: tuple[int, int] = (0, 0)) -> Chances:
        """The exact outcomes when a round's scores 0, 1, ... have these probabilities."""
        return chances(self.up, self.down, np.asarray(scores, dtype=np.float64), start=start)

    def complete(self, x: npt.ArrayLike) -> FloatArray:
        """The rounds that have every arm, shape (complete, others)."""
        ratios = np.asarray(x, dtype=np.float64)
        if ratios.ndim == 1:
            ratios = ratios.reshape(-1, 1) if self.others == 1 else ratios.reshape(-1, self.others)
        found = ratios[~np.isnan(ratios).any(axis=1)]
        if found.shape[0] > self.max_rounds:
            budget = f"the boundary was computed for {self.max_rounds}"
            raise ValueError(f"{found.shape[0]} rounds, but {budget}")
        return found

    def scores(self, ratios: FloatArray, bound: float) -> npt.NDArray[np.int64]:
        """How many of the others the candidate, divided by exp(bound), lies above: (rounds,)."""
        return np.asarray(above(ratios, bound).sum(axis=1), dtype=np.int64)

    @property
    def _better(self) -> tuple[int, ...]:
        return self._boundary(self.better_error / self.rows)

    def _boundary(self, error: float) -> tuple[int, ...]:
        return rank_boundary(self.others + 1, self.max_rounds, error)

    def _first_stop(self, ratios: FloatArray) -> tuple[Decision, int]:
        bound = margin(self.theta)
        up, down = self.scores(ratios, bound), self.scores(-ratios, -bound)
        # Arms that are all equal say nothing of either side, whichever is whose: no round of the
        # test. Such are counts, where one more is worse.
        told = np.flatnonzero((up > 0) | (down > 0))
        looks = np.arange(told.size)
        worse = np.cumsum(up[told]) >= np.array(self.up)[looks]
        passed = np.cumsum(down[told]) >= np.array(self.down)[looks]
        stops = np.flatnonzero(worse | passed)
        if stops.size:
            first = int(stops[0])
            decision = Decision.REGRESSED if worse[first] else Decision.NOT_REGRESSED
            return decision, int(told[first]) + 1
        used_up = ratios.shape[0] == self.max_rounds
        return (Decision.UNDECIDED if used_up else Decision.CONTINUE), ratios.shape[0]


def _ordered(ratios: FloatArray) -> Ordered:
    """Of all the ratios; a count that was 0 makes infinite ones."""
    values = np.sort(ratios.ravel())
    return Ordered(values, np.arange(1, values.size + 1, dtype=np.int64))
