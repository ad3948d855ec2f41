"""The twin arm: a copy of the base, measured as a third arm, is what "no difference" looks like.

Its log ratio to the base is the session's noise floor. A twin that regresses or improves by
the very test the candidate faces shows that the session tells copies apart: nothing it says of
the candidate can be believed, whichever way.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.stats.paired import Comparison, Row, compare_rows, log_ratios
from allocphase.stats.samples import present
from allocphase.stats.verdict import Verdict

__all__ = ["JudgedRow", "Session", "ThreeArms", "judge_session", "spread"]

# The MAD of a normal distribution is 1 / 1.4826 of its standard deviation (Rousseeuw and Croux,
# "Alternatives to the median absolute deviation", JASA 88, 1993).
_MAD_TO_SD = 1.4826


@dataclass(frozen=True, slots=True, eq=False)
class ThreeArms:
    """One row's rounds, each of shape (rounds,), positive, NaN where missing."""

    base: npt.ArrayLike
    twin: npt.ArrayLike
    candidate: npt.ArrayLike
    theta: float = 0.02


@dataclass(frozen=True, slots=True)
class JudgedRow:
    """twin: the noise floor with its interval; floor_spread: the spread of its log ratio."""

    candidate: Comparison
    twin: Comparison
    floor_spread: float

    @property
    def valid(self) -> bool:
        """Whether the twin neither regressed nor improved."""
        return self.twin.verdict not in (Verdict.REGRESSED, Verdict.IMPROVED)


@dataclass(frozen=True, slots=True)
class Session:
    """All rows of a session; one invalid row makes it invalid."""

    rows: tuple[JudgedRow, ...]

    @property
    def valid(self) -> bool:
        """Whether no row's twin moved."""
        return all(row.valid for row in self.rows)


def spread(values: npt.ArrayLike) -> float:
    """The standard deviation as the median absolute deviation suggests it, in their unit.

    values: shape (n,), NaN is dropped. Of log ratios it reads as a share: 0.01 is 1%. One
    disturbed round in many does not move it. NaN for fewer than two values.
    """
    samples = present(values)
    if samples.size < 2:
        return math.nan
    return _MAD_TO_SD * float(np.median(np.abs(samples - np.median(samples))))


def judge_session(rows: Sequence[ThreeArms], *, alpha: float = 0.025) -> Session:
    """Compares twins and candidates with the base, each as one family (`compare_rows`).

    For a fixed number of rounds. A sound session is called invalid with probability at most
    2 * alpha, and far less when theta exceeds the spread. Where rounds were stopped early, ask
    `SequentialSign.verdict` of the twin instead: it holds at whichever round one stops.
    """
    twins = compare_rows([Row(r.base, r.twin, r.theta) for r in rows], alpha=alpha)
    candidates = compare_rows([Row(r.base, r.candidate, r.theta) for r in rows], alpha=alpha)
    return Session(
        tuple(
            JudgedRow(candidate, twin, spread(log_ratios(row.base, row.twin)))
            for row, candidate, twin in zip(rows, candidates, twins, strict=True)
        )
    )
