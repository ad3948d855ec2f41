"""Where arms stand after some rounds, and which of them go on: pure, on made-up figures."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import pytest

from allocphase.stats import Interval
from allocphase.tune.halving import (
    FEW,
    FIRST_ROUNDS,
    LAST_ROUNDS,
    Holding,
    Standing,
    cost,
    fitted,
    holding,
    paired_ratio,
    ranked,
    schedule,
    survivors,
)

NAN = math.nan


def standing(arm: str, estimate: float, *held: Holding, settings: int = 1) -> Standing:
    return Standing(
        arm=arm,
        settings=settings,
        ratio=Interval(estimate, 0.0, math.inf, 0.0),
        bounds={str(place): found for place, found in enumerate(held)},
    )


def names(*standings: Standing) -> list[str]:
    return [one.arm for one in ranked(standings)]


@pytest.mark.parametrize("arms", [1, 2, 4, 5, 8, 32, 33, 100, 512])
def test_rounds_double_and_few_are_left_at_the_end(arms: int) -> None:
    plan, left = schedule(arms), arms
    assert all(later == 2 * earlier for earlier, later in pairwise(plan))
    assert plan[0] >= FIRST_ROUNDS
    for _ in plan[1:]:
        left = survivors(left)
    assert left <= FEW
    assert arms == 1 or plan[-1] >= LAST_ROUNDS


def test_thirty_two_arms_take_about_as_long_in_each_stage() -> None:
    assert schedule(32) == [3, 6, 12, 24]
    sizes = [32, 16, 8, 4]
    processes = [n * new for n, new in zip(sizes, (3, 3, 6, 12), strict=True)]
    assert processes == [96, 48, 48, 48]


def test_less_time_means_fewer_rounds_of_the_same_stages() -> None:
    plan = schedule(32)
    assert cost(32, plan) == 33 * 3 + 17 * 3 + 9 * 6 + 5 * 12
    assert fitted(32, plan, most=cost(32, plan)) == plan
    assert fitted(32, plan, most=cost(32, plan) - 1) == [2, 4, 8, 16]
    assert fitted(32, plan, most=1.0) == [1, 2, 4, 8], "one round at the least"
    assert fitted(4, schedule(4), most=52.0) == [10]


def test_one_arm_competes_with_nobody_and_two_have_all_rounds() -> None:
    assert schedule(1) == [FIRST_ROUNDS]
    assert schedule(2) == [LAST_ROUNDS]


def test_the_better_half_goes_on_and_the_middle_one_with_it() -> None:
    assert [survivors(n) for n in (2, 3, 4, 5, 33)] == [1, 2, 2, 3, 17]


def test_the_least_ratio_ranks_first_and_none_at_all_last() -> None:
    assert names(standing("a", 1.1), standing("b", NAN), standing("c", 0.9)) == ["c", "a", "b"]


def test_of_equal_arms_the_one_that_changes_less_is_ahead_and_then_the_first() -> None:
    tied = [standing("a", 0.9, settings=3), standing("b", 0.9), standing("c", 0.9)]
    assert names(*tied) == ["b", "c", "a"]


def test_who_keeps_the_bounds_is_ahead_of_who_breaks_one_however_fast() -> None:
    fast = standing("fast", 0.5, Holding.KEPT, Holding.BROKEN_BY_MEDIAN)
    slow = standing("slow", 1.2, Holding.KEPT, Holding.KEPT)
    worst = standing("worst", 0.1, Holding.BROKEN, Holding.KEPT)
    assert names(fast, worst, slow) == ["slow", "fast", "worst"]
    assert worst.broken == ["0"]
    assert [one.keeps_bounds for one in (fast, slow)] == [False, True]


# ---- Pairs -------------------------------------------------------------------------------


def test_a_ratio_is_of_values_of_the_same_round() -> None:
    """A machine that is twice as slow in some rounds changes nothing."""
    drift = np.array([1.0, 2.0, 1.0, 2.0, 2.0, 1.0, 1.5])
    found = paired_ratio(9.0 * drift, 10.0 * drift)
    assert found.estimate == pytest.approx(0.9)
    assert found.lower == pytest.approx(0.9)


def test_rounds_in_which_either_is_missing_are_none() -> None:
    found = paired_ratio(np.array([NAN, 8.0, 8.0]), np.array([10.0, NAN, 10.0]))
    assert found.estimate == pytest.approx(0.8)
    assert not found.bounded
    assert math.isnan(paired_ratio(np.array([NAN]), np.array([10.0])).estimate)


@pytest.mark.parametrize(
    ("arm", "default", "ratio"),
    [
        ([0.0, 0.0, 0.0], [0.0, 0.0, 0.0], 1.0),
        ([0.0, 0.0, 0.0], [5.0, 5.0, 5.0], 0.0),
        ([5.0, 5.0, 5.0], [0.0, 0.0, 0.0], math.inf),
        ([0.0, 4.0], [4.0, 0.0], math.inf),
    ],
)
def test_counts_of_nothing_have_a_place_in_the_order(
    arm: list[float], default: list[float], ratio: float
) -> None:
    assert paired_ratio(np.array(arm), np.array(default)).estimate == ratio


# ---- Bounds ------------------------------------------------------------------------------


def test_a_count_that_all_processes_agree_on_breaks_a_bound_for_certain() -> None:
    most = np.full(3, 100.0)
    assert holding(np.full(3, 100.0), most, exact=True) is Holding.KEPT
    assert holding(np.full(3, 101.0), most, exact=True) is Holding.BROKEN
    assert holding(np.full(2, 101.0), most[:2], exact=True) is Holding.BROKEN_BY_MEDIAN


def test_what_varies_breaks_a_bound_for_certain_once_its_interval_lies_beyond() -> None:
    above = np.array([104.0, 106.0, 105.0, 107.0, 103.0, 108.0])
    most = np.full(6, 100.0)
    assert holding(above[:5], most[:5], exact=False) is Holding.BROKEN_BY_MEDIAN
    assert holding(above, most, exact=False) is Holding.BROKEN
    around = above - np.array([10.0, 0.0, 0.0, 0.0, 0.0, 0.0])
    assert holding(around, most, exact=False) is Holding.BROKEN_BY_MEDIAN


def test_an_arm_without_a_value_keeps_no_bound() -> None:
    assert holding(np.full(3, NAN), np.full(3, 1.0), exact=False) is Holding.BROKEN_BY_MEDIAN


# ---- The whole of it, by numbers ---------------------------------------------------------


def halved(rng: np.random.Generator, truth: dict[str, float], spread: float) -> str:
    """The arm that a search ends with, each process being about its truth."""
    alive, plan = list(truth), schedule(len(truth))
    rounds = {name: np.empty(0) for name in truth}
    default = rng.lognormal(0.0, spread, plan[-1])
    for total in plan:
        for name in alive:
            new = truth[name] * rng.lognormal(0.0, spread, total - rounds[name].size)
            rounds[name] = np.concatenate([rounds[name], new])
        found = ranked(
            [
                Standing(
                    arm=name,
                    settings=1,
                    ratio=paired_ratio(rounds[name], default[:total]),
                    bounds={},
                )
                for name in alive
            ]
        )
        alive = [one.arm for one in found[: survivors(len(found))]]
    return found[0].arm


@pytest.mark.parametrize("spread", [0.01, 0.03, 0.05])
def test_one_of_32_that_is_a_tenth_faster_is_found_through_the_noise(spread: float) -> None:
    rng = np.random.default_rng(5)
    truth = {f"arm {place}": 0.9 if place == 17 else 1.0 for place in range(32)}
    found = [halved(rng, truth, spread) for _ in range(50)]
    assert found.count("arm 17") >= {0.01: 50, 0.03: 49, 0.05: 44}[spread]
