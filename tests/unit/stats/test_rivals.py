"""Other tools' rules, on the same arrays."""

from __future__ import annotations

import math
from importlib import import_module

import numpy as np
import pytest
from scipy.stats import mannwhitneyu

from allocphase.stats import Verdict
from tests.support.paired import compare
from tests.support.rivals import mann_whitney, pytest_benchmark


@pytest.mark.parametrize(
    ("candidate", "verdict"),
    [(104.9, Verdict.UNCHANGED), (105.1, Verdict.REGRESSED), (50.0, Verdict.UNCHANGED)],
)
def test_the_point_threshold_looks_at_the_medians_only(candidate: float, verdict: Verdict) -> None:
    assert pytest_benchmark([100.0, 100.0, 900.0], [candidate, 1.0, 900.0]) is verdict


def test_the_point_threshold_agrees_with_pytest_benchmarks_own_check() -> None:
    check = import_module("pytest_benchmark.utils").PercentageRegressionCheck("median", 5.0)
    rng = np.random.default_rng(1)
    verdicts = []
    for _ in range(200):
        old, new = rng.lognormal(0.0, 0.1, (2, 9))
        fails = check.fails({"median": np.median(new)}, {"median": np.median(old)})
        verdicts.append(pytest_benchmark(old, new))
        assert (verdicts[-1] is Verdict.REGRESSED) == bool(fails)
    assert {Verdict.REGRESSED, Verdict.UNCHANGED} == set(verdicts)


def test_the_rank_rule_is_scipys_two_sided_test_with_its_direction() -> None:
    rng = np.random.default_rng(2)
    seen = set()
    for shift in np.tile([0.9, 1.0, 1.1], 40):
        old, new = rng.lognormal(0.0, 0.08, (2, 10))
        new *= shift
        verdict = mann_whitney(old, new)
        significant = mannwhitneyu(old, new, method="exact").pvalue < 0.05
        assert (verdict is not Verdict.INCONCLUSIVE) == significant
        if significant:
            assert (verdict is Verdict.REGRESSED) == (np.mean(new) > np.mean(old))
        seen.add(verdict)
    assert seen == {Verdict.REGRESSED, Verdict.IMPROVED, Verdict.INCONCLUSIVE}


@pytest.mark.parametrize("tied", [False, True])
def test_the_distribution_is_exact_up_to_fifty_values_without_ties(tied: bool) -> None:
    old, new = np.random.default_rng(4).normal([[0.0], [0.5]], 1.0, (2, 12)).round(1 if tied else 9)
    assert (np.unique([old, new]).size < 24) == tied
    exact, normal = (
        float(mannwhitneyu(new, old, method=method).pvalue) for method in ("exact", "asymptotic")
    )
    between = (exact + normal) / 2
    used = normal if tied else exact
    significant = mann_whitney(old, new, alpha=between) is not Verdict.INCONCLUSIVE
    assert exact != normal
    assert significant == (used < between)


def test_ties_take_the_approximation_and_equal_values_say_nothing() -> None:
    old, new = [1.0, 1.0, 2.0, 2.0, 3.0, 3.0] * 3, [2.0, 3.0, 3.0, 4.0, 4.0, 4.0] * 3
    assert mannwhitneyu(old, new, method="asymptotic").pvalue < 0.05
    assert mann_whitney(old, new) is Verdict.REGRESSED
    assert mann_whitney([5.0] * 9, [5.0] * 9) is Verdict.INCONCLUSIVE


def test_missing_values_are_dropped_from_each_arm_and_an_empty_arm_is_refused() -> None:
    assert pytest_benchmark([1.0, math.nan], [math.nan, 1.2]) is Verdict.REGRESSED
    for rule in (pytest_benchmark, mann_whitney):
        with pytest.raises(ValueError, match="without a single value"):
            rule([math.nan], [1.0])


def test_on_drifting_copies_the_rivals_cry_wolf_and_the_paired_rule_does_not() -> None:
    rng, sessions, rounds = np.random.default_rng(3), 300, 20
    alarms = {"points": 0, "ranks": 0, "paired": 0}
    for _ in range(sessions):
        # The second half of the session is slower, and one arm ran mostly there: what blocks
        # of runs give. The paired rule sees the same noise, measured round by round.
        drift = np.where(np.arange(rounds) < rounds / 2, 1.0, 1.06)
        noise = np.exp(rng.normal(0.0, 0.02, (2, rounds)))
        base, candidate = drift * noise[0], drift * noise[1]
        early, late = base[: rounds // 2], candidate[rounds // 2 :]
        alarms["points"] += pytest_benchmark(early, late) is Verdict.REGRESSED
        alarms["ranks"] += mann_whitney(early, late) is Verdict.REGRESSED
        alarms["paired"] += compare(base, candidate).verdict is Verdict.REGRESSED
    assert alarms["paired"] == 0
    assert alarms["points"] > sessions / 4
    assert alarms["ranks"] > sessions / 4
