"""The twin arm: the noise floor, and copies that must not come out apart."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from allocphase.stats import Floor, SequentialSign, log_ratios, noise_floor, spread

Floats = npt.NDArray[np.float64]

RULE = SequentialSign()


def arms(
    twin: float = 1.0, *, sd: float = 0.01, rounds: int = 20, seed: int = 0
) -> tuple[Floats, Floats]:
    """Base and twin: rounds differ by 20%, the copies in one round by `sd`."""
    rng = np.random.default_rng(seed)
    base = 50.0 * rng.lognormal(0.0, 0.2, rounds)
    return base, base * twin * np.exp(rng.normal(0.0, sd, rounds))


def floor_of(twin: float = 1.0, *, sd: float = 0.01, seed: int = 0) -> Floor:
    return noise_floor(*arms(twin, sd=sd, seed=seed), RULE)


@pytest.mark.parametrize(("twin", "moved"), [(1.0, False), (1.06, True), (1 / 1.06, True)])
def test_copies_that_come_out_apart_either_way_have_moved(twin: float, moved: bool) -> None:
    found = floor_of(twin)
    assert found.moved is moved
    assert found.ratio.estimate == pytest.approx(twin, rel=0.01)


def test_a_twin_that_is_only_noisy_has_not_moved() -> None:
    found = floor_of(sd=0.1)
    assert not found.moved
    assert found.ratio.upper - found.ratio.lower > 0.1


def test_the_floor_is_the_rules_own_interval_of_the_twin_and_its_spread() -> None:
    base, twin = arms(rounds=40)
    found = noise_floor(base, twin, RULE)
    assert found.ratio == RULE.interval(log_ratios(base, twin)).exp()
    assert found.spread == spread(log_ratios(base, twin)) == pytest.approx(0.01, rel=0.5)


def test_sound_copies_seldom_move_even_without_a_limit() -> None:
    """At theta 0 the promise is 2 * alpha: 10 of 500, and more than 20 by a chance of 1 in 700."""
    rule = SequentialSign(theta=0.0)
    moved = sum(noise_floor(*arms(sd=0.02, seed=s), rule).moved for s in range(500))
    assert moved <= 20


def test_twins_are_corrected_for_their_number() -> None:
    """Eight rounds all 5% apart: too much for one row, chance enough among twenty."""
    base, twin = np.ones(8), np.full(8, 1.05)
    assert noise_floor(base, twin, SequentialSign(max_rounds=8)).moved
    assert not noise_floor(base, twin, SequentialSign(max_rounds=8, rows=20)).moved


def test_without_a_twin_the_floor_is_unknown() -> None:
    found = noise_floor(np.ones(4), np.full(4, math.nan), RULE)
    assert not found.moved
    assert math.isnan(found.spread)
    assert not found.ratio.bounded


def test_the_spread_ignores_one_disturbed_round_and_needs_two() -> None:
    values = np.random.default_rng(1).normal(0.0, 0.01, 101)
    disturbed = np.append(values, 5.0)
    assert spread(disturbed) == pytest.approx(spread(values), rel=0.1)
    assert spread(values + 3.0) == pytest.approx(spread(values))
    assert math.isnan(spread([1.0, math.nan]))
    assert spread([1.0, 1.0]) == 0.0
