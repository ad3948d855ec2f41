"""The rule by which a replay is said to predict its program."""

from __future__ import annotations

import math

import pytest

from allocphase.analysis.validation import WITHIN, Difference, Sides, judged


def sides(estimate: float, half: float = 0.1) -> Sides:
    return Sides(estimate, estimate - half, estimate + half)


def difference(program: Sides, replay: float, *, name: str = "a") -> Difference:
    return Difference(name, program, sides(replay), program.excludes_zero)


@pytest.mark.parametrize(
    ("program", "replay", "predicted"),
    [
        (sides(10.0), 10.0, True),
        (sides(10.0), 10.0 * (1 + WITHIN), True),
        (sides(10.0), 10.0 * (1 - WITHIN) - 0.01, False),
        (sides(-10.0), -11.0, True),
        (sides(-10.0), 10.0, False),  # the other way round
        (sides(10.0, half=4.0), 13.9, None),  # the program does not know it better itself
        (sides(10.0, half=4.0), 14.1, False),
    ],
)
def test_a_difference_is_predicted_within_a_share_and_not_told_within_a_wide_interval(
    program: Sides, replay: float, predicted: bool | None
) -> None:
    one = difference(program, replay)
    assert one.counts
    assert one.predicted is predicted
    found = judged("time", "paced", [one])
    assert found.predicted is predicted
    assert found.within == pytest.approx(abs(replay - program.estimate) / abs(program.estimate))


def test_one_allocator_that_is_off_is_enough() -> None:
    found = judged(
        "time", "asap", [difference(sides(10.0), 10.2), difference(sides(-4.0), 4.0, name="b")]
    )
    assert found.predicted is False
    assert found.within == pytest.approx(2.0)


@pytest.mark.parametrize("program", [sides(0.05), Sides(10.0, -math.inf, math.inf)])
def test_what_is_chance_in_the_program_is_nothing_to_predict(program: Sides) -> None:
    found = judged("time", "asap", [difference(program, 40.0)])
    assert found.predicted is None
    assert found.within is None
