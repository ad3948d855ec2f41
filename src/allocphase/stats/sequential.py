"""The gate's sequential rule: rounds until the row is decided, with a bounded error.

After every complete pair the rule asks how many log ratios lie above log(1 + theta) and how
many below, and stops at the first round where either count reaches its boundary
(boundary.py). Three reasons for a group-sequential sign test rather than its rivals: its error
is counted exactly for the budget at hand; Wald's SPRT needs an alternative, and truncating it
leaves its error to be computed this way anyhow; a betting e-process is valid for ever, and at
40 rounds pays for that with power.

Errors, over all looks of one row together:
  - regressed although the ratio is at most 1 + theta: at most alpha / rows, hence at most alpha
    for any of the rows of the session (Bonferroni: the boundary must stand before the first
    round, and few rows regress, so that Holm's steps would gain little);
  - not regressed although the ratio is at least 1 + theta: at most pass_error, for each row;
  - the interval misses the true ratio: at most 2 * alpha / rows, wherever one stops. It is a
    repeated confidence interval, the boundary inverted into ranks (Jennison and Turnbull,
    Group Sequential Methods with Applications to Clinical Trials, 1999, chapter 9).

Assumed: as in paired.py, and that a pair goes missing for no reason of its ratio.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.stats.boundary import Chances, chances, sign_boundary
from allocphase.stats.interval import Interval, exp_ratio
from allocphase.stats.quantile import Ordered
from allocphase.stats.signtest import above, smallest_effect
from allocphase.stats.values import FloatArray, check_probability, present
from allocphase.stats.verdict import Decision, Verdict, judge_interval, margin

__all__ = ["SequentialOutcome", "SequentialSign"]


@dataclass(frozen=True, slots=True)
class SequentialOutcome:
    """Where a row stands. pairs: complete pairs read, up to the one that decided.

    ratio: candidate over base, from those pairs. verdict: what its interval says; regressed
    if and only if the decision is.
    """

    decision: Decision
    pairs: int
    ratio: Interval
    verdict: Verdict

    @property
    def decided(self) -> bool:
        """Whether the row needs no further round."""
        return self.decision is not Decision.CONTINUE


@dataclass(frozen=True, slots=True)
class SequentialSign:
    """The rule for one row of a session of `rows` rows.

    Raises ValueError for a parameter out of range.
    """

    theta: float = 0.02
    alpha: float = 0.01
    pass_error: float = 0.05
    max_rounds: int = 40
    rows: int = 1

    def __post_init__(self) -> None:
        margin(self.theta)
        if self.rows < 1:
            raise ValueError(f"a session has 1 or more rows, not {self.rows}")
        check_probability("alpha", self.alpha)
        sign_boundary(self.max_rounds, self.alpha / self.rows)
        sign_boundary(self.max_rounds, self.pass_error)

    @property
    def up(self) -> tuple[int, ...]:
        """Log ratios above the bound that decide "regressed", by number of pairs from 1."""
        return sign_boundary(self.max_rounds, self.alpha / self.rows)

    @property
    def down(self) -> tuple[int, ...]:
        """Log ratios below the bound that decide "not regressed", by number of pairs from 1."""
        return sign_boundary(self.max_rounds, self.pass_error)

    @property
    def can_regress(self) -> bool:
        """Whether the budget suffices for "regressed" at all; a gate that cannot must refuse."""
        return self.up[-1] <= self.max_rounds

    def decide(self, log_ratios: npt.ArrayLike) -> SequentialOutcome:
        """Reads the rounds so far, in order; a pure function, to be asked after each batch.

        log_ratios: shape (rounds,), NaN where a pair is missing. Once decided, further rounds
        change nothing. Raises ValueError for more pairs than the budget has.
        """
        x = self._pairs(log_ratios)
        decision, pairs = self._first_stop(x)
        log_ratio = self.interval(x[:pairs])
        verdict = judge_interval(log_ratio, self.theta)
        return SequentialOutcome(decision, pairs, log_ratio.exp(), verdict)

    def interval(self, log_ratios: npt.ArrayLike) -> Interval:
        """The median log ratio with an interval that holds at whichever round one stops."""
        x = self._pairs(log_ratios)
        if x.size == 0:
            return Interval(math.nan, -math.inf, math.inf, 1.0)
        ordered, count = Ordered.of(x), self.up[x.size - 1]
        return Interval(
            estimate=float(np.median(x)),
            lower=ordered.at_rank(x.size - count + 1),
            upper=ordered.at_rank(count),
            confidence=1.0 - 2.0 * self.alpha / self.rows,
        )

    def verdict(self, log_ratios: npt.ArrayLike) -> Verdict:
        """All rounds so far, judged both ways alike: what the twin arm is asked."""
        return judge_interval(self.interval(log_ratios), self.theta)

    def chances(self, exceedance: float) -> Chances:
        """The exact outcomes when each log ratio exceeds log(1 + theta) with this probability."""
        return chances(self.up, self.down, exceedance)

    def min_detectable_ratio(self, log_ratios: npt.ArrayLike, *, power: float = 0.8) -> float:
        """The least true ratio the whole budget would call regressed with this power.

        The spread is that of the rounds at hand (`smallest_effect`). Infinite when the budget
        can never reach the boundary.
        """
        effect = smallest_effect(
            log_ratios, margin(self.theta), exceedance=self._detectable_exceedance(power)
        )
        return exp_ratio(effect)

    def _pairs(self, log_ratios: npt.ArrayLike) -> FloatArray:
        x = present(log_ratios)
        if x.size > self.max_rounds:
            raise ValueError(f"{x.size} pairs, but the boundary was computed for {self.max_rounds}")
        return x

    def _first_stop(self, x: FloatArray) -> tuple[Decision, int]:
        bound = margin(self.theta)
        worse = np.cumsum(above(x, bound)) >= np.array(self.up[: x.size])
        passed = np.cumsum(above(-x, -bound)) >= np.array(self.down[: x.size])
        stops = np.flatnonzero(worse | passed)
        if stops.size:
            first = int(stops[0])
            return (Decision.REGRESSED if worse[first] else Decision.NOT_REGRESSED), first + 1
        used_up = x.size == self.max_rounds
        return (Decision.UNDECIDED if used_up else Decision.CONTINUE), x.size

    def _detectable_exceedance(self, power: float) -> float:
        check_probability("power", power)
        if not self.can_regress:
            return math.nan
        low, high = 0.5, 1.0
        while high - low > 1e-6:
            middle = (low + high) / 2.0
            if self.chances(middle).regressed < power:
                low = middle
            else:
                high = middle
        return high
