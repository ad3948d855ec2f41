"""The sequential rule: exact boundaries, bounded errors at every look, enough power."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocphase.stats import Decision, Interval, SequentialSign, Verdict, judge_interval
from allocphase.stats.boundary import sign_boundary

FloatArray = npt.NDArray[np.float64]
SESSIONS = 4000


def exceedance(effect: float, *, theta: float, sd: float) -> float:
    """P(log ratio > log(1 + theta)) of a normal log ratio with that median and spread."""
    return NormalDist().cdf((math.log1p(effect) - math.log1p(theta)) / sd)


def reaches(boundary: tuple[int, ...], signs: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Which sequences (last axis: rounds) meet the boundary at any look."""
    hits = np.cumsum(signs, axis=-1) >= np.array(boundary)
    return np.asarray(hits.any(axis=-1), dtype=np.bool_)


@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.01])
def test_the_boundary_spends_its_error_by_enumeration_of_all_sequences(alpha: float) -> None:
    n = 12
    signs = np.array(list(itertools.product([False, True], repeat=n)))
    crossed = np.cumsum(signs, axis=1) >= np.array(sign_boundary(n, alpha))
    by_round = np.logical_or.accumulate(crossed, axis=1).mean(axis=0)
    assert (by_round <= alpha * np.arange(1, n + 1) / n).all()
    assert by_round[-1] > alpha / 2


@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_no_lower_count_would_keep_the_error(alpha: float) -> None:
    boundary = sign_boundary(12, alpha)
    signs = np.array(list(itertools.product([False, True], repeat=12)))
    for n in range(1, 13):
        eager = (*boundary[: n - 1], boundary[n - 1] - 1)
        spent = reaches(eager, signs[:, :n]).mean()
        assert spent > alpha * n / 12
        assert 2 * boundary[n - 1] > n


def test_the_chances_are_those_of_the_enumerated_sequences() -> None:
    rule, p = SequentialSign(max_rounds=12, alpha=0.05, pass_error=0.1), 0.7
    total = dict.fromkeys(Decision, 0.0)
    rounds = 0.0
    for signs in itertools.product([1.0, -1.0], repeat=12):
        weight = math.prod(p if sign > 0 else 1 - p for sign in signs)
        outcome = rule.decide(signs)
        total[outcome.decision] += weight
        rounds += weight * outcome.pairs
    chances = rule.chances(p)
    assert chances.regressed == pytest.approx(total[Decision.REGRESSED])
    assert chances.not_regressed == pytest.approx(total[Decision.NOT_REGRESSED])
    assert chances.undecided == pytest.approx(total[Decision.UNDECIDED])
    assert chances.mean_rounds == pytest.approx(rounds)
    assert total[Decision.CONTINUE] == 0.0


@pytest.mark.parametrize("rows", [1, 10, 50])
def test_an_effect_of_exactly_theta_is_flagged_at_most_at_alpha_and_passed_at_most_at_its_error(
    rows: int,
) -> None:
    rule = SequentialSign(rows=rows)
    at_theta = rule.chances(0.5)
    assert 0.5 * rule.alpha / rows < at_theta.regressed <= rule.alpha / rows
    assert 0.5 * rule.pass_error < at_theta.not_regressed <= rule.pass_error


def test_the_error_holds_when_each_round_depends_on_the_past_but_stays_fair_at_worst() -> None:
    rng, boundary = np.random.default_rng(11), SequentialSign(alpha=0.05).up
    signs = np.zeros((SESSIONS, 40), dtype=bool)
    for n in range(40):
        lucky = signs[:, :n].sum(axis=1) >= n / 2
        signs[:, n] = rng.random(SESSIONS) < np.where(lucky, 0.5, 0.4)
    assert reaches(boundary, signs).mean() <= 0.05


@pytest.mark.parametrize("sd", [0.005, 0.01, 0.02])
def test_five_percent_is_found_and_one_percent_is_not_at_the_default_theta(sd: float) -> None:
    rule = SequentialSign()
    worse = rule.chances(exceedance(0.05, theta=0.02, sd=sd))
    assert worse.regressed > 0.999
    assert worse.mean_rounds < 15
    assert rule.chances(exceedance(0.01, theta=0.02, sd=sd)).regressed < 1e-4
    same = rule.chances(exceedance(0.0, theta=0.02, sd=sd))
    assert same.regressed < 1e-6
    assert same.not_regressed > 0.99


def test_three_percent_is_found_at_a_theta_of_one() -> None:
    rule = SequentialSign(theta=0.01)
    assert rule.chances(exceedance(0.03, theta=0.01, sd=0.02)).regressed > 0.975
    assert rule.chances(exceedance(0.0, theta=0.01, sd=0.02)).regressed < 1e-4


def test_fifty_rows_still_find_five_percent_in_nearly_every_session() -> None:
    rule = SequentialSign(rows=50)
    assert rule.chances(exceedance(0.05, theta=0.02, sd=0.02)).regressed > 0.99


def test_decisions_on_skewed_sessions_are_as_frequent_as_the_exact_chances() -> None:
    rng, rule = np.random.default_rng(12), SequentialSign(alpha=0.05)
    noise = np.expm1(rng.normal(0.3, 1.0, (1000, 40))) / 100  # above 0 with probability Phi(0.3)
    outcomes = [rule.decide(math.log1p(0.02) + x) for x in noise]
    expected = rule.chances(NormalDist().cdf(0.3))
    for decision, chance in (
        (Decision.REGRESSED, expected.regressed),
        (Decision.NOT_REGRESSED, expected.not_regressed),
        (Decision.UNDECIDED, expected.undecided),
    ):
        share = np.mean([outcome.decision is decision for outcome in outcomes])
        assert share == pytest.approx(chance, abs=4 * math.sqrt(0.25 / 1000))
    assert np.mean([o.pairs for o in outcomes]) == pytest.approx(expected.mean_rounds, rel=0.05)


@pytest.mark.parametrize("skew", [False, True])
def test_the_interval_covers_the_true_median_at_all_looks_together(skew: bool) -> None:
    rng, rule, sessions = np.random.default_rng(13), SequentialSign(alpha=0.05), 500
    noise = rng.normal(0.0, 1.0, (sessions, 40))
    log_ratio = np.expm1(noise) if skew else noise
    missed = 0
    for x in log_ratio:
        intervals = [rule.interval(x[:n]) for n in range(1, 41)]
        missed += any(not i.lower <= 0.0 <= i.upper for i in intervals)
    nominal = 1.0 - rule.interval(log_ratio[0]).confidence
    assert nominal == pytest.approx(0.1)
    assert missed / sessions <= nominal + 3 * math.sqrt(nominal / sessions)
    assert missed / sessions > nominal / 3


grid = st.lists(st.integers(-60, 60).map(lambda k: k / 1000), max_size=40)


@given(grid)
@settings(deadline=None)
def test_a_decision_is_never_taken_back(log_ratios: list[float]) -> None:
    rule = SequentialSign(alpha=0.1)
    outcomes = [rule.decide(log_ratios[:n]) for n in range(len(log_ratios) + 1)]
    stop = outcomes[-1].pairs
    assert all(o.decision is Decision.CONTINUE for o in outcomes[:stop])
    assert all(o == outcomes[stop] for o in outcomes[stop:])


@given(grid)
@settings(deadline=None)
def test_the_verdict_is_regressed_if_and_only_if_the_decision_is(log_ratios: list[float]) -> None:
    outcome = SequentialSign(alpha=0.1, theta=0.01).decide(log_ratios)
    regressed = outcome.decision is Decision.REGRESSED
    assert (outcome.verdict is Verdict.REGRESSED) == regressed


@given(grid)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_the_verdict(log_ratios: list[float]) -> None:
    rule, x = SequentialSign(alpha=0.1, theta=0.01), np.array(log_ratios)
    mirror = {Verdict.REGRESSED: Verdict.IMPROVED, Verdict.IMPROVED: Verdict.REGRESSED}
    assert rule.verdict(-x) is mirror.get(rule.verdict(x), rule.verdict(x))


def test_a_missing_pair_is_no_round() -> None:
    rng, rule = np.random.default_rng(14), SequentialSign()
    x = rng.normal(math.log(1.05), 0.01, 30)
    assert rule.decide(np.insert(x, [0, 4, 9], math.nan)) == rule.decide(x)


def test_before_any_round_and_after_the_last_it_says_where_it_stands() -> None:
    rule = SequentialSign(max_rounds=20)
    nothing = rule.decide([])
    assert (nothing.decision, nothing.pairs) == (Decision.CONTINUE, 0)
    assert not nothing.decided
    assert not nothing.ratio.bounded
    undecided = rule.decide(np.resize([0.1, -0.1], 20))
    assert undecided.decision is Decision.UNDECIDED
    assert undecided.decided
    assert undecided.verdict is Verdict.INCONCLUSIVE


def test_rounds_at_exactly_theta_decide_nothing() -> None:
    assert SequentialSign().decide(np.full(40, math.log1p(0.02))).decision is Decision.UNDECIDED


@pytest.mark.parametrize("ratio", [0.95, 1.0, 1.01])
def test_whatever_lies_below_theta_passes(ratio: float) -> None:
    assert SequentialSign().decide(np.full(40, math.log(ratio))).decision is Decision.NOT_REGRESSED


@pytest.mark.parametrize(
    ("lower", "upper", "verdict"),
    [
        (0.021, 0.03, Verdict.REGRESSED),
        (-0.03, -0.021, Verdict.IMPROVED),
        (-0.03, -0.015, Verdict.INCONCLUSIVE),
        (0.015, 0.03, Verdict.INCONCLUSIVE),
        (-0.015, 0.015, Verdict.UNCHANGED),
        (-math.inf, math.inf, Verdict.INCONCLUSIVE),
    ],
)
def test_an_interval_alone_gives_each_verdict(lower: float, upper: float, verdict: Verdict) -> None:
    assert judge_interval(Interval(0.0, lower, upper, 0.95), 0.02) is verdict


def test_a_clear_improvement_passes_and_more_rounds_name_it() -> None:
    rule, x = SequentialSign(), np.full(40, math.log(0.9))
    outcome = rule.decide(x)
    assert outcome.decision is Decision.NOT_REGRESSED
    assert outcome.pairs == next(n for n, count in enumerate(rule.down, 1) if count <= n)
    assert rule.verdict(x) is Verdict.IMPROVED


def test_a_budget_that_cannot_reach_the_boundary_says_so() -> None:
    short = SequentialSign(max_rounds=6)
    assert not short.can_regress
    assert short.min_detectable_ratio([0.0] * 6) == math.inf
    assert SequentialSign(max_rounds=40, rows=50).can_regress


def test_the_least_detectable_ratio_has_the_stated_power() -> None:
    rng, rule = np.random.default_rng(15), SequentialSign()
    x = rng.normal(0.0, 0.01, 400)
    least = rule.min_detectable_ratio(x[:40])
    assert 1.02 < least < 1.03
    assert rule.min_detectable_ratio(x[:40], power=0.99) > least
    assert rule.min_detectable_ratio(2 * x[:40]) > least
    residuals = x[:40] - np.median(x[:40])
    share = float(np.mean(residuals + math.log(least) + 1e-9 > math.log1p(0.02)))
    assert rule.chances(share).regressed >= 0.8
    assert rule.chances(share - 2 / 40).regressed < 0.8


def test_more_pairs_than_the_budget_are_refused() -> None:
    with pytest.raises(ValueError, match="41 pairs"):
        SequentialSign().decide(np.zeros(41))


@pytest.mark.parametrize(
    "make",
    [
        lambda: SequentialSign(alpha=0.0),
        lambda: SequentialSign(alpha=0.5),
        lambda: SequentialSign(alpha=2.0, rows=5),
        lambda: SequentialSign(pass_error=0.0),
        lambda: SequentialSign(theta=-0.1),
        lambda: SequentialSign(max_rounds=0),
        lambda: SequentialSign(rows=0),
        lambda: sign_boundary(0, 0.1),
    ],
)
def test_a_rule_without_meaning_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"between|theta|1 or more|at least one"):
        make()
