"""What rounds like those at hand can tell: power, limits that could be decided, futility."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from allocphase.stats import Decision, Forecast, SequentialRank, spread

Floats = npt.NDArray[np.float64]

RULE = SequentialRank()
BOUND = math.log1p(RULE.theta)


def rounds_of(count: int, *, effect: float = 0.0, sd: float = 0.01, seed: int = 0) -> Floats:
    """Log ratios of a candidate to baseline and twin; sd: of such a ratio."""
    arms = np.random.default_rng(seed).normal(0.0, sd / math.sqrt(2), (count, 3))
    return np.asarray(arms[:, :1] + math.log1p(effect) - arms[:, 1:])


def sessions(count: int, *, effect: float, sd: float) -> list[Decision]:
    return [
        RULE.decide(rounds_of(40, effect=effect, sd=sd, seed=1000 + s)).decision
        for s in range(count)
    ]


@pytest.mark.parametrize("sd", [0.01, 0.02, 0.03])
def test_the_least_ratio_is_found_in_both_of_two_sessions_four_times_in_five(sd: float) -> None:
    """Against sessions drawn from the same noise: sqrt(0.8) is 0.894, of 300 within 0.06."""
    least = float(
        np.median([Forecast(RULE, rounds_of(40, sd=sd, seed=s)).least_ratio() for s in range(9)])
    )
    found = sessions(300, effect=least - 1.0, sd=sd)
    share = np.mean([decision is Decision.REGRESSED for decision in found])
    assert share == pytest.approx(math.sqrt(0.8), abs=0.06)


def test_more_noise_sees_less_and_no_noise_sees_the_limit() -> None:
    quiet, loud = (Forecast(RULE, rounds_of(20, sd=sd)).least_ratio() for sd in (0.01, 0.02))
    assert 1.02 < quiet < loud
    assert Forecast(RULE, np.zeros((20, 2))).least_ratio() == pytest.approx(1.02, abs=1e-4)


def test_a_limit_that_is_named_lets_identical_arms_pass() -> None:
    noisy = rounds_of(40, sd=0.2)
    theta = Forecast(RULE, noisy).decided_theta()
    assert 0.02 < theta < 0.2
    rule = SequentialRank(theta=theta)
    passed = [
        rule.decide(rounds_of(40, sd=0.2, seed=s)).decision is Decision.NOT_REGRESSED
        for s in range(100)
    ]
    assert np.mean(passed) > 0.85


def test_identical_arms_stay_open_as_often_as_is_said() -> None:
    """Neither decided nor twice the limit excluded, in noise that leaves about half so."""
    sd = 0.2
    said = np.mean([Forecast(RULE, rounds_of(40, sd=sd, seed=s)).open_chance() for s in range(20)])
    open_ = 0
    for s in range(200):
        x = rounds_of(40, sd=sd, seed=5000 + s)
        excluded = RULE.interval(x).upper <= math.log1p(2 * RULE.theta)
        open_ += RULE.decide(x).decision is Decision.UNDECIDED and not excluded
    assert 0.2 < said < 0.95
    assert said == pytest.approx(open_ / 200, abs=0.15)
    assert Forecast(RULE, rounds_of(40)).open_chance() < 0.01


@pytest.mark.parametrize(
    ("effect", "sd", "least", "most"),
    [
        (0.0, 0.01, 0.0, 0.0),  # decided before
        (0.05, 0.01, 0.0, 0.0),
        (0.05, 0.03, 0.0, 0.1),  # near a decision
        (0.03, 1.0, 0.5, 1.0),  # no number of rounds tells
    ],
)
def test_it_is_futile_to_go_on_where_nothing_will_be_decided(
    effect: float, sd: float, least: float, most: float
) -> None:
    rows = [rounds_of(24, effect=effect, sd=sd, seed=s) for s in range(40)]
    assert least <= np.mean([Forecast(RULE, x).is_futile() for x in rows]) <= most


def test_what_is_stopped_as_futile_would_seldom_have_been_decided() -> None:
    stopped = decided = 0
    for s in range(200):
        x = rounds_of(40, sd=0.25, seed=s)
        if RULE.decide(x[:15]).decision is Decision.CONTINUE and Forecast(RULE, x[:15]).is_futile():
            stopped += 1
            decided += RULE.decide(x).decision is not Decision.UNDECIDED
    assert stopped > 30
    assert decided / stopped < 0.25


def test_without_rounds_nothing_is_foretold() -> None:
    found = Forecast(RULE, np.empty((0, 2)))
    assert found.least_ratio() == math.inf
    assert math.isnan(found.decided_theta())
    assert found.open_chance() == 0.0
    assert not found.is_futile()


def test_a_budget_that_can_never_decide_sees_nothing() -> None:
    assert Forecast(SequentialRank(max_rounds=4), rounds_of(4)).least_ratio() == math.inf


def test_the_scores_of_peers_are_even_and_those_of_a_slower_one_are_high() -> None:
    found = Forecast(RULE, rounds_of(40))
    assert found.scores(0.0, 0.0) == pytest.approx([1 / 3] * 3, abs=1e-9)
    assert found.scores(1.0, BOUND) == pytest.approx([0.0, 0.0, 1.0])


def test_the_spread_ignores_one_disturbed_round_and_needs_two() -> None:
    values = np.random.default_rng(1).normal(0.0, 0.01, 101)
    disturbed = np.append(values, 5.0)
    assert spread(disturbed) == pytest.approx(spread(values), rel=0.1)
    assert spread(values + 3.0) == pytest.approx(spread(values))
    assert math.isnan(spread([1.0, math.nan]))
    assert spread([1.0, 1.0]) == 0.0
