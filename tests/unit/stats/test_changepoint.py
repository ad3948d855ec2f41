"""stats/changepoint.py: planted changes are found where they are, and noise has none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from allocphase.stats.changepoint import change_points, exact_changes, fewest_values
from allocphase.stats.values import FloatArray


def noise(rng: np.random.Generator, n: int, sd: float = 0.009) -> FloatArray:
    """Logarithms with tails: Student's t with 4 degrees of freedom, which has the variance 2."""
    return np.asarray(rng.standard_t(4, n) * sd / math.sqrt(2.0))


def series(rng: np.random.Generator, n: int, steps: dict[int, float]) -> FloatArray:
    """100 and noise; from each position on so much more."""
    level = np.zeros(n)
    for position, share in steps.items():
        level[position:] += math.log1p(share)
    return np.asarray(100.0 * np.exp(level + noise(rng, n)))


def test_planted_changes_are_found_within_two_values() -> None:
    planted = {50: 0.05, 110: -0.10, 170: 0.20, 230: 0.05}
    for seed in range(4):
        found = change_points(series(np.random.default_rng(seed), 280, planted))
        assert len(found) == len(planted)
        for one, (position, share) in zip(found, planted.items(), strict=True):
            assert abs(one.position - position) <= 2
            assert one.ratio == pytest.approx(1.0 + share, abs=0.01)
            assert one.p <= 0.001


def test_noise_alone_has_no_change() -> None:
    """With the floor out of the way, so that the test alone keeps it so."""
    rng = np.random.default_rng(1)
    found = [change_points(np.exp(noise(rng, 100)), theta=1e-6) for _ in range(300)]
    assert sum(map(bool, found)) <= 2  # 0.3 are expected; 3 come once in 270 times


def test_less_than_the_floor_is_no_change() -> None:
    values = series(np.random.default_rng(2), 300, {150: 0.015})
    assert change_points(values) == []
    assert [one.position for one in change_points(values, theta=0.005)] == [
        pytest.approx(150, abs=3)
    ]


def test_a_few_wild_values_are_no_change() -> None:
    values = series(np.random.default_rng(3), 100, {})
    values[[20, 50, 51, 80]] *= 3.0
    assert change_points(values) == []


def test_what_comes_and_goes_has_two_changes() -> None:
    values = series(np.random.default_rng(4), 300, {100: 0.05, 112: -1 + 1 / 1.05})
    assert [one.position for one in change_points(values)] == [
        pytest.approx(100, abs=2),
        pytest.approx(112, abs=2),
    ]


def test_the_last_values_are_a_change_once_most_of_the_least_number_are() -> None:
    rng = np.random.default_rng(6)
    assert change_points(series(rng, 40, {38: 0.5})) == []
    assert [one.position for one in change_points(series(rng, 40, {35: 0.5}))] == [35]


def test_too_few_values_are_never_significant() -> None:
    n = fewest_values()
    assert n == 14
    assert change_points([1.0] * 6 + [2.0] * 7) == []
    assert [one.position for one in change_points([1.0] * 7 + [2.0] * 7)] == [7]


def test_a_count_may_be_none() -> None:
    (one,) = change_points([0.0] * 10 + [4.0] * 10)
    assert (one.position, one.before, one.after, one.ratio) == (10, 0.0, 4.0, math.inf)


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("step", [1.0, 4096.0])
def test_equal_steps_from_none_are_in_the_unit_of_their_step(step: float) -> None:
    assert change_points(np.arange(15) * step) == []
    (one,) = change_points(np.arange(21) * step)
    assert (one.position, one.before, one.after) == (10, 4.5 * step, 15.0 * step)


def test_the_same_values_and_seed_give_the_same_answer() -> None:
    values = series(np.random.default_rng(7), 60, {30: 0.03})
    assert change_points(values) == change_points(values)


def test_values_that_are_no_measurement_are_refused() -> None:
    for wrong in ([math.nan] * 20, [-1.0] * 20, [math.inf] * 20):
        with pytest.raises(ValueError):
            change_points(wrong)


def test_an_exact_count_changes_wherever_it_differs() -> None:
    found = exact_changes([3.0, 3.0, math.nan, 4.0, 3.0])
    assert [(one.position, one.before, one.after) for one in found] == [
        (3, 3.0, 4.0),
        (4, 4.0, 3.0),
    ]
    assert exact_changes([]) == []
