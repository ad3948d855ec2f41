"""The rule for what varies from process to process: times, latencies, and counts that do.

Its errors are those of `stats.sequential`: over all looks, a row whose true ratio is at most
1 + theta is called regressed with probability at most alpha / rows in one session, and a row
that is gets confirmed in a second, independent session only by failing there again.
"""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np

from allocphase.judge.evidence import Values
from allocphase.judge.outcome import Judged, Outcome
from allocphase.stats import (
    Decision,
    Forecast,
    Interval,
    SequentialOutcome,
    SequentialRank,
    spread,
)
from allocphase.stats.values import FloatArray, count_log_ratios, median, savings
from allocphase.stats.verdict import Verdict as Side
from allocphase.stats.verdict import judge_interval, margin

__all__ = ["judge_sampled", "judge_timed"]

# Each process calibrates the clock for itself, to 1e-7: equal ticks are log ratios below this.
SAME_TICKS = 1e-6


def judge_timed(
    values: Values, rule: SequentialRank, *, final: bool, step_ns: float = 0.0
) -> Judged:
    """A time in ns: where the row stands by its ratio (`judge_sampled`), and what it saves."""
    found = judge_sampled(values, rule, final=final, step=step_ns)
    if found.outcome is Outcome.NOT_MEASURED:
        return found
    # A flagged row's ratio is of the rounds up to its decision; with a step, of all of them.
    flagged = found.outcome is Outcome.REGRESSED and not step_ns
    return replace(found, saved_ns=_saved(values, rule, step_ns, found.rounds if flagged else None))


def _saved(values: Values, rule: SequentialRank, step_ns: float, rounds: int | None) -> Interval:
    """By the same boundary as the ratio's interval. Both medians are known to half a step."""
    arms = (values.base, values.twin)[: rule.others]
    saved = np.column_stack([savings(arm, values.candidate) for arm in arms])
    if step_ns:
        saved[np.abs(_log_ratios(values, rule)) < SAME_TICKS] = 0.0
    found = rule.interval(rule.complete(saved)[:rounds])
    lower, upper = found.lower - step_ns, found.upper + step_ns
    return Interval(found.estimate, lower, upper, found.confidence)


def _log_ratios(values: Values, rule: SequentialRank) -> FloatArray:
    """The candidate's to each other arm, shape (rounds, others)."""
    arms = (values.base, values.twin)[: rule.others]
    return np.column_stack([count_log_ratios(values.candidate, arm) for arm in arms])


def judge_sampled(
    values: Values, rule: SequentialRank, *, final: bool, step: float = 0.0
) -> Judged:
    """Where the row stands. `final`: no round will follow, so what is open stays open.

    step: the least difference that the instrument tells, in the values' unit; 0 for none.
    """
    x = _log_ratios(values, rule)
    if step:
        x = np.trunc(x / SAME_TICKS) * SAME_TICKS
    found, forecast = rule.decide(x), Forecast(rule, x)
    # The interval holds at every round: where a row passed early, later rounds only sharpen it.
    interval = _widened(rule.interval(x), step, values)
    outcome = _outcome(found, interval, rule, improved=rule.improved(x))
    inconclusive = outcome is Outcome.INCONCLUSIVE
    flagged = outcome is Outcome.REGRESSED
    return Judged(
        outcome=outcome,
        decided=final or _is_settled(found, outcome, interval, rule, forecast),
        base=median(values.base),
        candidate=median(values.candidate),
        ratio=found.ratio if flagged and not step else interval.exp(),
        twin=_twin(values, rule),
        floor_spread=_floor(values),
        rounds=found.rounds if flagged else rule.complete(x).shape[0],
        theta=rule.theta,
        exact=False,
        # What follows is slow to compute, and for readers of the result only.
        min_detectable_ratio=forecast.least_ratio() if final else math.nan,
        decided_theta=forecast.decided_theta() if final and inconclusive else math.nan,
        open_chance=forecast.open_chance() if final else 0.0,
    )


def _widened(log_ratio: Interval, step: float, values: Values) -> Interval:
    """Both medians are known to half a step each way."""
    base, candidate = median(values.base), median(values.candidate)
    if not step or not min(base, candidate) > step / 2.0:
        return log_ratio
    half = [math.log1p(step / 2.0 / value) for value in (base, candidate)]
    reach = sum(half)
    lower, upper = log_ratio.lower - reach, log_ratio.upper + reach
    return Interval(log_ratio.estimate, lower, upper, log_ratio.confidence)


def _outcome(
    found: SequentialOutcome, interval: Interval, rule: SequentialRank, *, improved: bool
) -> Outcome:
    if found.rounds == 0:
        return Outcome.NOT_MEASURED
    if found.decision is Decision.REGRESSED:
        return Outcome.REGRESSED
    if found.decision is Decision.NOT_REGRESSED:
        if improved:
            return Outcome.IMPROVED
        same = judge_interval(interval, rule.theta) is Side.UNCHANGED
        return Outcome.UNCHANGED if same else Outcome.NOT_WORSE
    excluded = interval.upper <= margin(2.0 * rule.theta)
    return Outcome.UNDECIDED if excluded else Outcome.INCONCLUSIVE


def _is_settled(
    found: SequentialOutcome,
    outcome: Outcome,
    interval: Interval,
    rule: SequentialRank,
    forecast: Forecast,
) -> bool:
    """Whether further rounds would change nothing that is worth them."""
    if found.decision is not Decision.NOT_REGRESSED:
        return found.decided or forecast.is_futile()
    # It passes; it goes on until its interval is bounded, and while it has always been better.
    goes_on = outcome is not Outcome.IMPROVED and rule.may_improve(forecast.x)
    return interval.bounded and not goes_on


def _twin(values: Values, rule: SequentialRank) -> Interval | None:
    """The baseline's copy over the baseline: what no difference looks like."""
    if not values.has_twin:
        return None
    signs = SequentialRank(max_rounds=rule.max_rounds, others=1)
    return signs.interval(count_log_ratios(values.twin, values.base)).exp()


def _floor(values: Values) -> float:
    """The spread of the log ratios of two copies; NaN without any."""
    ratios = count_log_ratios(values.twin, values.base)
    return spread(ratios[np.isfinite(ratios)])
