"""Times: the sequential rule's decisions as the gate's outcomes."""

from __future__ import annotations

import math

import numpy as np
import pytest

from allocphase.judge import Judged, Outcome, Values
from allocphase.judge.timed import judge_timed
from allocphase.stats import SequentialSign

RULE = SequentialSign(theta=0.02, alpha=0.01, max_rounds=40)


def judged(
    candidate: float, *, twin: float = 1.0, spread: float = 0.005, rounds: int = 40, seed: int = 1
) -> Judged:
    """Arms of log-normal times; `candidate` and `twin` are their ratios to the baseline."""
    generator = np.random.default_rng(seed)
    noise = np.exp(generator.normal(0.0, spread, size=(3, rounds)))
    values = Values(10.0 * noise[0], 10.0 * twin * noise[1], 10.0 * candidate * noise[2])
    return judge_timed(values, RULE, final=True)


@pytest.mark.parametrize(
    ("ratio", "outcome"),
    [
        (1.10, Outcome.REGRESSED),
        (1.05, Outcome.REGRESSED),
        (1.00, Outcome.UNCHANGED),
        (0.90, Outcome.IMPROVED),
    ],
)
def test_a_clear_ratio_has_its_outcome(ratio: float, outcome: Outcome) -> None:
    assert judged(ratio).outcome is outcome


def test_a_row_that_is_better_by_about_the_limit_is_not_worse() -> None:
    assert judged(1 / 1.02, spread=0.01).outcome is Outcome.NOT_WORSE


def test_a_row_near_the_limit_is_undecided_where_twice_the_limit_is_excluded() -> None:
    found = judged(1.02, spread=0.01)
    assert found.outcome is Outcome.UNDECIDED
    assert found.ratio.upper <= 1.04


def test_a_row_that_noise_hides_is_inconclusive() -> None:
    found = judged(1.02, spread=0.2)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert found.ratio.upper > 1.04


def test_too_few_rounds_are_inconclusive_however_clear() -> None:
    assert judged(2.0, rounds=3).outcome is Outcome.INCONCLUSIVE


def test_an_open_row_goes_on_until_it_is_final() -> None:
    values = Values(*(np.full(3, 10.0) for _ in range(3)))
    assert not judge_timed(values, RULE, final=False).decided
    assert judge_timed(values, RULE, final=True).decided


def test_a_twin_that_moves_is_seen_both_ways() -> None:
    assert judged(1.0, twin=1.1).twin_moved
    assert judged(1.0, twin=0.9).twin_moved
    assert not judged(1.1, twin=1.0).twin_moved


def test_a_row_without_a_twin_has_no_floor() -> None:
    values = Values(np.full(9, 10.0), np.full(9, math.nan), np.full(9, 10.0))
    found = judge_timed(values, RULE, final=True)
    assert found.twin is None
    assert not found.twin_moved


def test_a_row_without_a_pair_is_not_measured() -> None:
    nothing = np.full(5, math.nan)
    found = judge_timed(Values(np.full(5, 10.0), nothing, nothing), RULE, final=True)
    assert found.outcome is Outcome.NOT_MEASURED


def test_the_least_effect_grows_with_the_noise() -> None:
    quiet, loud = (judged(1.0, spread=s).min_detectable_ratio for s in (0.002, 0.05))
    assert 1.02 < quiet < 1.03 < loud
