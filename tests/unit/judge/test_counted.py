"""Counts: exact where all processes agree, and else samples like any other."""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np
import pytest

from allocphase.judge import Judged, Outcome, Rule, Values
from allocphase.judge.counted import AGREEING, judge_counted
from allocphase.judge.judge import ALPHA, COUNT_BUDGET
from allocphase.stats import SequentialRank

EXACT = Rule(0.05, exact=True, named=False)
SHARE = Rule(0.05, exact=False, named=False)
NAN = math.nan
ROWS = 100  # of a gate's counts, system calls by name included


def sampled(theta: float) -> SequentialRank:
    return SequentialRank(theta=theta, alpha=ALPHA, max_rounds=COUNT_BUDGET, rows=ROWS)


def judged(
    base: Sequence[float],
    twin: Sequence[float],
    candidate: Sequence[float],
    rule: Rule = EXACT,
    *,
    final: bool = False,
    grain: float = 0.0,
) -> Judged:
    arms = (np.array(arm, dtype=np.float64) for arm in (base, twin, candidate))
    return judge_counted(Values(*arms), rule, sampled, final=final, grain=grain)


def test_an_equal_count_is_settled_once_enough_processes_agree() -> None:
    for processes in range(1, AGREEING + 1):
        found = judged([5] * processes, [5] * processes, [5] * processes)
        enough = processes == AGREEING
        expected = Outcome.UNCHANGED if enough else Outcome.INCONCLUSIVE
        assert (found.outcome, found.decided, found.exact) == (expected, enough, True)


@pytest.mark.parametrize(("count", "word"), [(6, Outcome.REGRESSED), (4, Outcome.IMPROVED)])
def test_one_more_and_one_fewer_take_twice_as_many_that_agree(count: int, word: Outcome) -> None:
    for processes in range(1, 2 * AGREEING + 1):
        found = judged([5] * processes, [5] * processes, [count] * processes)
        enough = processes == 2 * AGREEING
        assert found.outcome is (word if enough else Outcome.INCONCLUSIVE)
        assert found.decided == enough
        assert found.theta == 0.0


@pytest.mark.parametrize("count", [4, 6, 100])
def test_a_single_process_gives_no_verdict_in_either_direction(count: int) -> None:
    found = judged([5], [5], [count], final=True)
    assert (found.outcome, found.decided) == (Outcome.INCONCLUSIVE, True)


def test_a_regression_in_three_processes_of_four_is_found() -> None:
    candidate = [1002, 1002, 1002, 2] * 10
    first = judged([2] * 4, [2] * 4, candidate[:4])
    assert (first.outcome, first.decided) == (Outcome.INCONCLUSIVE, False)
    assert judged([2] * 40, [2] * 40, candidate).outcome is Outcome.REGRESSED
    one_more = [3, 3, 3, 2] * 10
    assert judged([2] * 40, [2] * 40, one_more).outcome is Outcome.REGRESSED


@pytest.mark.parametrize(
    ("candidate", "word"),
    [
        ([0.009] * 8, Outcome.UNCHANGED),
        ([0.001, 0.009] * 4, Outcome.UNCHANGED),
        ([0.011] * 8, Outcome.REGRESSED),
        ([0.03, 0.04] * 10, Outcome.REGRESSED),
    ],
)
def test_what_is_within_the_grain_is_no_difference_whatever_share_it_is(
    candidate: Sequence[float], word: Outcome
) -> None:
    base = [0.0] * len(candidate)
    assert judged(base, base, candidate, SHARE, grain=0.01).outcome is word
    assert judged(candidate, candidate, base, SHARE, grain=0.01).outcome in (
        Outcome.UNCHANGED,
        Outcome.IMPROVED,
    )


def test_beyond_the_grain_the_share_decides() -> None:
    assert judged([1.0] * 8, [1.0] * 8, [1.04] * 8, SHARE, grain=0.01).outcome is Outcome.UNCHANGED
    assert judged([1.0] * 8, [1.0] * 8, [1.06] * 8, SHARE, grain=0.01).outcome is Outcome.REGRESSED


def test_something_where_the_baseline_has_nothing_is_a_regression() -> None:
    found = judged([0] * 8, [0] * 8, [1] * 8)
    assert found.outcome is Outcome.REGRESSED
    assert found.ratio.estimate == math.inf
    assert judged([0] * 20, [0] * 20, [1, 2] * 10).outcome is Outcome.REGRESSED


def test_nothing_over_nothing_is_no_change() -> None:
    found = judged([0] * 4, [0] * 4, [0] * 4)
    assert (found.outcome, found.ratio.estimate) == (Outcome.UNCHANGED, 1.0)


def test_where_the_baselines_processes_differ_the_share_takes_the_place_of_exact() -> None:
    base, twin = [100, 101] * 10, [101, 100] * 10
    within = judged(base, twin, [103, 102] * 10)
    beyond = judged(base, twin, [107, 108] * 10)
    assert (within.outcome, within.exact, within.theta) == (Outcome.UNCHANGED, False, 0.05)
    assert beyond.outcome is Outcome.REGRESSED
    assert beyond.ratio.bounded


def test_a_share_is_not_exceeded_by_exactly_itself() -> None:
    assert judged([100] * 4, [100] * 4, [105] * 4, SHARE).outcome is Outcome.UNCHANGED
    assert judged([100] * 8, [100] * 8, [106] * 8, SHARE).outcome is Outcome.REGRESSED


def test_a_missing_side_is_not_measured() -> None:
    assert judged([NAN], [NAN], [5]).outcome is Outcome.NOT_MEASURED
    assert judged([5], [5], [NAN]).outcome is Outcome.NOT_MEASURED


def test_few_processes_that_differ_give_no_verdict() -> None:
    assert judged([5, 6], [5, 5], [9, 9], final=True).outcome is Outcome.INCONCLUSIVE


# What ten runs of four allocators gave for an allocator against itself: two modes, many values, a
# heavy tail, and one that is nearly always the same.
RECORDED = {
    "two modes": [1617, 1620],
    "rarely": [123] * 9 + [124],
    "threads": [6254, 4100, 7890, 5020, 9911, 3050, 6700, 12034],
    "from nothing": [0, 0, 0, 3, 55],
}


@pytest.mark.parametrize("values", RECORDED.values(), ids=RECORDED)
@pytest.mark.parametrize("rule", [EXACT, SHARE])
def test_identical_arms_get_no_verdict_beyond_the_stated_level(
    values: Sequence[int], rule: Rule
) -> None:
    """1% over 100 rows, both ways: of 300 sessions of one row, 3 by a chance of 1 in 200,000."""
    rng, sessions = np.random.default_rng(7), 300
    draws = rng.choice(np.array(values, dtype=np.float64), (sessions, 3, COUNT_BUDGET))
    wrong = 0
    for draw in draws:
        for processes in range(AGREEING, COUNT_BUDGET + 1, AGREEING):
            found = judge_counted(Values(*draw[:, :processes]), rule, sampled, final=False)
            if found.decided:
                break
        wrong += found.outcome in (Outcome.REGRESSED, Outcome.IMPROVED)
    assert wrong <= 2


def test_half_as_much_again_is_found_in_a_count_that_varies_by_a_fifth() -> None:
    rng = np.random.default_rng(8)
    base, twin, more = np.rint(1000 * np.exp(rng.normal(0.0, 0.2, (3, COUNT_BUDGET))))
    found = judge_counted(Values(base, twin, np.rint(1.5 * more)), EXACT, sampled, final=True)
    assert found.outcome is Outcome.REGRESSED
