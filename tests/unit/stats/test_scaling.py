"""Speed-ups whose truth is known: perfect scaling, none, and loads that no CPU can share."""

from __future__ import annotations

import math

import numpy as np
import pytest

from allocphase.stats.scaling import ideal_parallelism, speedups

IDEAL = [1.0, 2.0, 4.0, 8.0]


def test_perfect_scaling_has_the_ideal_speed_up_and_all_efficiency() -> None:
    found = speedups(np.outer([3.0, 5.0, 4.0], IDEAL), IDEAL)
    assert [one.ratio.estimate for one in found] == pytest.approx(IDEAL)
    assert [one.efficiency for one in found] == pytest.approx([1.0] * 4)


def test_what_works_one_after_the_other_has_a_speed_up_of_1() -> None:
    found = speedups(np.tile([[7.0], [9.0]], 4), IDEAL)
    assert [one.ratio.estimate for one in found] == pytest.approx([1.0] * 4)
    assert [one.efficiency for one in found] == pytest.approx([1.0, 1 / 2, 1 / 4, 1 / 8])


def test_speed_ups_are_paired_within_the_round() -> None:
    """The machine was three times slower in the second round: nothing of that is in them."""
    found = speedups([[10.0, 19.0], [3.0, 6.0], [10.0, 20.0]], [1.0, 2.0])
    assert found[1].ratio.estimate == pytest.approx(2.0)
    assert found[1].efficiency == pytest.approx(1.0)


def test_a_speed_up_has_the_exact_interval_of_its_rounds() -> None:
    rates = [[1.0, 1.5], [1.0, 1.6], [1.0, 1.7], [1.0, 1.8], [1.0, 1.9]]
    ratio = speedups(rates, [1.0, 2.0], confidence=0.9)[1].ratio
    assert (ratio.lower, ratio.estimate, ratio.upper) == pytest.approx((1.5, 1.7, 1.9))
    assert ratio.confidence == pytest.approx(0.9375)


def test_a_level_that_no_round_has_is_no_number() -> None:
    found = speedups([[1.0, math.nan, 3.0], [math.nan, 2.0, 6.0]], [1.0, 2.0, 3.0])
    assert math.isnan(found[1].ratio.estimate) and math.isnan(found[1].efficiency)
    assert found[2].ratio.estimate == pytest.approx(3.0)


@pytest.mark.parametrize(
    ("loads", "span", "cpus", "expected"),
    [
        ([5, 5, 5, 5], 5, 8, 4.0),  # a CPU each
        ([5, 5, 5, 5], 5, 2, 2.0),  # two threads on each of two: flat from there on
        ([5, 5, 5], 5, 2, 1.5),  # lanes 0 and 2 share a CPU
        ([100, 200], 200, 2, 1.5),  # one has twice the work
        ([5, 5, 5, 5], 20, 8, 1.0),  # they take turns
        ([0, 6, 6], 6, 4, 2.0),  # a lane that has nothing to do
    ],
)
def test_nothing_is_done_before_the_busiest_cpu_and_the_longest_chain_are(
    loads: list[int], span: int, cpus: int, expected: float
) -> None:
    assert ideal_parallelism(loads, span, cpus=cpus) == pytest.approx(expected)


@pytest.mark.parametrize(
    ("rates", "ideal"),
    [([1.0, 2.0], [1.0, 2.0]), ([[1.0, 0.0]], [1.0, 2.0]), ([[1.0, 2.0]], [1.0]), ([[1.0]], [0.0])],
)
def test_rates_without_a_meaning_are_refused(rates: list[float], ideal: list[float]) -> None:
    with pytest.raises(ValueError, match=r"^rates"):
        speedups(rates, ideal)


@pytest.mark.parametrize(("loads", "cpus"), [([], 1), ([0, 0], 1), ([1], 0)])
def test_no_work_and_no_cpu_are_refused(loads: list[int], cpus: int) -> None:
    with pytest.raises(ValueError, match="there is no work"):
        ideal_parallelism(loads, 0, cpus=cpus)
