"""Growth exponents of a sweep."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest
from scipy.stats import theilslopes

from allocphase.stats import growth

LIVE = np.array([300.0, 1000.0, 3000.0, 10_000.0, 30_000.0])


def sweep(
    exponent: float, *, rounds: int = 12, sd: float = 0.02, seed: int = 0
) -> npt.NDArray[np.float64]:
    """Times of shape (rounds, levels); each round runs at a speed of its own."""
    rng = np.random.default_rng(seed)
    speed = rng.lognormal(0.0, 0.2, (rounds, 1))
    times: npt.NDArray[np.float64] = (
        7.0 * LIVE**exponent * speed * np.exp(rng.normal(0.0, sd, (rounds, LIVE.size)))
    )
    return times


@pytest.mark.parametrize("exponent", [0.0, 0.5, 1.0, 2.0])
def test_a_power_law_gives_its_exponent_and_fits(exponent: float) -> None:
    fit = growth(LIVE, sweep(exponent))
    assert fit.exponent.estimate == pytest.approx(exponent, abs=0.01)
    assert fit.exponent.lower <= exponent <= fit.exponent.upper
    assert fit.local_exponents == pytest.approx(np.full(4, exponent), abs=0.05)
    assert 1.0 <= fit.worst_misfit_ratio < 1.03
    assert (fit.rounds, fit.dropped_rounds) == (12, 0)


def test_each_rounds_slope_is_that_of_scipys_theil_sen() -> None:
    times = sweep(0.8, sd=0.2)
    slopes = [theilslopes(np.log(row), np.log(LIVE)).slope for row in times]
    assert growth(LIVE, times).exponent.estimate == pytest.approx(float(np.median(slopes)))


def test_the_interval_covers_the_exponent_at_the_stated_rate_under_skewed_noise() -> None:
    rng, sessions = np.random.default_rng(1), 1500
    covered = 0
    for _ in range(sessions):
        noise = rng.lognormal(0.0, 0.5, (9, LIVE.size))
        fit = growth(LIVE, LIVE * noise)
        covered += fit.exponent.lower <= 1.0 <= fit.exponent.upper
    confidence = fit.exponent.confidence
    assert confidence >= 0.95
    slack = 4 * math.sqrt(confidence * (1 - confidence) / sessions)
    assert covered / sessions >= confidence - slack


def test_the_unit_of_time_the_speed_of_a_round_and_the_order_of_levels_do_not_matter() -> None:
    times = sweep(1.0)
    fit = growth(LIVE, times)
    faster = times * np.linspace(0.1, 10.0, times.shape[0])[:, None]
    assert growth(LIVE, faster).exponent.estimate == pytest.approx(fit.exponent.estimate)
    shuffled = growth(LIVE[::-1], times[:, ::-1])
    assert shuffled.exponent == fit.exponent
    assert shuffled.live == pytest.approx(LIVE)


def test_one_disturbed_level_hardly_moves_the_exponent_and_shows_as_misfit() -> None:
    times = sweep(1.0)
    times[:, 4] *= 4.0
    fit = growth(LIVE, times)
    least_squares = np.polyfit(np.log(LIVE), np.log(np.median(times, axis=0)), 1)[0]
    assert abs(fit.exponent.estimate - 1.0) < abs(least_squares - 1.0)
    assert fit.worst_misfit_ratio > 2.0
    assert fit.local_exponents.argmax() == 3


def test_a_level_that_failed_is_left_out_and_a_round_with_a_gap_dropped() -> None:
    times = sweep(1.0)
    times[:, 4] = math.nan
    times[2, 1] = math.nan
    fit = growth(LIVE, times)
    assert fit.live == pytest.approx(LIVE[:4])
    assert (fit.rounds, fit.dropped_rounds) == (11, 1)
    expected = growth(LIVE[:4], np.delete(times[:, :4], 2, axis=0))
    assert fit.exponent == expected.exponent


def test_few_rounds_leave_the_interval_unbounded() -> None:
    assert not growth(LIVE, sweep(1.0, rounds=3)).exponent.bounded


@pytest.mark.parametrize(
    ("live", "time", "message"),
    [
        ([1.0, 1.0], [[1.0, 2.0]], "distinct"),
        ([0.0, 1.0], [[1.0, 2.0]], "positive"),
        ([1.0, 2.0], [[0.0, 2.0]], "a time is positive"),
        ([1.0, 2.0, 3.0], [[1.0, 2.0]], "one column"),
        ([1.0, 2.0], [1.0, 2.0], "one column"),
        ([1.0], [[1.0]], "two levels"),
        ([1.0, 2.0], [[1.0, math.nan]], "two levels"),
        ([1.0, 2.0, 3.0], [[1.0, 2.0, math.nan], [1.0, math.nan, 2.0]], "has them all"),
    ],
)
def test_sweeps_without_a_slope_are_refused(
    live: list[float], time: list[list[float]], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        growth(live, time)
