"""The rule for counts and memory: exact where they agree, and else sampled as times are.

Most allocators make the same count in every process. Where every process of the baseline and its
twin says one thing and every one of the candidate one thing, that is the row: equal after AGREEING
processes an arm, different after twice as many. By chance alone, of arms that do not differ, all k
of one lie apart from all m others in at most 1 of C(k + m, k) sessions (a permutation test; Fisher,
The Design of Experiments, 1935, section 21): 1 in 735,471 for 8 of 24.

Where processes of one arm differ, one process is one sample, and the row goes to the sequential
rule of times. One more is worse as long as the baseline's own processes agree; where they do not,
the count is not deterministic here, and the memory theta takes the place of "exact".
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import replace

import numpy as np

from allocphase.judge.evidence import Values
from allocphase.judge.limits import Rule
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.sampled import judge_sampled
from allocphase.stats import Interval, SequentialRank
from allocphase.stats.exact import count_change, count_ratio
from allocphase.stats.values import FloatArray, agree

__all__ = ["AGREEING", "judge_counted"]

# Processes of each arm, before anything is said of a count.
AGREEING = 4


def judge_counted(
    values: Values,
    rule: Rule,
    sampled: Callable[[float], SequentialRank],
    *,
    final: bool,
    grain: float = 0.0,
) -> Judged:
    """Where the row stands; `final`: no process will follow. sampled: the rule for a theta. grain:
    what is no difference, whatever share it is: of processes that are no further apart than that,
    the first of an arm stands for all.
    """
    base, candidate = _present(values.base, values.twin), _present(values.candidate)
    told = (tuple(base.tolist()), tuple(candidate.tolist()))
    if not base.size or not candidate.size:
        return _exact(Outcome.NOT_MEASURED, base, candidate, theta=rule.theta, decided=True)
    theta = 0.0 if rule.exact and agree(base) else rule.theta
    alike = float(np.ptp(np.concatenate([base, candidate]))) <= grain
    if not alike and not (agree(base) and agree(candidate)):
        found = judge_sampled(values, sampled(theta), final=final)
        few = found.rounds < AGREEING and found.decided
        return replace(
            found,
            outcome=Outcome.INCONCLUSIVE if few else found.outcome,
            open_chance=_open_chance(base, found.open_chance),
            values=told,
        )
    outcome = Outcome(count_change(float(base[0]), float(candidate[0]), theta, grain=grain))
    fewest = min(_present(arm).size for arm in values.measured)
    enough = fewest >= (AGREEING if outcome is Outcome.UNCHANGED else 2 * AGREEING)
    if not enough:
        outcome = Outcome.INCONCLUSIVE
    return _exact(outcome, base, candidate, theta=theta, decided=enough or final)


def _present(*arms: FloatArray) -> FloatArray:
    pooled = np.concatenate(arms)
    return pooled[np.isfinite(pooled)]


def _open_chance(base: FloatArray, forecast: float) -> float:
    """Noise explains nothing of a baseline that always says the same, and anything of one that
    says nothing now and then: such ratios have no spread.
    """
    if agree(base):
        return 0.0
    return forecast if (base > 0.0).all() else 1.0


def _exact(
    outcome: Outcome, base: FloatArray, candidate: FloatArray, *, theta: float, decided: bool
) -> Judged:
    """What every process of an arm says, or nobody."""
    before, after = (float(arm[0]) if arm.size else math.nan for arm in (base, candidate))
    return Judged(
        outcome=outcome,
        decided=decided,
        base=before,
        candidate=after,
        ratio=Interval(count_ratio(before, after), -math.inf, math.inf, math.nan),
        twin=None,
        floor_spread=math.nan,
        rounds=int(candidate.size),
        theta=theta,
        exact=True,
        min_detectable_ratio=math.nan,
        decided_theta=math.nan,
        open_chance=0.0,
        values=(tuple(base.tolist()), tuple(candidate.tolist())),
    )
