"""The twin arm: the noise floor, and sessions that must not be believed."""

from __future__ import annotations

import math

import numpy as np
import pytest

from allocphase.stats import ThreeArms, Verdict, compare, judge_session, spread


def row(
    *, twin: float = 1.0, candidate: float = 1.0, sd: float = 0.01, rounds: int = 20, seed: int = 0
) -> ThreeArms:
    rng = np.random.default_rng(seed)
    base = 50.0 * rng.lognormal(0.0, 0.2, rounds)
    noise = np.exp(rng.normal(0.0, sd, (2, rounds)))
    return ThreeArms(base, base * twin * noise[0], base * candidate * noise[1])


def test_a_quiet_twin_leaves_the_candidates_verdict_standing() -> None:
    session = judge_session([row(candidate=1.05)])
    assert session.valid
    assert session.rows[0].candidate.verdict is Verdict.REGRESSED
    assert session.rows[0].twin.verdict is Verdict.UNCHANGED


@pytest.mark.parametrize("twin", [1.06, 1 / 1.06])
def test_a_twin_that_moves_either_way_makes_the_session_invalid(twin: float) -> None:
    session = judge_session([row(), row(twin=twin, seed=1)])
    assert [r.valid for r in session.rows] == [True, False]
    assert not session.valid


def test_a_twin_that_is_only_noisy_leaves_the_session_valid() -> None:
    session = judge_session([row(sd=0.1)])
    assert session.rows[0].twin.verdict is Verdict.INCONCLUSIVE
    assert session.valid


def test_the_floor_is_the_twins_own_comparison_and_spread() -> None:
    arms = row(sd=0.01, rounds=2000)
    judged = judge_session([arms]).rows[0]
    assert judged.twin == compare(arms.base, arms.twin)
    assert judged.floor_spread == pytest.approx(0.01, rel=0.1)


def test_sound_sessions_of_many_rows_are_seldom_called_invalid() -> None:
    sessions = [
        judge_session([row(sd=0.02, seed=100 * s + r, rounds=12) for r in range(10)])
        for s in range(100)
    ]
    assert sum(not session.valid for session in sessions) <= 5


def test_twins_are_corrected_for_their_number() -> None:
    lucky = ThreeArms(np.ones(8), np.full(8, 1.05), np.ones(8))
    quiet = [ThreeArms(np.ones(8), np.resize([0.9, 1.1], 8), np.ones(8)) for _ in range(20)]
    assert not judge_session([lucky]).valid
    assert judge_session([lucky, *quiet]).valid


def test_the_spread_ignores_one_disturbed_round_and_needs_two() -> None:
    values = np.random.default_rng(1).normal(0.0, 0.01, 101)
    disturbed = np.append(values, 5.0)
    assert spread(disturbed) == pytest.approx(spread(values), rel=0.1)
    assert spread(values + 3.0) == pytest.approx(spread(values))
    assert math.isnan(spread([1.0, math.nan]))
    assert spread([1.0, 1.0]) == 0.0


def test_an_empty_session_is_valid_and_has_no_rows() -> None:
    assert judge_session([]).rows == ()
