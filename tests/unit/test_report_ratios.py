"""Ratios to a baseline: paired by round, with an interval or the admission that there is none."""

from __future__ import annotations

import math

import numpy as np
import pytest

from allocphase.report.matrix import look_of
from allocphase.report.ratios import Ratio, default_baseline, ratio
from allocphase.report.rows import interval_text, ratio_text
from allocphase.stats import Interval

BASE = np.array([10.0, 20.0, 10.0, 20.0, 10.0])


def _ratio(low: float, estimate: float, high: float) -> Ratio:
    return Ratio(Interval(estimate, low, high, 0.9), rounds=5)


def test_drift_that_both_share_cancels() -> None:
    found = ratio(BASE, 3 * BASE)
    assert found is not None
    assert found.interval.estimate == pytest.approx(3.0)
    assert found.interval.lower == pytest.approx(3.0)
    assert found.decided


def test_a_round_without_one_of_both_does_not_count() -> None:
    candidate = np.array([30.0, np.nan, 30.0, 60.0, np.nan])
    found = ratio(BASE, candidate)
    assert found is not None and found.rounds == 3
    assert found.interval.estimate == pytest.approx(3.0)


def test_too_few_rounds_decide_nothing_however_far_apart() -> None:
    found = ratio(BASE[:2], 100 * BASE[:2])
    assert found is not None and not found.decided
    assert math.isinf(found.interval.upper)
    assert ratio_text(found) == "~100x"
    assert interval_text(found) == "too few rounds"


def test_the_baseline_has_exactly_one_even_in_a_single_round() -> None:
    base = np.array([10.0])
    found = ratio(base, base)
    assert found is not None and found.exact
    assert ratio_text(found) == "1.00x"


def test_without_a_common_round_there_is_no_ratio() -> None:
    assert ratio(BASE, np.full(5, np.nan)) is None
    assert ratio(None, BASE) is None
    assert ratio_text(None) == interval_text(None) == "-"


def test_an_interval_that_holds_one_is_undecided_and_looks_so() -> None:
    found = _ratio(0.98, 1.2, 1.5)
    assert not found.decided
    assert look_of(found) == "undecided"
    assert ratio_text(found) == "~1.20x"
    assert interval_text(found) == "0.98 to 1.50x"


@pytest.mark.parametrize(
    ("estimate", "look"),
    [
        (1.01, "slower-1"),
        (1.25, "slower-2"),
        (2.0, "slower-3"),
        (400.0, "slower-4"),
        (0.99, "faster-1"),
        (0.8, "faster-2"),
        (0.5, "faster-3"),
        (0.01, "faster-4"),
    ],
)
def test_the_colour_is_stronger_the_farther_from_one_on_either_side(
    estimate: float, look: str
) -> None:
    assert look_of(_ratio(estimate * 0.999, estimate, estimate * 1.001)) == look


def test_libc_is_the_baseline_where_it_ran_and_the_first_allocator_elsewhere() -> None:
    assert default_baseline(["a", "libc"]) == "libc"
    assert default_baseline(["b", "a"]) == "b"
    assert default_baseline([]) is None
