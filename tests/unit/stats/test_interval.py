"""Quantiles and their intervals, against numpy and scipy and by simulation."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats as reference

from allocphase.stats import Interval, median_interval, quantiles
from allocphase.stats.interval import lower_rank, quantile_interval

REPEATS = 4000


def skewed(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    return rng.lognormal(0.0, 1.5, shape)


def bimodal(rng: np.random.Generator, shape: tuple[int, int]) -> npt.NDArray[np.float64]:
    return np.where(rng.random(shape) < 0.4, rng.normal(10, 0.2, shape), rng.normal(30, 3, shape))


BIMODAL_MEDIAN = float(reference.norm.ppf((0.5 - 0.4) / 0.6, 30, 3))


@pytest.mark.parametrize("n", [8, 21, 200])
@pytest.mark.parametrize("q", [0.1, 0.5, 0.9])
@pytest.mark.parametrize("confidence", [0.8, 0.95, 0.99])
def test_the_interval_is_the_one_that_scipy_inverts_from_its_test(
    n: int, q: float, confidence: float
) -> None:
    sample = np.random.default_rng(n).lognormal(size=n)
    expected: Any = reference.quantile_test(sample, p=q).confidence_interval(confidence)
    ours = quantile_interval(sample, q, confidence=confidence)
    sides = [math.nan if math.isinf(side) else side for side in (ours.lower, ours.upper)]
    np.testing.assert_array_equal(sides, [expected.low, expected.high])


@pytest.mark.parametrize(("draw", "median"), [(skewed, 1.0), (bimodal, BIMODAL_MEDIAN)])
@pytest.mark.parametrize("n", [7, 20])
def test_the_achieved_confidence_is_the_coverage_on_skewed_and_bimodal_data(
    draw: object, median: float, n: int
) -> None:
    assert callable(draw)
    samples = draw(np.random.default_rng(1), (REPEATS, n))
    intervals = [median_interval(sample) for sample in samples]
    covered = np.mean([i.lower <= median <= i.upper for i in intervals])
    confidence = intervals[0].confidence
    assert confidence >= 0.95
    noise = 4 * math.sqrt(confidence * (1 - confidence) / REPEATS)
    assert covered == pytest.approx(confidence, abs=noise)


def test_coverage_is_at_least_nominal_for_data_with_ties() -> None:
    samples = np.random.default_rng(2).integers(0, 4, (REPEATS, 15))
    intervals = [median_interval(sample) for sample in samples]
    assert np.mean([i.lower <= 1.5 <= i.upper for i in intervals]) >= 0.95 - 0.01


def test_five_rounds_bound_no_side_at_95_percent_and_six_bound_both() -> None:
    five, six = median_interval([1.0, 2, 3, 4, 5]), median_interval([1.0, 2, 3, 4, 5, 6])
    assert five == Interval(3.0, -math.inf, math.inf, 1.0)
    assert not five.bounded
    assert six == Interval(3.5, 1.0, 6.0, 1 - 2 / 2**6)
    assert six.bounded


def test_a_high_quantile_of_few_values_is_bounded_below_only() -> None:
    interval = quantile_interval(np.arange(1.0, 31.0), 0.99)
    assert interval.upper == math.inf
    assert 1.0 < interval.lower <= 30.0


def test_no_value_gives_no_estimate_and_no_bound() -> None:
    interval = median_interval([math.nan, math.nan])
    assert math.isnan(interval.estimate)
    assert (interval.lower, interval.upper) == (-math.inf, math.inf)


@given(n=st.integers(0, 300), q=st.floats(0.001, 0.999), tail=st.floats(1e-6, 0.4))
@settings(deadline=None)
def test_the_lower_rank_is_the_largest_within_its_tail(n: int, q: float, tail: float) -> None:
    rank = lower_rank(n, q, tail)
    below = reference.binom.cdf(np.arange(n), n, q)
    assert rank == int((below <= tail).sum()) or np.abs(below - tail).min() < 1e-12


samples_with_counts = st.lists(
    st.tuples(st.integers(1, 50).map(float), st.integers(0, 6)), min_size=1, max_size=40
).filter(lambda pairs: any(count for _, count in pairs))


@given(samples_with_counts, st.floats(0.01, 0.99))
@settings(deadline=None)
def test_a_histogram_and_its_raw_samples_agree(pairs: list[tuple[float, int]], q: float) -> None:
    values, counts = (np.array(column) for column in zip(*pairs, strict=True))
    raw = np.repeat(values, counts)
    assert quantiles(values, q, counts=counts) == quantiles(raw, q)
    assert quantile_interval(values, q, counts=counts) == quantile_interval(raw, q)


@given(
    st.lists(st.floats(0, 1e9), min_size=1, max_size=60),
    st.sampled_from([0.0, 0.05, 0.07, 0.25, 0.5, 0.9, 0.99, 0.999, 1.0]),
)
@settings(deadline=None)
def test_quantiles_invert_the_empirical_distribution_as_numpy_does(
    values: list[float], q: float
) -> None:
    exact = max(math.ceil(round(q * len(values), 9)), 1)
    assert quantiles(values, q)[0] == sorted(values)[exact - 1]
    # numpy has no guard for a rank such as 0.07 * 100 that rounds just above a whole number.
    if abs(q * len(values) - round(q * len(values))) > 1e-9:
        assert quantiles(values, q)[0] == np.quantile(values, q, method="inverted_cdf")


def test_a_rank_that_rounds_above_a_whole_number_still_means_that_number() -> None:
    assert 0.07 * 100 > 7
    assert quantiles(np.arange(1, 101), 0.07)[0] == 7


def test_a_histogram_of_a_hundred_million_calls_is_no_work() -> None:
    values, counts = [20.0, 30.0, 4000.0], [60_000_000, 39_990_000, 10_000]
    p50, p999, p9999 = quantiles(values, [0.5, 0.999, 0.9999], counts=counts)
    assert (p50, p999, p9999) == (20.0, 30.0, 30.0)
    assert quantile_interval(values, 0.9999, counts=counts).upper == 4000.0


@pytest.mark.parametrize(
    ("values", "counts"),
    [([1.0, 2.0], [1]), ([1.0, 2.0], [1, -1]), ([1.0], [0.5]), ([math.nan], [1])],
)
def test_counts_that_make_no_histogram_are_refused(
    values: list[float], counts: list[float]
) -> None:
    with pytest.raises(ValueError, match="count"):
        quantiles(values, 0.5, counts=counts)


@pytest.mark.parametrize("bad", [[[1.0, 2.0]], [1.0, math.inf]])
def test_samples_are_one_row_of_finite_numbers(bad: list[float]) -> None:
    with pytest.raises(ValueError, match=r"dimension|infinite"):
        median_interval(bad)


@pytest.mark.parametrize("q", [0.0, 1.0, -0.1, math.nan])
def test_an_interval_is_asked_of_a_quantile_inside_the_distribution(q: float) -> None:
    with pytest.raises(ValueError, match="q lies"):
        quantile_interval([1.0, 2.0], q)


def test_a_quantile_outside_the_distribution_is_refused() -> None:
    with pytest.raises(ValueError, match="quantile lies"):
        quantiles([1.0, 2.0], 1.01)


def test_the_exponential_of_an_interval_keeps_its_doubts() -> None:
    assert Interval(0.0, -math.inf, math.inf, 1.0).exp() == Interval(1.0, 0.0, math.inf, 1.0)
    assert not Interval(0.0, -math.inf, math.inf, 1.0).exp().bounded
    assert Interval(0.0, -1.0, 800.0, 0.9).exp().upper == math.inf
    assert math.isnan(Interval(math.nan, -1.0, 1.0, 0.9).exp().estimate)
