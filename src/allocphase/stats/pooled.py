"""The signs of several hosts as one sequence: is the candidate worse on most rounds of a fleet?

Round r of every host is a *wave*. A round is one sign, as in the sequential sign test: whether the
candidate's ratio lies above 1 + theta. No times of two hosts meet: each sign is of a pair within
one round on one host, and where no host is worse each is a coin that falls "worse" at most half of
the time, whatever its host's CPU. So they may be put in one sequence, wave after wave and within a
wave in the order of the fleet's list, and the sequential rule's bound holds of it.

Two traps, and why this order avoids them:
  - looks in the order of arrival: a slower arm's rounds come later, so that whoever looks early
    sees a choice of rounds. The order here was fixed before anything was measured, and one looks
    only after as many signs as a whole wave has. For the same reason nothing is pooled while a
    host measures.
  - a host that is gone. Its signs end there, and the sequence goes on with the others: which host
    gives the next sign may depend on all signs before, as long as the next one is a fair coin. What
    must not happen is that a round is dropped for what its candidate did: a crash is an outcome in
    the journal, and no missing round.

The boundary spends its error evenly over the waves (Lan and DeMets, as boundary.py), with one look
a wave; a binomial number of signs comes between two looks. It is in floating point, since whole
numbers of 2^40,000 sequences are slow; SLACK is left unspent for the rounding.

Rejecting says that some host is worse on most of its rounds; which one, the hosts' own rows say.
The interval inverts the same boundary. It is that of one ratio which all hosts share; where they do
not, it is of the median over the fleet's rounds, and each host's own row has more to say.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from scipy.special import gammaln

from allocphase.stats.boundary import chances
from allocphase.stats.interval import Interval
from allocphase.stats.quantile import Ordered
from allocphase.stats.sequential import INTERVAL_ERROR, SequentialOutcome
from allocphase.stats.signtest import above
from allocphase.stats.values import FloatArray, check_probability, middle
from allocphase.stats.verdict import Decision, margin

__all__ = ["PooledSigns", "crossing_chance", "in_waves", "wave_boundary"]

# Relative, of what each look may spend: far above the rounding of some 10^9 operations.
SLACK = 1e-6


@dataclass(frozen=True, slots=True)
class PooledSigns:
    """The rule for one row over `hosts` hosts with at most `waves` rounds each.

    alpha, pass_error, better_error: as of SequentialRank; the first and the last are over `rows`.
    Raises ValueError for a parameter out of range.
    """

    hosts: int
    waves: int
    theta: float
    alpha: float
    pass_error: float = 0.05
    better_error: float = 0.0005
    rows: int = 1

    def __post_init__(self) -> None:
        margin(self.theta)
        if min(self.hosts, self.waves, self.rows) < 1:
            raise ValueError("a fleet has 1 or more hosts, waves and rows")
        for name in ("alpha", "pass_error", "better_error"):
            check_probability(name, getattr(self, name))

    def decide(self, ratios: FloatArray) -> SequentialOutcome:
        """Where the row stands, of log ratios in the order of `in_waves`, shape (rounds,).

        rounds: signs that were read, whole waves' worth. It is UNDECIDED where the rounds end
        without a decision: a fleet that has ended gives no more.
        """
        x = self._read(ratios)
        worse = self._first(x, margin(self.theta), self.alpha / self.rows)
        passed = self._first(-x, -margin(self.theta), self.pass_error)
        looks = min(worse, passed)
        if looks == math.inf:
            return SequentialOutcome(Decision.UNDECIDED, x.size, self.interval(ratios).exp())
        decision = Decision.REGRESSED if worse <= passed else Decision.NOT_REGRESSED
        rounds = int(looks) * self.hosts
        return SequentialOutcome(decision, rounds, self.interval(x[:rounds]).exp())

    def improved(self, ratios: FloatArray) -> bool:
        """Whether the mirrored test has found at any wave that it is below 1 / (1 + theta)."""
        x = self._read(ratios)
        return self._first(-x, margin(self.theta), self.better_error / self.rows) < math.inf

    def interval(self, ratios: FloatArray) -> Interval:
        """The median log ratio, with a 95% interval that holds at whichever wave one stops."""
        x = self._read(ratios)
        if x.size == 0:
            return Interval(math.nan, -math.inf, math.inf, 1.0 - 2.0 * INTERVAL_ERROR)
        values = np.sort(x)
        ordered = Ordered(values, np.arange(1, values.size + 1, dtype=np.int64))
        rank = wave_boundary(self.hosts, self.waves, INTERVAL_ERROR)[x.size // self.hosts - 1]
        return Interval(
            estimate=middle(values),
            lower=ordered.at_rank(values.size - rank + 1),
            upper=ordered.at_rank(rank),
            confidence=1.0 - 2.0 * INTERVAL_ERROR,
        )

    def _read(self, ratios: FloatArray) -> FloatArray:
        """Whole waves' worth of signs; what the last hosts have beyond that is not looked at."""
        if ratios.size > self.hosts * self.waves:
            budget = f"{self.waves} waves of {self.hosts} hosts"
            raise ValueError(f"{ratios.size} rounds, but the boundary was computed for {budget}")
        return ratios[: ratios.size // self.hosts * self.hosts]

    def _first(self, x: FloatArray, bound: float, error: float) -> float:
        """After how many looks the sum of the signs has reached its boundary; infinite: never."""
        sums = above(x, bound).reshape(-1, self.hosts).sum(axis=1).cumsum()
        boundary = np.array(wave_boundary(self.hosts, self.waves, error)[: sums.size])
        reached = np.flatnonzero(sums >= boundary)
        return float(reached[0] + 1) if reached.size else math.inf


def in_waves(by_host: npt.ArrayLike) -> FloatArray:
    """The rounds of a fleet in the order in which they are looked at, shape (found,).

    by_host: log ratios, shape (hosts, rounds), NaN where a host has no such round: dropped.
    """
    ratios = np.asarray(by_host, dtype=np.float64).T.ravel()
    return ratios[~np.isnan(ratios)]


@lru_cache(maxsize=256)
def wave_boundary(hosts: int, waves: int, error: float) -> tuple[int, ...]:
    """The sums c(1) ... c(waves) of fair signs that stop, with `hosts` signs between two looks.

    Met by look n with probability at most error * n / waves. Raises ValueError for an error outside
    (0, 1/2).
    """
    if not 0.0 < error < 0.5:
        raise ValueError(f"an error lies between 0 and 1/2, not at {error}")
    k = np.arange(hosts + 1)
    wave = np.exp(
        gammaln(hosts + 1) - gammaln(k + 1) - gammaln(hosts - k + 1) - hosts * math.log(2)
    )
    alive, spent, sums = np.ones(1), 0.0, []
    for look in range(1, waves + 1):
        alive = np.convolve(alive, wave)
        tails = np.append(np.cumsum(alive[::-1])[::-1], 0.0)  # the chance of so much or more
        allowed = error * look / waves * (1.0 - SLACK) - spent
        least = int(np.flatnonzero(tails <= allowed)[0])  # alive.size: a sum that none can reach
        spent += float(tails[least])
        alive = alive[:least]
        sums.append(least)
    return tuple(sums)


def crossing_chance(boundary: tuple[int, ...], rounds: int) -> float:
    """How often fair signs have met a boundary of single looks by that round.

    The p-value of a test that stopped there, by the order of stages (Jennison and Turnbull, Group
    Sequential Methods with Applications to Clinical Trials, 1999, section 8.4), and no less: a sum
    above the boundary counts as one on it.
    """
    up = boundary[:rounds]
    never = tuple(n + 1 for n in range(1, len(up) + 1))
    return chances(up, never, np.array([0.5, 0.5])).regressed
