"""How many signs out of n are enough to stop, when one looks after every round.

Under the null each round's sign is a fair coin at worst. The boundary c(1), c(2), ... c(N) is
such that a walk of fair coins reaches c(n) heads at some n with probability at most alpha, and
has done so by round n with probability at most alpha * n / N: an error-spending boundary.
Source: Lan and DeMets, "Discrete sequential boundaries for clinical trials", Biometrika 70,
1983; the spending function is the power family's first member (Kim and DeMets, Biometrika 74,
1987). The probabilities are counted, not approximated: of the 2^n equally likely sequences,
how many have crossed, in whole numbers.
"""

from __future__ import annotations

from dataclasses import dataclass
from fractions import Fraction
from functools import lru_cache

import numpy as np

from allocphase.stats.values import FloatArray

__all__ = ["Chances", "chances", "sign_boundary"]


@dataclass(frozen=True, slots=True)
class Chances:
    """The exact outcome probabilities of a two-sided boundary, and the mean rounds used."""

    regressed: float
    not_regressed: float
    undecided: float
    mean_rounds: float


@lru_cache(maxsize=256)
def sign_boundary(max_rounds: int, alpha: float) -> tuple[int, ...]:
    """The counts c(1) ... c(max_rounds) that stop; n + 1 at a round that cannot.

    The chance to reach it is at most alpha for every process whose next sign, whatever the
    past, is up with probability at most 1/2: each such walk lies below one of fair coins.
    Below 1/2 every count exceeds half of the rounds, so that the two sides of a test never
    meet. Raises ValueError for alpha outside (0, 1/2) or max_rounds below 1.
    """
    if not 0.0 < alpha < 0.5:
        raise ValueError(f"alpha lies between 0 and 1/2, not at {alpha}")
    if max_rounds < 1:
        raise ValueError(f"at least one round is wanted, not {max_rounds}")
    paths, crossed, counts = [1], 0, []
    for n in range(1, max_rounds + 1):
        paths = [a + b for a, b in zip([*paths, 0], [0, *paths], strict=True)]
        allowed = int(Fraction(alpha) * Fraction(n, max_rounds) * 2**n)
        count, crossed = _lowest_count(paths, 2 * crossed, allowed)
        paths[count:] = [0] * (n + 1 - count)
        counts.append(count)
    return tuple(counts)


def _lowest_count(paths: list[int], crossed: int, allowed: int) -> tuple[int, int]:
    """The lowest count that keeps the crossed paths within `allowed`, and their new number."""
    count = len(paths)
    while crossed + paths[count - 1] <= allowed:
        count -= 1
        crossed += paths[count]
    return count, crossed


def chances(up: tuple[int, ...], down: tuple[int, ...], exceedance: float) -> Chances:
    """What happens when each sign is up with probability `exceedance`, independently.

    up, down: the two boundaries, of one length. By recursion over the rounds on the walks that
    have met neither (Schultz et al., "Multiple-stage procedures for drug screening",
    Biometrics 29, 1973).
    """
    alive, regressed, not_regressed, rounds = np.ones(1), 0.0, 0.0, 0.0
    for n, (high, low) in enumerate(zip(up, down, strict=True), start=1):
        rounds += float(alive.sum())
        alive = _step(alive, exceedance)
        regressed += float(alive[high:].sum())
        not_regressed += float(alive[: max(n - low + 1, 0)].sum())
        alive[high:] = 0.0
        alive[: max(n - low + 1, 0)] = 0.0
    return Chances(regressed, not_regressed, float(alive.sum()), rounds)


def _step(alive: FloatArray, exceedance: float) -> FloatArray:
    moved = np.zeros(alive.size + 1)
    moved[:-1] = alive * (1.0 - exceedance)
    moved[1:] += alive * exceedance
    return moved
