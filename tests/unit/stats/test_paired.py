"""The paired comparison: verdicts, error rates, and what must not change them."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from allocphase.stats import (
    Row,
    Verdict,
    compare_rows,
    log_ratios,
    median_interval,
    paired_intervals,
)
from tests.support.paired import compare

FloatArray = npt.NDArray[np.float64]
MIRROR = {
    Verdict.REGRESSED: Verdict.IMPROVED,
    Verdict.IMPROVED: Verdict.REGRESSED,
    Verdict.UNCHANGED: Verdict.UNCHANGED,
    Verdict.INCONCLUSIVE: Verdict.INCONCLUSIVE,
}


def arms(
    ratio: float, *, sd: float, rounds: int = 20, seed: int = 0
) -> tuple[FloatArray, FloatArray]:
    """Two arms under a strong common drift, with the given true median ratio."""
    rng = np.random.default_rng(seed)
    base = 50.0 * rng.lognormal(0.0, 0.2, rounds)
    return base, base * ratio * np.exp(rng.normal(0.0, sd, rounds))


@pytest.mark.parametrize(
    ("ratio", "sd", "verdict"),
    [
        (1.05, 0.01, Verdict.REGRESSED),
        (1 / 1.05, 0.01, Verdict.IMPROVED),
        (1.0, 0.005, Verdict.UNCHANGED),
        (1.01, 0.002, Verdict.UNCHANGED),
        (1.02, 0.01, Verdict.INCONCLUSIVE),
        (1.0, 0.1, Verdict.INCONCLUSIVE),
    ],
)
def test_each_verdict_has_its_case(ratio: float, sd: float, verdict: Verdict) -> None:
    base, candidate = arms(ratio, sd=sd)
    comparison = compare(base, candidate)
    assert comparison.verdict is verdict
    assert comparison.ratio.lower <= ratio <= comparison.ratio.upper


def test_a_pair_with_a_missing_side_is_dropped_and_counted() -> None:
    base, candidate = arms(1.05, sd=0.01)
    base[3], candidate[[3, 7]] = math.nan, math.nan
    comparison = compare(base, candidate)
    kept = np.delete(np.arange(20), [3, 7])
    assert (comparison.pairs, comparison.dropped) == (18, 2)
    assert comparison.ratio == compare(base[kept], candidate[kept]).ratio
    assert comparison.ratio.estimate == pytest.approx(np.median(candidate[kept] / base[kept]))


def test_without_pairs_nothing_is_claimed() -> None:
    comparison = compare([math.nan, 1.0], [1.0, math.nan])
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.p_regressed == comparison.p_improved == 1.0
    assert comparison.min_detectable_ratio == math.inf
    assert not comparison.ratio.bounded


def test_too_few_rounds_claim_nothing_and_say_that_they_could_not() -> None:
    comparison = compare([1.0] * 5, [1.5] * 5)
    assert comparison.verdict is Verdict.INCONCLUSIVE
    assert comparison.min_detectable_ratio == math.inf
    assert not comparison.ratio.bounded
    assert compare([1.0] * 6, [1.5] * 6).verdict is Verdict.REGRESSED


@pytest.mark.parametrize(
    ("base", "candidate"),
    [([1.0, 2.0], [1.0]), ([0.0], [1.0]), ([1.0], [-1.0]), ([1.0], [math.inf]), ([[1.0]], [[1.0]])],
)
def test_values_that_are_no_pairs_of_times_are_refused(
    base: list[float], candidate: list[float]
) -> None:
    with pytest.raises(ValueError, match=r"one value a round|positive and finite"):
        log_ratios(base, candidate)


@pytest.mark.parametrize("theta", [-0.01, math.nan, math.inf])
def test_a_theta_that_is_no_share_is_refused(theta: float) -> None:
    with pytest.raises(ValueError, match="theta"):
        compare([1.0], [1.0], theta=theta)


paired_rounds = st.lists(
    st.tuples(st.integers(900, 1100), st.integers(900, 1100)), min_size=1, max_size=30
)


@given(paired_rounds, st.sampled_from([0.0, 0.02, 0.05]))
@settings(deadline=None)
def test_swapping_the_arms_mirrors_everything(pairs: list[tuple[int, int]], theta: float) -> None:
    base, candidate = np.array(pairs, dtype=float).T
    forth = compare(base, candidate, theta=theta)
    back = compare(candidate, base, theta=theta)
    assert back.verdict is MIRROR[forth.verdict]
    assert (back.p_regressed, back.p_improved) == (forth.p_improved, forth.p_regressed)
    assert back.ratio.estimate == pytest.approx(1 / forth.ratio.estimate)
    if forth.ratio.bounded:
        assert back.ratio.lower == pytest.approx(1 / forth.ratio.upper)
        assert back.ratio.upper == pytest.approx(1 / forth.ratio.lower)


@given(paired_rounds, st.floats(1e-9, 1e9))
@settings(deadline=None)
def test_the_unit_of_the_values_does_not_matter(
    pairs: list[tuple[int, int]], factor: float
) -> None:
    base, candidate = np.array(pairs, dtype=float).T
    before, after = compare(base, candidate), compare(base * factor, candidate * factor)
    assert after.verdict is before.verdict
    assert after.p_regressed == before.p_regressed
    assert after.ratio.estimate == pytest.approx(before.ratio.estimate)


def test_the_order_of_the_rounds_does_not_matter() -> None:
    base, candidate = arms(1.03, sd=0.02)
    order = np.random.default_rng(5).permutation(20)
    assert compare(base[order], candidate[order]) == compare(base, candidate)


@pytest.mark.parametrize("skew", [False, True])
def test_an_effect_of_exactly_theta_is_flagged_at_most_at_the_nominal_rate(skew: bool) -> None:
    rng, sessions, alpha = np.random.default_rng(6), 3000, 0.05
    noise = rng.normal(0.0, 1.0, (sessions, 12))
    noise = np.expm1(noise) if skew else noise  # median 0 either way
    candidates = 1.02 * np.exp(0.01 * noise)
    found = [compare(np.ones(12), c, alpha=alpha).verdict for c in candidates]
    flagged = np.mean([verdict is Verdict.REGRESSED for verdict in found])
    exact = reference.binom.sf(9, 12, 0.5)  # 10 or more of 12: the size that signs can have
    assert exact <= alpha < reference.binom.sf(8, 12, 0.5)
    assert flagged == pytest.approx(exact, abs=4 * math.sqrt(exact / sessions))


def test_rows_together_keep_the_family_wise_error_where_rows_alone_do_not() -> None:
    rng, sessions, alpha = np.random.default_rng(7), 400, 0.05
    together = alone = 0
    for candidates in 1.02 * np.exp(rng.normal(0.0, 0.01, (sessions, 8, 13))):
        rows = [Row(np.ones(13), candidate) for candidate in candidates]
        together += any(c.p_regressed <= alpha for c in compare_rows(rows, alpha=alpha))
        alone += any(c.p_regressed <= alpha for r in rows for c in compare_rows([r], alpha=alpha))
    assert together / sessions <= alpha + 3 * math.sqrt(alpha / sessions)
    assert alone / sessions > alpha + 3 * math.sqrt(alpha / sessions)


def test_a_row_that_only_holm_held_back_is_not_called_unchanged() -> None:
    worse = Row(np.ones(8), np.full(8, 1.05))
    quiet = [Row(np.ones(8), np.resize([0.9, 1.1], 8)) for _ in range(20)]
    assert compare_rows([worse])[0].verdict is Verdict.REGRESSED
    assert compare_rows([worse, *quiet])[0].verdict is Verdict.INCONCLUSIVE


@pytest.mark.parametrize("alpha", [0.025, 0.1])
def test_the_interval_leaves_alpha_on_each_side_and_so_agrees_with_the_test(alpha: float) -> None:
    base, candidate = arms(1.03, sd=0.02)
    comparison = compare(base, candidate, alpha=alpha)
    expected = median_interval(np.log(candidate / base), confidence=1 - 2 * alpha)
    assert comparison.ratio.lower == pytest.approx(math.exp(expected.lower))
    assert comparison.ratio.confidence == expected.confidence
    side = comparison.ratio.lower - 1
    assert side > 0.001
    below, beyond = (
        compare(base, candidate, theta=theta, alpha=alpha) for theta in (side - 1e-6, side + 1e-6)
    )
    assert below.p_regressed <= alpha < beyond.p_regressed


def test_each_row_has_its_own_theta() -> None:
    base, candidate = arms(1.05, sd=0.005)
    tight, wide = compare_rows([Row(base, candidate, 0.02), Row(base, candidate, 0.10)])
    assert (tight.verdict, wide.verdict) == (Verdict.REGRESSED, Verdict.UNCHANGED)


def test_no_rows_are_no_comparisons() -> None:
    assert compare_rows([]) == []


def test_the_minimum_detectable_effect_is_detected_four_times_in_five() -> None:
    rng, sd, rounds, sessions = np.random.default_rng(8), 0.015, 40, 2000
    base, candidate = arms(1.0, sd=sd, rounds=rounds, seed=9)
    least = compare(base, candidate).min_detectable_ratio
    # Fresh sessions of that effect, their spread resampled from the rounds it was told from.
    residuals = log_ratios(base, candidate)
    residuals = residuals - np.median(residuals)
    drawn = rng.choice(residuals, (sessions, rounds)) + math.log(least) + 1e-9
    above = (drawn > math.log1p(0.02)).sum(axis=1)
    power = float(np.mean(reference.binom.sf(above - 1, rounds, 0.5) <= 0.025))
    assert 0.8 - 0.03 <= power <= 0.9
    assert 1.02 < least < 1.04


def test_more_rows_or_fewer_rounds_detect_less() -> None:
    base, candidate = arms(1.0, sd=0.01, rounds=40)
    row = Row(base, candidate)
    alone, among_many = compare_rows([row])[0], compare_rows([row] * 50)[0]
    fewer = compare(base[:12], candidate[:12])
    assert alone.min_detectable_ratio < among_many.min_detectable_ratio
    assert alone.min_detectable_ratio < fewer.min_detectable_ratio


# ---- Differences -------------------------------------------------------------------------


def test_equal_arms_save_nothing_and_zero_lies_in_the_interval() -> None:
    base, candidate = arms(1.0, sd=0.01)
    saved = compare(base, candidate).saved
    assert saved.lower < 0.0 < saved.upper
    same = compare(base, base).saved
    assert (same.lower, same.estimate, same.upper) == (0.0, 0.0, 0.0)


@pytest.mark.parametrize("rest", [0.0, 20.0, 500.0])
def test_a_shift_is_found_whatever_else_both_do_while_the_ratio_depends_on_it(rest: float) -> None:
    own = np.random.default_rng(11).uniform(10.0, 12.0, 20)
    found = compare(own + rest, own - 3.0 + rest)
    assert found.saved.estimate == pytest.approx(3.0, rel=1e-12)
    assert (found.saved.lower, found.saved.upper) == pytest.approx((3.0, 3.0), rel=1e-12)
    assert found.ratio.estimate == pytest.approx(np.median((own - 3.0 + rest) / (own + rest)))
    assert (found.ratio.estimate < 0.8) == (rest == 0.0)


def test_what_is_saved_is_the_median_of_the_rounds_by_hand() -> None:
    base = [10.0, 20.0, 30.0, 40.0, 50.0, math.nan, 60.0]
    candidate = [9.0, 18.0, 33.0, 36.0, 45.0, 1.0, math.nan]
    found = paired_intervals(base, candidate, confidence=0.9)
    assert found.pairs == 5
    assert (found.saved.lower, found.saved.estimate, found.saved.upper) == (-3.0, 2.0, 5.0)
    assert found.saved.confidence == 1 - 2 / 2**5


def test_too_few_rounds_bound_no_difference() -> None:
    assert not compare([10.0] * 5, [7.0] * 5).saved.bounded
    assert compare([10.0] * 5, [7.0] * 5).saved.estimate == 3.0
    assert compare([10.0] * 6, [7.0] * 6).saved.bounded


def test_the_interval_of_the_difference_covers_it() -> None:
    rng, sessions = np.random.default_rng(12), 600
    noise = np.expm1(rng.normal(0.0, 0.4, (sessions, 12)))  # skewed, its median is 0
    found = [compare(np.full(12, 50.0), 47.0 - x).saved for x in noise]
    covered = np.mean([one.lower <= 3.0 <= one.upper for one in found])
    exact = found[0].confidence
    assert exact == pytest.approx(1 - 2 * reference.binom.cdf(2, 12, 0.5))
    assert covered == pytest.approx(exact, abs=4 * math.sqrt(exact * (1 - exact) / sessions))


@given(paired_rounds)
@settings(deadline=None)
def test_swapping_the_arms_turns_what_is_saved_into_what_is_lost(
    pairs: list[tuple[int, int]],
) -> None:
    base, candidate = np.array(pairs, dtype=float).T
    forth, back = compare(base, candidate).saved, compare(candidate, base).saved
    assert (back.estimate, back.lower, back.upper) == (-forth.estimate, -forth.upper, -forth.lower)


@given(paired_rounds)
@settings(deadline=None)
def test_a_difference_is_told_from_0_exactly_where_the_ratio_is_from_1(
    pairs: list[tuple[int, int]],
) -> None:
    base, candidate = np.array(pairs, dtype=float).T
    found = compare(base, candidate)
    assert (found.saved.lower > 0.0) == (found.ratio.upper < 1.0)
    assert (found.saved.upper < 0.0) == (found.ratio.lower > 1.0)


@given(paired_rounds, st.integers(0, 10**6))
@settings(deadline=None)
def test_what_both_do_besides_changes_no_difference(
    pairs: list[tuple[int, int]], rest: int
) -> None:
    base, candidate = np.array(pairs, dtype=float).T
    assert compare(base + rest, candidate + rest).saved == compare(base, candidate).saved
