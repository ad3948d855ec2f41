"""The sign test, what it can detect, and Holm's correction."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from allocphase.stats.signtest import detectable_exceedance, holm, sign_test, smallest_effect


@pytest.mark.parametrize("n", [1, 6, 15, 40])
def test_the_p_value_is_that_of_the_exact_binomial_test(n: int) -> None:
    for above in range(n + 1):
        values = np.repeat([1.0, -1.0], [above, n - above])
        expected = reference.binomtest(above, n, 0.5, alternative="greater").pvalue
        assert sign_test(values, 0.0) == pytest.approx(expected, rel=1e-12)


def test_ties_with_the_bound_count_against_the_alternative() -> None:
    bound = math.log1p(0.02)
    ties = np.log(np.full(10, 1.02 * 3.7)) - np.log(np.full(10, 3.7))
    assert sign_test(ties, bound) == 1.0
    assert sign_test(np.append(ties, 1.0), bound) == pytest.approx(1 - 2**-11)


def test_missing_values_leave_the_sample_and_none_at_all_prove_nothing() -> None:
    assert sign_test([1.0, math.nan, 1.0], 0.0) == 0.25
    assert sign_test([math.nan], 0.0) == 1.0


@pytest.mark.parametrize(("n", "alpha"), [(6, 0.025), (10, 0.01), (20, 0.025), (40, 0.0005)])
def test_the_test_has_the_stated_power_at_the_detectable_exceedance(n: int, alpha: float) -> None:
    share = detectable_exceedance(n, alpha=alpha, power=0.8)
    critical = next(c for c in range(n + 2) if reference.binom.sf(c - 1, n, 0.5) <= alpha)
    assert reference.binom.sf(critical - 1, n, share) == pytest.approx(0.8)


def test_five_rounds_can_detect_nothing_at_two_and_a_half_percent() -> None:
    assert math.isnan(detectable_exceedance(5, alpha=0.025))
    assert smallest_effect([0.0] * 5, 0.02, exceedance=math.nan) == math.inf
    assert smallest_effect([], 0.02, exceedance=0.9) == math.inf


@given(
    st.lists(st.integers(-1000, 1000), min_size=6, max_size=40, unique=True),
    st.integers(550, 990).map(lambda k: k / 1000),
)
@settings(deadline=None)
def test_just_above_the_smallest_effect_enough_residuals_exceed_and_just_below_too_few(
    steps: list[int], exceedance: float
) -> None:
    values, bound = np.array(steps) / 1e4, 0.02
    effect = smallest_effect(values, bound, exceedance=exceedance)
    residuals = values - np.median(values)
    assert np.mean(residuals + effect + 1e-7 > bound) >= exceedance - 1e-9
    assert np.mean(residuals + effect - 1e-7 > bound) < exceedance - 1e-9


def test_the_smallest_effect_of_a_sample_without_spread_is_the_bound() -> None:
    assert smallest_effect([0.3] * 12, 0.02, exceedance=0.9) == pytest.approx(0.02)


p_lists = st.lists(st.integers(0, 1000).map(lambda k: k / 1000), min_size=1, max_size=6)


@given(p_lists)
@settings(deadline=None)
def test_holm_is_the_closure_of_bonferroni(p_values: list[float]) -> None:
    rows = range(len(p_values))
    subsets = [s for size in rows for s in itertools.combinations(rows, size + 1)]
    closed = [
        max(min(1.0, len(s) * min(p_values[j] for j in s)) for s in subsets if i in s) for i in rows
    ]
    np.testing.assert_allclose(holm(p_values), closed, rtol=1e-12)


def test_holm_keeps_the_family_wise_error_when_some_rows_truly_differ() -> None:
    rng, alpha, sessions = np.random.default_rng(3), 0.05, 4000
    effect = np.array([0.0] * 5 + [2.5] * 3)
    p = reference.norm.sf(rng.normal(effect, 1.0, (sessions, 8)))
    adjusted = np.array([holm(session) for session in p])
    false = (adjusted[:, :5] <= alpha).any(axis=1).mean()
    uncorrected = (p[:, :5] <= alpha).any(axis=1).mean()
    assert false <= alpha + 3 * math.sqrt(alpha / sessions)
    assert uncorrected > alpha + 3 * math.sqrt(alpha / sessions)
    bonferroni = (p[:, 5:] * 8 <= alpha).mean()
    assert (adjusted[:, 5:] <= alpha).mean() > bonferroni


def test_holm_of_no_rows_is_no_rows() -> None:
    assert holm([]).size == 0


@pytest.mark.parametrize("bad", [[0.5, 1.1], [math.nan], [[0.1]]])
def test_what_is_no_p_value_is_refused(bad: list[float]) -> None:
    with pytest.raises(ValueError, match="p-values"):
        holm(bad)
