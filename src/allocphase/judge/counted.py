"""The rule for counts and memory: worse where every process of the candidate lies above every
process of the baseline and its twin, by more than the limit.

Most allocators make the same counts in every process: then one round settles an equal row, and
a count that is higher is measured again until COUNT_ROUNDS rounds agree. Where copies of the
baseline differ among themselves the count is not deterministic here, and the memory theta takes
the place of "exact".

Error: if the arms do not differ, the chance that the k values of one lie above the other m is at
most 1 / C(k + m, k), since every choice of k among the k + m is as likely (a permutation test;
Fisher, The Design of Experiments, 1935, section 21). For k = 4 and m = 8 that is 1 in 495, for
a first session alone; the confirmation is drawn anew.
"""

from __future__ import annotations

import math

import numpy as np

from allocphase.judge.evidence import Values
from allocphase.judge.limits import Rule
from allocphase.judge.outcome import Judged, Outcome
from allocphase.stats import Interval
from allocphase.stats.values import FloatArray, median

__all__ = ["COUNT_ROUNDS", "judge_counted"]

# 4 rounds of three arms: 1 in 495 by chance, and a second session must say the same.
COUNT_ROUNDS = 4


def judge_counted(values: Values, rule: Rule, *, final: bool) -> Judged:
    """Where the row stands; `final`: no round will follow."""
    others = _present(values.base, values.twin)
    candidate = _present(values.candidate)
    varies = bool(others.size and (others != others[0]).any())
    theta = 0.0 if rule.exact and not varies else rule.theta
    outcome = _outcome(others, candidate, theta)
    settled = outcome is not Outcome.REGRESSED and outcome is not Outcome.UNDECIDED
    return Judged(
        outcome=outcome,
        decided=settled or final or candidate.size >= COUNT_ROUNDS,
        base=median(others),
        candidate=median(candidate),
        ratio=_ratio(others, candidate),
        twin=None,
        twin_moved=False,
        floor_spread=math.nan,
        pairs=int(candidate.size),
        theta=theta,
        varies=varies,
        min_detectable_ratio=math.nan,
        values=(tuple(others.tolist()), tuple(candidate.tolist())),
    )


def _present(*arms: FloatArray) -> FloatArray:
    pooled = np.concatenate(arms)
    return pooled[np.isfinite(pooled)]


def _outcome(others: FloatArray, candidate: FloatArray, theta: float) -> Outcome:
    if not others.size or not candidate.size:
        return Outcome.NOT_MEASURED
    worst = (1.0 + theta) * float(others.max())
    if candidate.min() > worst:
        return Outcome.REGRESSED
    if candidate.max() > worst:
        return Outcome.UNDECIDED
    if candidate.max() < float(others.min()) / (1.0 + theta):
        return Outcome.IMPROVED
    return Outcome.UNCHANGED


def _ratio(others: FloatArray, candidate: FloatArray) -> Interval:
    """Medians over each other; the sides are the extremes, which no level of confidence bounds."""
    if not others.size or not candidate.size:
        return Interval(math.nan, -math.inf, math.inf, math.nan)
    middle = _quotient(median(candidate), median(others))
    low = _quotient(float(candidate.min()), float(others.max()))
    high = _quotient(float(candidate.max()), float(others.min()))
    return Interval(middle, low, high, math.nan)


def _quotient(above: float, below: float) -> float:
    """Nothing over nothing is no change."""
    if below == 0.0:
        return 1.0 if above == 0.0 else math.inf
    return above / below
