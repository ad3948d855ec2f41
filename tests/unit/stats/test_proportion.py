"""Intervals of shares."""

from __future__ import annotations

import math

import pytest
from scipy.stats import binom, binomtest

from allocphase.stats import proportion_interval


@pytest.mark.parametrize("trials", [1, 7, 200])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_the_interval_is_scipys_exact_one(trials: int, confidence: float) -> None:
    for successes in range(trials + 1):
        expected = binomtest(successes, trials).proportion_ci(confidence, method="exact")
        ours = proportion_interval(successes, trials, confidence=confidence)
        assert ours.estimate == successes / trials
        assert ours.lower == pytest.approx(expected.low, abs=1e-9)
        assert ours.upper == pytest.approx(expected.high, abs=1e-9)


@pytest.mark.parametrize("share", [0.001, 0.01, 0.05, 0.3, 0.5])
def test_its_exact_coverage_is_never_below_nominal(share: float) -> None:
    intervals = [proportion_interval(k, 200) for k in range(201)]
    covered = sum(
        float(binom.pmf(k, 200, share))
        for k, i in enumerate(intervals)
        if i.lower <= share <= i.upper
    )
    assert covered >= 0.95


def test_no_false_alarm_in_two_hundred_leaves_room_for_under_two_percent() -> None:
    none = proportion_interval(0, 200)
    assert none.lower == 0.0
    assert 0.0 < none.upper == pytest.approx(1 - 0.025 ** (1 / 200))


def test_no_trials_tell_nothing() -> None:
    nothing = proportion_interval(0, 0)
    assert math.isnan(nothing.estimate)
    assert (nothing.lower, nothing.upper) == (0.0, 1.0)


@pytest.mark.parametrize(("successes", "trials"), [(-1, 3), (4, 3), (0, -1)])
def test_counts_that_make_no_share_are_refused(successes: int, trials: int) -> None:
    with pytest.raises(ValueError, match="no share"):
        proportion_interval(successes, trials)
