"""How high a sum of scores must be to stop, when one looks after every round.

In each round the candidate is ranked among its arms: 0 for the lowest, up to arms - 1. Under the
null each rank is as likely as any other at worst (with two arms: a fair coin). The boundary c(1),
c(2), ... c(N) is such that the sum of these scores reaches c(n) at some n with probability at most
alpha, and has done so by round n with probability at most alpha * n / N: an error-spending
boundary. Source: Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika
70, 1983; the spending function is the power family's first member (Kim and DeMets, Biometrika 74,
1987). The probabilities are counted, not approximated: of the arms^n equally likely sequences, how
many have crossed, in whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from allocphase.stats.values import FloatArray

__all__ = ["Chances", "chances", "rank_boundary"]


@dataclass(frozen=True, slots=True)
class Chances:
    """The exact outcome probabilities of a two-sided boundary, and the mean rounds used."""

    regressed: float
    not_regressed: float
    undecided: float
    mean_rounds: float


@lru_cache(maxsize=256)
def rank_boundary(arms: int, max_rounds: int, alpha: float) -> tuple[int, ...]:
    """The sums c(1) ... c(max_rounds) that stop; one more than the highest at a round that cannot.

    The chance to reach it is at most alpha for every process whose next score, whatever the past,
    is at least s with probability at most (arms - s) / arms: each such walk lies below one of
    uniform scores. Below 1/2 every sum exceeds half of the highest, so that the two sides of a
    test never meet. Raises ValueError for alpha outside (0, 1/2), max_rounds below 1, arms below 2.
    """
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha lies between 0 and 1/2, not at {alpha}")
    if max_rounds < 1 or arms < 2:
        raise ValueError(f"at least one round of two arms is wanted, not {max_rounds} of {arms}")
    paths, crossed, sums = [1], 0, []
    for n in range(1, max_rounds + 1):
        paths = _next_sums(paths, arms)
        allowed = int(Fraction(alpha) * Fraction(n, max_rounds) * arms**n)
        least, crossed = _lowest_sum(paths, arms * crossed, allowed)
        paths[least:] = [0] * (len(paths) - least)
        sums.append(least)
    return tuple(sums)


def _next_sums(paths: list[int], arms: int) -> list[int]:
    """How many sequences have each sum after one more score."""
    longer = [0] * (len(paths) + arms - 1)
    for sum_, count in enumerate(paths):
        for score in range(arms):
            longer[sum_ + score] += count
    return longer


def _lowest_sum(paths: list[int], crossed: int, allowed: int) -> tuple[int, int]:
    """The lowest sum that keeps the crossed paths within `allowed`, and their new number."""
    least = len(paths)
    while crossed + paths[least - 1] <= allowed:
        least -= 1
        crossed += paths[least]
    return least, crossed


def chances(
    up: tuple[int, ...],
    down: tuple[int, ...],
    scores: FloatArray,
    *,
    start: tuple[int, int] = (0, 0),
) -> Chances:
    """What happens when each round's score has the probabilities `scores`, independently.

    up, down: the two boundaries, of one length; down counts from the highest sum. scores: shape
    (arms,). start: the rounds that were run, and their sum. By recursion over the rounds on the
    walks that have met neither (Schultz et al., "Multiple-stage procedures for drug screening",
    Biometrics 29, 1973).
    """
    run, sum_ = start
    steps = scores.size - 1
    alive, regressed, not_regressed, rounds = np.zeros(run * steps + 1), 0.0, 0.0, 0.0
    alive[sum_] = 1.0
    for n, (high, low) in enumerate(zip(up[run:], down[run:], strict=True), start=run + 1):
        rounds += float(alive.sum())
        alive = np.convolve(alive, scores)
        below = max(n * steps - low + 1, 0)
        regressed += float(alive[high:].sum())
        not_regressed += float(alive[:below].sum())
        alive[high:] = 0.0
        alive[:below] = 0.0
    return Chances(regressed, not_regressed, float(alive.sum()), rounds)
