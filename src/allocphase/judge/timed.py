"""The rule for times: the sequential sign test of the paired log ratios, and the twin beside it.

Its errors are those of `stats.sequential`: over all looks, a row whose true ratio is at most
1 + theta is called regressed with probability at most alpha / rows in one session, and a row
that is gets confirmed in a second, independent session only by failing there again.
"""

from __future__ import annotations

import math

import numpy as np

from allocphase.judge.evidence import Values
from allocphase.judge.outcome import Judged, Outcome
from allocphase.stats import (
    Decision,
    Interval,
    SequentialOutcome,
    SequentialSign,
    Verdict,
    judge_interval,
    log_ratios,
    noise_floor,
)
from allocphase.stats.values import median

__all__ = ["judge_timed"]

_VERDICTS = {
    Verdict.IMPROVED: Outcome.IMPROVED,
    Verdict.UNCHANGED: Outcome.UNCHANGED,
}


def judge_timed(values: Values, rule: SequentialSign, *, final: bool) -> Judged:
    """Where the row stands. `final`: no round will follow, so what is open stays open."""
    ratios = log_ratios(values.base, values.candidate)
    found = rule.decide(ratios)
    floor = noise_floor(values.base, values.twin, rule)
    regressed = found.decision is Decision.REGRESSED
    # The interval holds at every round: where a row passed early, later rounds only sharpen it.
    interval = rule.interval(ratios)
    return Judged(
        outcome=_outcome(found, interval, rule.theta),
        decided=final or (found.decided and (regressed or interval.bounded)),
        base=median(values.base),
        candidate=median(values.candidate),
        ratio=found.ratio if regressed else interval.exp(),
        twin=floor.ratio if values.has_twin else None,
        twin_moved=floor.moved,
        floor_spread=floor.spread,
        pairs=found.pairs if regressed else int(np.isfinite(ratios).sum()),
        theta=rule.theta,
        varies=True,
        # Slow to compute, and for readers only.
        min_detectable_ratio=rule.min_detectable_ratio(ratios) if final else math.nan,
        values=((), ()),
    )


def _outcome(found: SequentialOutcome, interval: Interval, theta: float) -> Outcome:
    if found.pairs == 0:
        return Outcome.NOT_MEASURED
    if found.decision is Decision.REGRESSED:
        return Outcome.REGRESSED
    if found.decision is Decision.NOT_REGRESSED:
        return _VERDICTS.get(judge_interval(interval, theta), Outcome.NOT_WORSE)
    excluded = interval.exp().upper <= 1.0 + 2.0 * theta
    return Outcome.UNDECIDED if excluded else Outcome.INCONCLUSIVE
