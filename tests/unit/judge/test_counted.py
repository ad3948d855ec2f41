"""Counts: equal ones are settled at once, higher ones need every process to agree."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from allocphase.judge import Judged, Outcome, Rule, Values
from allocphase.judge.counted import COUNT_ROUNDS, judge_counted

EXACT = Rule(0.05, exact=True, named=False)
SHARE = Rule(0.05, exact=False, named=False)
NAN = math.nan


def judged(
    base: Sequence[float],
    twin: Sequence[float],
    candidate: Sequence[float],
    rule: Rule = EXACT,
    *,
    final: bool = False,
) -> Judged:
    arms = (np.array(arm, dtype=np.float64) for arm in (base, twin, candidate))
    return judge_counted(Values(*arms), rule, final=final)


def test_an_equal_count_is_settled_after_one_round() -> None:
    found = judged([5], [5], [5])
    assert (found.outcome, found.decided) == (Outcome.UNCHANGED, True)


def test_one_more_is_measured_again_until_the_rounds_agree() -> None:
    for rounds in range(1, COUNT_ROUNDS + 1):
        found = judged([5] * rounds, [5] * rounds, [6] * rounds)
        assert found.outcome is Outcome.REGRESSED
        assert found.decided == (rounds == COUNT_ROUNDS)
        assert found.theta == 0.0


def test_one_fewer_is_an_improvement() -> None:
    found = judged([5], [5], [4])
    assert (found.outcome, found.decided) == (Outcome.IMPROVED, True)


def test_a_count_that_is_sometimes_higher_is_not_a_regression() -> None:
    found = judged([5] * 4, [5] * 4, [6, 6, 5, 6])
    assert (found.outcome, found.decided) == (Outcome.UNDECIDED, True)


def test_something_where_the_baseline_has_nothing_is_a_regression() -> None:
    found = judged([0] * 4, [0] * 4, [1] * 4)
    assert found.outcome is Outcome.REGRESSED
    assert found.ratio.estimate == math.inf


def test_nothing_over_nothing_is_no_change() -> None:
    found = judged([0], [0], [0])
    assert (found.outcome, found.ratio.estimate) == (Outcome.UNCHANGED, 1.0)


def test_where_copies_of_the_baseline_differ_the_share_takes_the_place_of_exact() -> None:
    within = judged([100] * 4, [101] * 4, [104] * 4)
    beyond = judged([100] * 4, [101] * 4, [107] * 4)
    assert (within.outcome, within.varies, within.theta) == (Outcome.UNCHANGED, True, 0.05)
    assert beyond.outcome is Outcome.REGRESSED


def test_the_highest_of_the_baselines_copies_is_the_mark_not_their_median() -> None:
    assert judged([100] * 4, [100, 100, 100, 130], [120] * 4).outcome is not Outcome.REGRESSED


def test_a_share_is_not_exceeded_by_exactly_itself() -> None:
    assert judged([100], [100], [105], SHARE).outcome is Outcome.UNCHANGED
    assert judged([100] * 4, [100] * 4, [106] * 4, SHARE).outcome is Outcome.REGRESSED


def test_a_missing_side_is_not_measured() -> None:
    assert judged([NAN], [NAN], [5]).outcome is Outcome.NOT_MEASURED
    assert judged([5], [5], [NAN]).outcome is Outcome.NOT_MEASURED


def test_when_no_round_follows_a_row_is_decided_as_it_stands() -> None:
    assert judged([5], [5], [6], final=True).decided


def test_a_count_that_varies_raises_an_alarm_no_more_often_than_stated() -> None:
    """One in C(12, 4) for arms that do not differ, each process a draw of the same small count."""
    generator = np.random.default_rng(5)
    trials = 20_000
    draws = generator.integers(0, 1000, size=(trials, 3, COUNT_ROUNDS)).astype(np.float64)
    rule = Rule(0.0, exact=False, named=False)
    alarms = sum(
        judge_counted(Values(*draw), rule, final=True).outcome is Outcome.REGRESSED
        for draw in draws
    )
    expected = trials / math.comb(3 * COUNT_ROUNDS, COUNT_ROUNDS)
    assert alarms == pytest.approx(expected, abs=4 * math.sqrt(expected))
