"""The rule for times: the sequential sign test of the paired log ratios, and the twin beside it.

Its errors are those of `stats.sequential`: over all looks, a row whose true ratio is at most
1 + theta is called regressed with probability at most alpha / rows in one session, and a row
that is gets confirmed in a second, independent session only by failing there again.
"""

from __future__ import annotations

import math

import numpy as np

from allocphase.gate.evidence import Values
from allocphase.gate.outcome import Judged, Outcome
from allocphase.stats import (
    Decision,
    Interval,
    SequentialOutcome,
    SequentialSign,
    Verdict,
    judge_interval,
    log_ratios,
    spread,
)
from allocphase.stats.samples import FloatArray

__all__ = ["judge_timed"]

_VERDICTS = {
    Verdict.IMPROVED: Outcome.IMPROVED,
    Verdict.UNCHANGED: Outcome.UNCHANGED,
}


def judge_timed(values: Values, rule: SequentialSign, *, final: bool) -> Judged:
    """Where the row stands. `final`: no round will follow, so what is open stays open."""
    ratios = log_ratios(values.base, values.candidate)
    found = rule.decide(ratios)
    moved, floor = _twin(values, rule)
    regressed = found.decision is Decision.REGRESSED
    # The interval holds at every round: where a row passed early, later rounds only sharpen it.
    interval = rule.interval(ratios)
    return Judged(
        outcome=_outcome(found, interval, rule.theta),
        decided=final or (found.decided and (regressed or interval.bounded)),
        base=_median(values.base),
        candidate=_median(values.candidate),
        ratio=found.ratio if regressed else interval.exp(),
        twin=rule.interval(floor).exp() if values.has_twin else None,
        twin_moved=moved,
        floor_spread=spread(floor),
        pairs=found.pairs if regressed else int(np.isfinite(ratios).sum()),
        theta=rule.theta,
        varies=True,
        # Slow to compute, and for readers only.
        min_detectable_ratio=rule.min_detectable_ratio(ratios) if final else math.nan,
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


def _twin(values: Values, rule: SequentialSign) -> tuple[bool, FloatArray]:
    ratios = log_ratios(values.base, values.twin)
    moved = rule.verdict(ratios) in (Verdict.REGRESSED, Verdict.IMPROVED)
    return moved, ratios


def _median(values: FloatArray) -> float:
    present = values[np.isfinite(values)]
    return float(np.median(present)) if present.size else math.nan
