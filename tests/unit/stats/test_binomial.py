"""The binomial distribution, against scipy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import betaincinv
from scipy.stats import binom

from allocphase.stats.binomial import at_least, at_most, most_within, success_probability


@given(n=st.integers(0, 2000), p=st.floats(1e-6, 1 - 1e-6), data=st.data())
@settings(deadline=None)
def test_both_tails_are_scipys(n: int, p: float, data: st.DataObject) -> None:
    """Down to 1e-200: scipy itself is right to 8 digits only at 1e-292."""
    k = data.draw(st.integers(-1, n + 1))
    assert at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-9, abs=1e-200)
    assert at_least(k, n, p) == pytest.approx(binom.sf(k - 1, n, p), rel=1e-9, abs=1e-200)


@pytest.mark.parametrize("n", [501, 10_000, 100_000_000])
@pytest.mark.parametrize("p", [1e-7, 0.001, 0.5, 0.9999])
def test_tails_of_many_trials_are_scipys(n: int, p: float) -> None:
    deviation = (n * p * (1 - p)) ** 0.5
    for distance in (-30, -8, -3, -1, 0, 1, 3, 8, 30):
        k = int(n * p + distance * deviation)
        assert at_most(k, n, p) == pytest.approx(binom.cdf(k, n, p), rel=1e-6, abs=1e-300)
        assert at_least(k, n, p) == pytest.approx(binom.sf(k - 1, n, p), rel=1e-6, abs=1e-300)


@pytest.mark.parametrize("n", [1, 6, 52])
def test_a_fair_coin_s_chances_are_exact(n: int) -> None:
    assert at_most(0, n, 0.5) == at_least(n, n, 0.5) == 2.0**-n
    assert at_most(1, n, 0.5) == (n + 1) / 2.0**n
    assert at_most(n, n, 0.5) == at_least(0, n, 0.5) == 1.0


def test_no_chance_exceeds_one() -> None:
    """Whatever the rounding of its parts: who corrects p-values refuses one above 1."""
    for n in range(600):
        assert at_most(n, n, 0.3) <= 1.0 >= at_least(0, n, 0.3)


@pytest.mark.parametrize("n", [0, 1, 40, 700, 100_000])
@pytest.mark.parametrize("p", [0.01, 0.5, 0.9])
@pytest.mark.parametrize("tail", [1e-6, 0.025, 0.4])
def test_most_within_is_the_last_whose_lower_tail_is_no_larger(
    n: int, p: float, tail: float
) -> None:
    below = binom.cdf(np.arange(n), n, p)
    assert most_within(n, p, tail) == int((below <= tail).sum())


@given(n=st.integers(1, 300), chance=st.floats(1e-6, 1 - 1e-6), data=st.data())
@settings(deadline=None)
def test_the_success_probability_is_scipys_inverse(
    n: int, chance: float, data: st.DataObject
) -> None:
    k = data.draw(st.integers(1, n))
    expected = float(betaincinv(k, n - k + 1, chance))
    assert success_probability(k, n, chance) == pytest.approx(expected, rel=1e-9)
