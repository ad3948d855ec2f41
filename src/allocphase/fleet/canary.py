"""Whether a host was steady enough that its times are believed.

A canary is measured in each round beside what is judged, and must not move. In a run it is the null
allocator, which does nothing: of each round the geometric mean over the scenarios of its time by
that scenario's median, and the later half of the rounds against the earlier one, by ranks. A gate
measures the null allocator in its first round only; there it is the baseline, in the same way, and
its twin beside it, round by round: the same object cannot differ from itself.

The candidate is in neither, so that to leave a host out for its canary favours no arm. A drift
within a run cancels in its pairs for the most part; that it is there says that the machine did
something else meanwhile. Counts stay: a busy machine disturbs none.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from allocphase.analysis.frames import Run
from allocphase.analysis.measures import MEASURES
from allocphase.analysis.metrics import process_time_ns
from allocphase.judge import BASELINE, TWIN, Evidence, Values
from allocphase.judge.render.words import percent
from allocphase.probe.probe import Probe
from allocphase.stats import Decision, Samples, SequentialRank, Verdict, compare_samples
from allocphase.stats.values import FloatArray, count_log_ratios
from allocphase.store.record import rounds_of

__all__ = ["DRIFT", "drift_of", "twin_differs"]

# What a canary may move by between the halves, and how often a steady host is taken for one that
# is not: one in a hundred of each kind.
DRIFT = 0.05
ERROR = 0.01


def drift_of(run: Run) -> str:
    """How the canary moved: "the null allocator takes 9% more in the later rounds"; empty if it did
    not, or where there are too few rounds to tell.
    """
    arm = run.floor
    series = _series(run, arm) if arm else np.empty(0)
    if series.size < 2 and BASELINE in run.allocators:
        arm, series = BASELINE, _series(run, BASELINE)
    half = series.size // 2
    if half < 2:
        return ""
    halves = Samples(series[:half], series[half:], theta=DRIFT)
    (found,) = compare_samples([halves], alpha=ERROR / 2)
    if found.verdict not in (Verdict.REGRESSED, Verdict.IMPROVED):
        return ""
    change = percent(found.ratio.estimate - 1.0, signed=True)
    name = "the null allocator" if arm == run.floor else f"the {arm}"
    return f"{name} drifts: {change} from the earlier rounds to the later ones"


def _series(run: Run, arm: str) -> FloatArray:
    """Of each round the mean log of the arm's times by their scenario's median, as a ratio, shape
    (rounds that have one,).
    """
    rounds = rounds_of(run.records)
    logs = []
    for scenario in run.scenarios:
        times = np.full(rounds, np.nan)
        for record in run.records_of(arm, scenario):
            if record.probe is Probe.THROUGHPUT and record.ok:
                times[record.round] = process_time_ns(record)
        if np.isfinite(times).sum() >= 2 and (times[np.isfinite(times)] > 0.0).all():
            logs.append(np.log(times) - math.log(float(np.nanmedian(times))))
    if not logs:
        return np.empty(0)
    table = np.array(logs)
    measured = np.isfinite(table).any(axis=0)
    return np.asarray(np.exp(np.nanmean(table[:, measured], axis=0)), dtype=np.float64)


def twin_differs(evidence: Evidence, scenarios: Sequence[str], *, rounds: int) -> str:
    """Where the baseline's copy is told from the baseline at any round; empty where it is not.

    rounds: the most that the session could have had.
    """
    one = MEASURES["time"]
    both_ways = 2 * len(scenarios)
    rule = SequentialRank(alpha=ERROR, max_rounds=rounds, rows=max(1, both_ways), others=1)
    for scenario in scenarios:
        values = evidence.values(one, scenario)
        if _is_told_apart(values, rule):
            return f"the {TWIN} of the {BASELINE}, the same object, is not as quick on {scenario}"
    return ""


def _is_told_apart(values: Values, rule: SequentialRank) -> bool:
    x = count_log_ratios(values.twin, values.base)
    return any(rule.decide(way).decision is Decision.REGRESSED for way in (x, -x))
