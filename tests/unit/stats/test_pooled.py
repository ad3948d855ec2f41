"""The signs of a fleet: the bound holds over hosts that leave, and one host's effect is in it."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest

from allocphase.stats import Decision
from allocphase.stats.boundary import rank_boundary
from allocphase.stats.pooled import PooledSigns, crossing_chance, in_waves, wave_boundary
from allocphase.stats.proportion import proportion_interval


@pytest.mark.parametrize("error", [0.3, 0.05, 0.01, 1e-5])
def test_of_one_host_it_is_the_boundary_of_the_sequential_sign_test(error: float) -> None:
    assert wave_boundary(1, 40, error) == rank_boundary(2, 40, error)


@pytest.mark.parametrize(("hosts", "waves"), [(2, 6), (3, 4), (4, 3)])
@pytest.mark.parametrize("error", [0.3, 0.05, 0.01])
def test_the_error_is_spent_evenly_over_the_waves_by_enumeration(
    hosts: int, waves: int, error: float
) -> None:
    signs = np.array(list(itertools.product(range(2), repeat=hosts * waves)))
    sums = signs.reshape(len(signs), waves, hosts).sum(axis=2).cumsum(axis=1)
    crossed = sums >= np.array(wave_boundary(hosts, waves, error))
    by_wave = np.logical_or.accumulate(crossed, axis=1).mean(axis=0)
    assert (by_wave <= error * np.arange(1, waves + 1) / waves).all()
    assert by_wave[-1] > error / 3


def test_a_thousand_hosts_have_a_boundary_too_and_it_grows_wave_by_wave() -> None:
    found = np.array(wave_boundary(1000, 40, 1e-5))
    assert (np.diff(found) > 0).all()
    assert (found > 500 * np.arange(1, 41)).all()


def test_rounds_are_read_wave_by_wave_and_what_is_missing_is_dropped() -> None:
    by_host = [[1.0, 4.0, math.nan], [2.0, math.nan, 6.0], [3.0, 5.0, 7.0]]
    assert in_waves(by_host).tolist() == [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0]


def rule(*, theta: float = 0.02, alpha: float = 0.01) -> PooledSigns:
    return PooledSigns(hosts=3, waves=20, theta=theta, alpha=alpha)


def test_a_row_that_is_worse_everywhere_is_decided_after_a_whole_number_of_waves() -> None:
    found = rule().decide(np.full(60, math.log(1.05)))
    assert found.decision is Decision.REGRESSED
    assert found.rounds % 3 == 0
    assert found.rounds < 30
    assert found.ratio.lower == pytest.approx(1.05)


def test_equal_arms_pass_and_those_that_are_better_are_improved() -> None:
    same, better = np.zeros(60), np.full(60, math.log(0.9))
    assert rule().decide(same).decision is Decision.NOT_REGRESSED
    assert not rule().improved(same)
    assert rule().improved(better)


def test_less_than_a_wave_says_nothing() -> None:
    found = rule().decide(np.full(2, 1.0))
    assert (found.decision, found.rounds) == (Decision.UNDECIDED, 0)
    assert math.isnan(found.ratio.estimate)
    assert not found.ratio.bounded


def test_more_rounds_than_the_boundary_was_made_for_are_refused() -> None:
    with pytest.raises(ValueError, match="61 rounds, but the boundary was computed for 20 waves"):
        rule().decide(np.zeros(61))


@pytest.mark.parametrize("changes", [{"alpha": 0.5}, {"alpha": 0.0}, {"theta": -0.1}])
def test_a_parameter_out_of_range_is_refused(changes: dict[str, float]) -> None:
    with pytest.raises(ValueError, match=r"lies|theta"):
        rule(**changes).decide(np.zeros(3))


def test_the_error_holds_where_hosts_differ_and_one_stops_for_what_it_has_seen() -> None:
    """At exactly theta, noise of a host its own; a host goes away once its sum is low, which is the
    worst that a host's own stopping rule does.
    """
    rng, sessions, alpha = np.random.default_rng(3), 3000, 0.05
    signs = rule(alpha=alpha)
    alarms = 0
    for _ in range(sessions):
        x = np.log1p(0.02) + rng.normal(0.0, [[0.001], [0.01], [0.05]], (3, 20))
        sums = np.where(x > np.log1p(0.02), 1, -1).cumsum(axis=1)
        for host, sum_ in zip(x, sums, strict=True):
            low = np.flatnonzero(sum_ <= -3)
            if low.size:
                host[low[0] + 1 :] = np.nan
        alarms += signs.decide(in_waves(x)).decision is Decision.REGRESSED
    assert proportion_interval(alarms, sessions).lower <= alpha
    assert alarms > 0


@pytest.mark.parametrize("rounds", [1, 7, 20, 40])
def test_the_chance_to_have_crossed_is_what_the_boundary_has_spent(rounds: int) -> None:
    boundary = rank_boundary(2, 40, 0.05)
    found = crossing_chance(boundary, rounds)
    assert 0.0 <= found <= 0.05 * rounds / 40
    assert crossing_chance(boundary, 40) > 0.04
