"""The comparison of two arms measured in the same rounds, with a fixed number of rounds.

Within a round each arm is one fresh process, in random order, so that what the two share (the
machine's state at that time) cancels in the log ratio, log(candidate / base). One pair is one
observation: the process is the sampling unit.

Assumed: pairs are independent from round to round, or more weakly that the past says nothing
of the next pair's sign. The random order within a round makes this exact for arms that do not
differ, however the machine drifts.

The same pairs give a difference, base - candidate: its median is bounded by the same order
statistics, with the same exact coverage. A pair's difference and its log ratio have opposite
signs, so that the one interval excludes 0 where the other excludes a ratio of 1. A factor that
both share cancels in the ratio alone; an addend (work that is not the arms' own) in the difference
alone.

Not modelled: what all rounds of a session have in common and the arms have not (where an object
lies on disk and in the page cache, its link order). That does not average out over rounds; the
twin arm shows it in part, and a fresh session with fresh copies of the objects draws it anew.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.stats.interval import Interval, exp_ratio, median_interval
from allocphase.stats.signtest import detectable_exceedance, holm, sign_test, smallest_effect
from allocphase.stats.values import FloatArray, check_probability, savings
from allocphase.stats.verdict import Verdict, judge_interval, margin

__all__ = [
    "Comparison",
    "PairedIntervals",
    "Row",
    "compare_rows",
    "log_ratios",
    "paired_intervals",
    "verdict_of",
]


@dataclass(frozen=True, slots=True, eq=False)
class Row:
    """One row to compare. base, candidate: shape (rounds,), positive, NaN where missing."""

    base: npt.ArrayLike
    candidate: npt.ArrayLike
    theta: float = 0.02


@dataclass(frozen=True, slots=True)
class PairedIntervals:
    """Two arms' rounds as a ratio and as a difference; pairs: how many rounds have both.

    log_ratio: of candidate over base. saved: base - candidate, in their unit.
    """

    log_ratio: Interval
    saved: Interval
    pairs: int

    @property
    def ratio(self) -> Interval:
        """Candidate over base."""
        return self.log_ratio.exp()


@dataclass(frozen=True, slots=True)
class Comparison:
    """What is said of one row. ratio: candidate over base; saved: base - candidate, in their unit.

    p_regressed, p_improved: adjusted across the rows it was compared with.
    min_detectable_ratio: the least true ratio that such rounds would have shown as regressed
    with power 0.8 (`smallest_effect`), at the level that holds before any row is rejected;
    infinite when these rounds are too few to reject anything.
    """

    ratio: Interval
    saved: Interval
    theta: float
    pairs: int
    dropped: int
    p_regressed: float
    p_improved: float
    min_detectable_ratio: float
    verdict: Verdict


def log_ratios(base: npt.ArrayLike, candidate: npt.ArrayLike) -> FloatArray:
    """log(candidate / base) by round, shape (rounds,); NaN where either is missing.

    Raises ValueError for shapes that differ, and for values that are not positive and finite.
    """
    arms = [np.asarray(arm, dtype=np.float64) for arm in (base, candidate)]
    if arms[0].ndim != 1 or arms[0].shape != arms[1].shape:
        raise ValueError("both arms need one value a round, NaN where it is missing")
    for arm in arms:
        if ((arm <= 0.0) | np.isinf(arm)).any():
            raise ValueError("a paired value is positive and finite, or NaN where it is missing")
    # A difference of logs, not the log of a quotient: swapping the arms only flips the sign.
    return np.asarray(np.log(arms[1]) - np.log(arms[0]), dtype=np.float64)


def paired_intervals(
    base: npt.ArrayLike, candidate: npt.ArrayLike, *, confidence: float
) -> PairedIntervals:
    """The medians over the rounds, each with its order-statistic interval (interval.py).

    base, candidate: shape (rounds,), NaN where missing. Raises ValueError as `log_ratios`.
    """
    logs = log_ratios(base, candidate)
    return PairedIntervals(
        log_ratio=median_interval(logs, confidence=confidence),
        saved=median_interval(savings(base, candidate), confidence=confidence),
        pairs=int(np.isfinite(logs).sum()),
    )


def compare_rows(rows: Sequence[Row], *, alpha: float = 0.025) -> list[Comparison]:
    """Compares rows together, same order.

    Each direction is one family: the chance that any row is called regressed whose ratio is at
    most 1 + theta is at most alpha, and so for improved (Holm over sign tests). The interval
    and with it "unchanged" are each row's own: coverage at least 1 - 2 * alpha, so that a row
    is wrongly called unchanged with probability at most alpha.
    """
    check_probability("alpha", alpha)
    ratios = [log_ratios(row.base, row.candidate) for row in rows]
    bounds = [margin(row.theta) for row in rows]
    worse = holm([sign_test(x, bound) for x, bound in zip(ratios, bounds, strict=True)])
    better = holm([sign_test(-x, bound) for x, bound in zip(ratios, bounds, strict=True)])
    return [
        _comparison(row, x, worse=float(up), better=float(down), alpha=alpha, rows=len(rows))
        for x, row, up, down in zip(ratios, rows, worse, better, strict=True)
    ]


def _comparison(
    row: Row, x: FloatArray, *, worse: float, better: float, alpha: float, rows: int
) -> Comparison:
    found = paired_intervals(row.base, row.candidate, confidence=1.0 - 2.0 * alpha)
    needed = detectable_exceedance(found.pairs, alpha=alpha / rows)
    effect = smallest_effect(x, margin(row.theta), exceedance=needed)
    return Comparison(
        ratio=found.ratio,
        saved=found.saved,
        theta=row.theta,
        pairs=found.pairs,
        dropped=x.size - found.pairs,
        p_regressed=worse,
        p_improved=better,
        min_detectable_ratio=exp_ratio(effect),
        verdict=verdict_of(found.log_ratio, row.theta, worse=worse, better=better, alpha=alpha),
    )


def verdict_of(
    interval: Interval, theta: float, *, worse: float, better: float, alpha: float
) -> Verdict:
    """From the interval of the log ratio, and both p-values adjusted across the rows."""
    if worse <= alpha:
        return Verdict.REGRESSED
    if better <= alpha:
        return Verdict.IMPROVED
    # A row that only Holm held back has an interval beyond the bound: it is not unchanged.
    alone = judge_interval(interval, theta)
    return alone if alone is Verdict.UNCHANGED else Verdict.INCONCLUSIVE
