"""Times: the sequential rule's decisions as the gate's outcomes."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest

from allocphase.judge import Judged, Outcome, Values
from allocphase.judge.sampled import judge_sampled, judge_timed
from allocphase.stats import SequentialRank

RULE = SequentialRank(theta=0.02, alpha=0.01, max_rounds=40)
SIGNS = SequentialRank(theta=0.02, alpha=0.01, max_rounds=40, others=1)


def judged(
    candidate: float, *, twin: float = 1.0, spread: float = 0.005, rounds: int = 40, seed: int = 1
) -> Judged:
    """Arms of log-normal times; `candidate` and `twin` are their ratios to the baseline."""
    generator = np.random.default_rng(seed)
    noise = np.exp(generator.normal(0.0, spread, size=(3, rounds)))
    values = Values(10.0 * noise[0], 10.0 * twin * noise[1], 10.0 * candidate * noise[2])
    return judge_sampled(values, RULE, final=True)


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
    assert not judge_sampled(values, RULE, final=False).decided
    assert judge_sampled(values, RULE, final=True).decided


def test_the_twin_is_told_beside_its_row() -> None:
    found = judged(1.0, twin=1.1)
    assert found.twin is not None
    assert found.twin.estimate == pytest.approx(1.1, rel=0.01)
    assert found.floor_spread == pytest.approx(0.005 * math.sqrt(2), rel=0.5)


def test_a_row_without_a_twin_is_judged_by_its_pairs() -> None:
    values = Values(np.full(9, 10.0), np.full(9, math.nan), np.full(9, 10.0))
    found = judge_sampled(values, SIGNS, final=True)
    assert found.outcome is Outcome.UNCHANGED
    assert found.twin is None
    assert math.isnan(found.floor_spread)


def test_an_inconclusive_row_says_which_limit_would_be_decided() -> None:
    found = judged(1.0, spread=0.1)
    assert found.outcome is Outcome.INCONCLUSIVE
    assert 0.02 < found.decided_theta < 0.15
    assert found.open_chance > 0.05
    sure = judged(1.0)
    assert math.isnan(sure.decided_theta)
    assert sure.open_chance < 0.01


def test_what_is_always_better_goes_on_until_that_can_be_said() -> None:
    def after(rounds: int) -> Judged:
        arms = (np.full(rounds, value) for value in (10.0, 10.0, 9.0))
        return judge_sampled(Values(*arms), RULE, final=False)

    passed = next(n for n in range(1, 40) if after(n).outcome is not Outcome.INCONCLUSIVE)
    improved = next(n for n in range(1, 40) if after(n).outcome is Outcome.IMPROVED)
    assert passed < improved
    assert [after(n).decided for n in (passed, improved - 1, improved)] == [False, False, True]


def test_a_row_that_no_round_will_decide_stops_early() -> None:
    noise = np.exp(np.random.default_rng(3).normal(0.0, 1.0, (3, 40)))
    values = [Values(*noise[:, :n]) for n in range(1, 41)]
    settled = [judge_sampled(one, RULE, final=False).decided for one in values]
    assert 12 <= 1 + settled.index(True) < 30


def test_the_clocks_step_is_in_the_interval() -> None:
    plain, stepped = (
        judge_sampled(Values(*(np.full(12, 40.0) for _ in range(3))), RULE, final=True, step=step)
        for step in (0.0, 10.0)
    )
    assert (plain.ratio.lower, plain.ratio.upper) == (1.0, 1.0)
    assert stepped.ratio.lower == pytest.approx((40 / 45) ** 2)
    assert stepped.ratio.upper == pytest.approx((45 / 40) ** 2)


def test_a_row_without_a_pair_is_not_measured() -> None:
    nothing = np.full(5, math.nan)
    found = judge_sampled(Values(np.full(5, 10.0), nothing, nothing), RULE, final=True)
    assert found.outcome is Outcome.NOT_MEASURED


def test_the_least_effect_grows_with_the_noise() -> None:
    quiet, loud = (judged(1.0, spread=s).min_detectable_ratio for s in (0.002, 0.05))
    assert 1.02 < quiet < 1.03 < loud


def test_equal_ticks_are_equal_whatever_each_process_makes_of_the_clocks_rate() -> None:
    rng = np.random.default_rng(9)
    values = Values(*(40.0 * (1.0 + 1e-7 * rng.uniform(-1.0, 1.0, 12)) for _ in range(3)))
    found = judge_sampled(values, SequentialRank(theta=0.0), final=True, step=1.0)
    assert found.outcome in (Outcome.UNDECIDED, Outcome.INCONCLUSIVE), "no rank tells them apart"
    assert found.min_detectable_ratio == pytest.approx(1.0, abs=1e-5)


# ---- Time saved --------------------------------------------------------------------------


def timed(
    saved_ns: float, *, rest: float = 0.0, spread: float = 0.1, rounds: int = 20, step: float = 0.0
) -> Judged:
    """Arms of some 10 ns whose candidate takes `saved_ns` less; rest: what all do besides."""
    own = 10.0 + np.random.default_rng(2).normal(0.0, spread, (3, rounds))
    values = Values(own[0] + rest, own[1] + rest, own[2] + rest - saved_ns)
    return judge_timed(values, RULE, final=True, step_ns=step)


@pytest.mark.parametrize("rest", [0.0, 20.0, 500.0])
@pytest.mark.parametrize("saved_ns", [3.0, 0.0, -3.0])
def test_what_is_saved_does_not_depend_on_what_all_arms_do_besides(
    saved_ns: float, rest: float
) -> None:
    found, alone = timed(saved_ns, rest=rest), timed(saved_ns)
    assert found.saved_ns is not None and alone.saved_ns is not None
    assert found.saved_ns.lower < saved_ns < found.saved_ns.upper
    assert found.saved_ns.estimate == pytest.approx(saved_ns, abs=0.1)
    if found.rounds == alone.rounds:
        assert found.saved_ns.lower == pytest.approx(alone.saved_ns.lower)
        assert found.saved_ns.upper == pytest.approx(alone.saved_ns.upper)
    assert abs(found.ratio.estimate - 1.0) < abs(saved_ns) / (9.0 + rest) + 0.01


def test_the_time_saved_changes_no_judgement() -> None:
    noise = np.exp(np.random.default_rng(5).normal(0.0, 0.01, (3, 20)))
    for candidate in (0.9, 1.0, 1.02, 1.1):
        values = Values(10.0 * noise[0], 10.0 * noise[1], 10.0 * candidate * noise[2])
        found = judge_timed(values, RULE, final=True)
        plain = judge_sampled(values, RULE, final=True)
        assert repr(replace(found, saved_ns=None)) == repr(plain)


def test_a_flagged_row_saves_what_the_rounds_of_its_ratio_say() -> None:
    found = timed(-3.0)
    assert found.outcome is Outcome.REGRESSED
    assert found.rounds < 20
    own = 10.0 + np.random.default_rng(2).normal(0.0, 0.1, (3, 20))
    shifts = (own[:2] - own[2] - 3.0)[:, : found.rounds]
    assert found.saved_ns is not None
    assert found.saved_ns.estimate == pytest.approx(float(np.median(shifts)))


def test_the_clocks_step_is_in_the_interval_of_what_is_saved() -> None:
    values = Values(*(np.full(12, 40.0) for _ in range(3)))
    plain, stepped = (
        judge_timed(values, RULE, final=True, step_ns=step).saved_ns for step in (0.0, 10.0)
    )
    assert plain is not None and (plain.lower, plain.upper) == (0.0, 0.0)
    assert stepped is not None and (stepped.lower, stepped.upper) == (-10.0, 10.0)


def test_equal_ticks_of_two_calibrations_save_nothing() -> None:
    calibrated = [40.0 * (1 + 1e-7 * process) for process in range(-5, 6)]
    values = Values(np.full(11, 40.0), np.full(11, 40.0), np.array(calibrated))
    found = judge_timed(values, RULE, final=True, step_ns=10.0).saved_ns
    assert found is not None
    assert (found.lower, found.estimate, found.upper) == (-10.0, 0.0, 10.0)


def test_too_few_rounds_bound_no_time_saved() -> None:
    found = timed(3.0, rounds=2).saved_ns
    assert found is not None and not found.bounded


def test_counts_and_what_was_not_measured_save_no_time() -> None:
    missing = Values(*(np.full(3, math.nan) for _ in range(3)))
    assert judge_timed(missing, RULE, final=True).saved_ns is None
    assert judged(1.1).saved_ns is None
