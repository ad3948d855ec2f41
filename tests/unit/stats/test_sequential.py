"""The sequential rule: exact boundaries, bounded errors at every look, enough power."""

from __future__ import annotations

import itertools
import math
from statistics import NormalDist
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocphase.stats import Decision, Interval, SequentialRank, Verdict, judge_interval
from allocphase.stats.boundary import rank_boundary

FloatArray = npt.NDArray[np.float64]
SESSIONS = 4000


def exceedance(effect: float, *, theta: float, sd: float) -> float:
    """P(log ratio > log(1 + theta)) of a normal log ratio with that median and spread."""
    return NormalDist().cdf((math.log1p(effect) - math.log1p(theta)) / sd)


def signs(**changes: Any) -> SequentialRank:
    """The rule for a candidate beside its baseline alone."""
    return SequentialRank(others=1, **changes)


def coin(p: float) -> tuple[float, float]:
    """The chances of a sign's two scores."""
    return 1.0 - p, p


def three_arms(
    sessions: int, *, effect: float = 0.0, sd: float = 0.01, rounds: int = 40, seed: int = 0
) -> FloatArray:
    """Log ratios to baseline and twin, shape (sessions, rounds, 2), of normal arms.

    sd: of the log ratio of two arms.
    """
    arms = np.random.default_rng(seed).normal(0.0, sd / math.sqrt(2), (sessions, rounds, 3))
    return np.asarray(arms[..., :1] + math.log1p(effect) - arms[..., 1:])


def reaches(boundary: tuple[int, ...], scores: npt.NDArray[Any]) -> npt.NDArray[np.bool_]:
    """Which sequences (last axis: rounds) meet the boundary at any look."""
    hits = np.cumsum(scores, axis=-1) >= np.array(boundary)
    return np.asarray(hits.any(axis=-1), dtype=np.bool_)


def sequences(arms: int, rounds: int) -> npt.NDArray[np.int64]:
    """All that are equally likely, shape (arms^rounds, rounds)."""
    return np.array(list(itertools.product(range(arms), repeat=rounds)))


@pytest.mark.parametrize(("arms", "n"), [(2, 12), (3, 8)])
@pytest.mark.parametrize("alpha", [0.3, 0.05, 0.01])
def test_the_boundary_spends_its_error_by_enumeration_of_all_sequences(
    arms: int, n: int, alpha: float
) -> None:
    scores = sequences(arms, n)
    crossed = np.cumsum(scores, axis=1) >= np.array(rank_boundary(arms, n, alpha))
    by_round = np.logical_or.accumulate(crossed, axis=1).mean(axis=0)
    assert (by_round <= alpha * np.arange(1, n + 1) / n).all()
    assert by_round[-1] > alpha / 2


@pytest.mark.parametrize(("arms", "rounds"), [(2, 12), (3, 8)])
@pytest.mark.parametrize("alpha", [0.05, 0.01, 0.001])
def test_no_lower_sum_would_keep_the_error(arms: int, rounds: int, alpha: float) -> None:
    boundary, scores = rank_boundary(arms, rounds, alpha), sequences(arms, rounds)
    for n in range(1, rounds + 1):
        eager = (*boundary[: n - 1], boundary[n - 1] - 1)
        assert reaches(eager, scores[:, :n]).mean() > alpha * n / rounds
        assert 2 * boundary[n - 1] > n * (arms - 1)


def test_the_chances_are_those_of_the_enumerated_sequences() -> None:
    rule, p = signs(max_rounds=12, alpha=0.05, pass_error=0.1), 0.7
    total = dict.fromkeys(Decision, 0.0)
    rounds = 0.0
    for ratios in itertools.product([1.0, -1.0], repeat=12):
        weight = math.prod(p if ratio > 0 else 1 - p for ratio in ratios)
        outcome = rule.decide(ratios)
        total[outcome.decision] += weight
        rounds += weight * outcome.rounds
    chances = rule.chances(coin(p))
    assert chances.regressed == pytest.approx(total[Decision.REGRESSED])
    assert chances.not_regressed == pytest.approx(total[Decision.NOT_REGRESSED])
    assert chances.undecided == pytest.approx(total[Decision.UNDECIDED])
    assert chances.mean_rounds == pytest.approx(rounds)
    assert total[Decision.CONTINUE] == 0.0


@pytest.mark.parametrize("others", [1, 2])
@pytest.mark.parametrize("rows", [1, 10, 50])
def test_an_effect_of_exactly_theta_is_flagged_at_most_at_alpha_and_passed_at_most_at_its_error(
    rows: int, others: int
) -> None:
    rule = SequentialRank(rows=rows, others=others)
    at_theta = rule.chances([1 / (others + 1)] * (others + 1))
    assert 0.5 * rule.alpha / rows < at_theta.regressed <= rule.alpha / rows
    assert 0.5 * rule.pass_error < at_theta.not_regressed <= rule.pass_error


def test_the_error_holds_when_each_round_depends_on_the_past_but_stays_fair_at_worst() -> None:
    rng, boundary = np.random.default_rng(11), signs(alpha=0.05).up
    scores = np.zeros((SESSIONS, 40), dtype=bool)
    for n in range(40):
        lucky = scores[:, :n].sum(axis=1) >= n / 2
        scores[:, n] = rng.random(SESSIONS) < np.where(lucky, 0.5, 0.4)
    assert reaches(boundary, scores).mean() <= 0.05


@pytest.mark.parametrize("sd", [0.005, 0.01, 0.02])
def test_five_percent_is_found_and_one_percent_is_not_at_the_default_theta(sd: float) -> None:
    rule = signs()
    worse = rule.chances(coin(exceedance(0.05, theta=0.02, sd=sd)))
    assert worse.regressed > 0.999
    assert worse.mean_rounds < 15
    assert rule.chances(coin(exceedance(0.01, theta=0.02, sd=sd))).regressed < 1e-4
    same = rule.chances(coin(exceedance(0.0, theta=0.02, sd=sd)))
    assert same.regressed < 1e-6
    assert same.not_regressed > 0.99


def test_three_percent_is_found_at_a_theta_of_one() -> None:
    rule = signs(theta=0.01)
    assert rule.chances(coin(exceedance(0.03, theta=0.01, sd=0.02))).regressed > 0.975
    assert rule.chances(coin(exceedance(0.0, theta=0.01, sd=0.02))).regressed < 1e-4


def test_fifty_rows_still_find_five_percent_in_nearly_every_session() -> None:
    rule = signs(rows=50)
    assert rule.chances(coin(exceedance(0.05, theta=0.02, sd=0.02))).regressed > 0.99


def test_decisions_on_skewed_sessions_are_as_frequent_as_the_exact_chances() -> None:
    rng, rule = np.random.default_rng(12), signs(alpha=0.05)
    noise = np.expm1(rng.normal(0.3, 1.0, (1000, 40))) / 100  # above 0 with probability Phi(0.3)
    outcomes = [rule.decide(math.log1p(0.02) + x) for x in noise]
    expected = rule.chances(coin(NormalDist().cdf(0.3)))
    for decision, chance in (
        (Decision.REGRESSED, expected.regressed),
        (Decision.NOT_REGRESSED, expected.not_regressed),
        (Decision.UNDECIDED, expected.undecided),
    ):
        share = np.mean([outcome.decision is decision for outcome in outcomes])
        assert share == pytest.approx(chance, abs=4 * math.sqrt(0.25 / 1000))
    assert np.mean([o.rounds for o in outcomes]) == pytest.approx(expected.mean_rounds, rel=0.05)


@pytest.mark.parametrize("others", [1, 2])
@pytest.mark.parametrize("skew", [False, True])
def test_the_interval_covers_the_true_ratio_at_all_looks_together(skew: bool, others: int) -> None:
    rng, rule, sessions = np.random.default_rng(13), SequentialRank(others=others), 400
    noise = rng.normal(0.0, 1.0, (sessions, 40, others + 1))
    arms = np.expm1(noise) if skew else noise
    missed = 0
    for x in arms[..., :1] - arms[..., 1:]:
        intervals = [rule.interval(x[:n]) for n in range(1, 41)]
        missed += any(not i.lower <= 0.0 <= i.upper for i in intervals)
    nominal = 1.0 - intervals[0].confidence
    assert nominal == pytest.approx(0.05)
    assert missed / sessions <= nominal + 3 * math.sqrt(nominal / sessions)
    assert missed / sessions > nominal / 4


grid = st.lists(st.integers(-60, 60).map(lambda k: k / 1000), max_size=40)


@given(grid)
@settings(deadline=None)
def test_a_decision_is_never_taken_back(log_ratios: list[float]) -> None:
    rule = signs(alpha=0.1)
    outcomes = [rule.decide(log_ratios[:n]) for n in range(len(log_ratios) + 1)]
    stop = outcomes[-1].rounds
    assert all(o.decision is Decision.CONTINUE for o in outcomes[:stop])
    assert all(o == outcomes[stop] for o in outcomes[stop:])


@given(grid)
@settings(deadline=None)
def test_a_row_that_regressed_has_not_improved_whatever_follows(log_ratios: list[float]) -> None:
    rule = signs(alpha=0.1, better_error=0.1, theta=0.01)
    if rule.decide(log_ratios).decision is Decision.REGRESSED:
        assert not rule.improved(log_ratios)


@given(grid)
@settings(deadline=None)
def test_swapping_the_arms_mirrors_the_interval(log_ratios: list[float]) -> None:
    rule, x = signs(), np.array(log_ratios)
    ahead, back = rule.interval(x), rule.interval(-x)
    assert (ahead.lower, ahead.upper) == (-back.upper, -back.lower)


def test_a_missing_pair_is_no_round() -> None:
    rng, rule = np.random.default_rng(14), signs()
    x = rng.normal(math.log(1.05), 0.01, 30)
    assert rule.decide(np.insert(x, [0, 4, 9], math.nan)) == rule.decide(x)


def test_before_any_round_and_after_the_last_it_says_where_it_stands() -> None:
    rule = signs(max_rounds=20)
    nothing = rule.decide([])
    assert (nothing.decision, nothing.rounds) == (Decision.CONTINUE, 0)
    assert not nothing.decided
    assert not nothing.ratio.bounded
    undecided = rule.decide(np.resize([0.1, -0.1], 20))
    assert undecided.decision is Decision.UNDECIDED
    assert undecided.decided


def test_rounds_at_exactly_theta_decide_nothing() -> None:
    assert signs().decide(np.full(40, math.log1p(0.02))).decision is Decision.UNDECIDED


@pytest.mark.parametrize("ratio", [0.95, 1.0, 1.01])
def test_whatever_lies_below_theta_passes(ratio: float) -> None:
    assert signs().decide(np.full(40, math.log(ratio))).decision is Decision.NOT_REGRESSED


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
    rule, x = SequentialRank(), np.full((40, 2), math.log(0.9))
    outcome = rule.decide(x)
    assert outcome.decision is Decision.NOT_REGRESSED
    assert outcome.rounds == next(n for n, sum_ in enumerate(rule.down, 1) if sum_ <= 2 * n)
    assert not rule.improved(x[: outcome.rounds])
    assert rule.may_improve(x[: outcome.rounds])
    assert rule.improved(x)
    assert not rule.may_improve(x)


def test_what_is_no_better_than_the_limit_once_will_not_be_waited_for() -> None:
    x = np.full((8, 2), math.log(0.9))
    x[3, 1] = 0.0
    assert not SequentialRank().may_improve(x)


def test_improved_has_the_error_of_both_sessions_together() -> None:
    """At exactly 1 / (1 + theta): 5e-4 of sessions, so 10 of 20,000; above 25 by 1 in 30,000."""
    rule = SequentialRank()
    scores = np.random.default_rng(3).integers(0, 3, (20_000, 40))
    found = sum(rule.improved(_ratios(-(2 - one) + 1)) for one in scores[:2000])
    assert found <= 6
    boundary = rank_boundary(3, 40, rule.better_error)
    assert reaches(boundary, scores).sum() <= 25


def _ratios(lead: npt.NDArray[np.int64]) -> FloatArray:
    """Ratios that give each round the score lead + 1, from -1 to 1, against 1 / 1.02."""
    bound, far = -math.log1p(0.02), 0.01
    sides = np.stack([np.where(lead > -1, far, -far), np.where(lead > 0, far, -far)], axis=1)
    return np.asarray(bound + sides)


# ---- Three arms --------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", ["normal", "heavy", "skewed", "drifting"])
def test_the_error_holds_for_arms_that_differ_by_exactly_theta_whatever_their_noise(
    shape: str,
) -> None:
    rng, rule = np.random.default_rng(20), SequentialRank(alpha=0.05)
    noise = {
        "normal": lambda: rng.normal(0.0, 0.02, (SESSIONS, 40, 3)),
        "heavy": lambda: 0.01 * rng.standard_cauchy((SESSIONS, 40, 3)),
        "skewed": lambda: 0.02 * rng.exponential(1.0, (SESSIONS, 40, 3)),
        "drifting": lambda: (
            rng.normal(0.0, 0.02, (SESSIONS, 40, 3)) + np.linspace(0, 1, 40)[:, None]
        ),
    }[shape]()
    x = noise[..., :1] + math.log1p(rule.theta) - noise[..., 1:]
    up = (x > math.log1p(rule.theta)).sum(axis=2)
    flagged, passed = reaches(rule.up, up).mean(), reaches(rule.down, 2 - up).mean()
    assert flagged <= 0.05 + 3 * math.sqrt(0.05 / SESSIONS)
    assert flagged > 0.02
    assert passed <= 0.05 + 3 * math.sqrt(0.05 / SESSIONS)


def test_the_twin_saves_a_quarter_of_the_rounds_and_more() -> None:
    x = three_arms(300, effect=0.05, sd=0.02)
    with_twin = [SequentialRank().decide(one) for one in x]
    alone = [signs().decide(one[:, 0]) for one in x]
    assert all(one.decision is Decision.REGRESSED for one in with_twin)
    mean = [float(np.mean([one.rounds for one in found])) for found in (with_twin, alone)]
    assert mean[0] < 0.75 * mean[1]


@pytest.mark.parametrize(("times", "level"), [(1.5, 0.016), (2.0, 0.021), (3.0, 0.028)])
def test_a_candidate_that_varies_more_is_flagged_as_often_as_the_module_says(
    times: float, level: float
) -> None:
    rule, sessions = SequentialRank(), 20_000
    arms = np.random.default_rng(21).normal(0.0, 0.01, (sessions, 40, 3))
    lead = times * arms[..., :1] - arms[..., 1:]
    found = float(reaches(rule.up, (lead > 0.0).sum(axis=2)).mean())
    assert found == pytest.approx(level, abs=4 * math.sqrt(level / sessions))


def test_a_round_without_one_of_its_arms_is_none() -> None:
    x = three_arms(1, effect=0.05)[0]
    gap = np.insert(x, [0, 4], [[math.nan, 0.1], [0.1, math.nan]], axis=0)[:40]
    assert SequentialRank().decide(gap).decision is SequentialRank().decide(x).decision


def test_counts_that_are_equal_in_all_arms_say_nothing_and_one_more_is_worse() -> None:
    """3 processes of 4 make one call more than the baseline's always do."""
    rule = SequentialRank(theta=0.0, rows=50)
    more = math.log(3 / 2)
    x = np.tile([[more] * 2, [more] * 2, [0.0] * 2, [more] * 2], (10, 1))
    assert rule.decide(x).decision is Decision.REGRESSED
    assert rule.decide(np.zeros((40, 2))).decision is Decision.UNDECIDED


def test_a_count_that_was_nothing_has_an_infinite_ratio_and_an_interval() -> None:
    x = np.full((20, 2), math.inf)
    found = SequentialRank().decide(x)
    assert found.decision is Decision.REGRESSED
    assert found.ratio.estimate == math.inf
    mixed = np.vstack([np.zeros((20, 2)), x])
    assert SequentialRank().interval(mixed).estimate == 0.0


def test_a_budget_that_cannot_reach_the_boundary_says_so() -> None:
    assert signs(max_rounds=6).least_rounds is None
    assert SequentialRank(max_rounds=4).least_rounds is None
    assert SequentialRank().least_rounds == 6
    assert signs().least_rounds == 9
    assert SequentialRank(rows=50).least_rounds is not None


def test_more_pairs_than_the_budget_are_refused() -> None:
    with pytest.raises(ValueError, match="41 rounds"):
        signs().decide(np.zeros(41))


@pytest.mark.parametrize(
    "make",
    [
        lambda: signs(better_error=1.0),
        lambda: signs(alpha=0.0),
        lambda: signs(alpha=0.5),
        lambda: signs(alpha=2.0, rows=5),
        lambda: signs(pass_error=0.0),
        lambda: signs(theta=-0.1),
        lambda: signs(max_rounds=0),
        lambda: signs(rows=0),
        lambda: rank_boundary(2, 0, 0.1),
        lambda: rank_boundary(1, 4, 0.1),
    ],
)
def test_a_rule_without_meaning_is_refused(make: object) -> None:
    assert callable(make)
    with pytest.raises(ValueError, match=r"between|theta|1 or more|at least one"):
        make()
