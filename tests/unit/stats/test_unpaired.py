"""Two sets of processes that were not measured together: exact ranks, ties, power."""

from __future__ import annotations

import itertools
import math

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from allocphase.stats import Comparison, Samples, Verdict, compare_samples, least_processes

Floats = npt.NDArray[np.float64]
ALPHA = 0.025


def compared(base: npt.ArrayLike, candidate: npt.ArrayLike, theta: float = 0.02) -> Comparison:
    return compare_samples([Samples(base, candidate, theta)], alpha=ALPHA)[0]


def test_the_p_value_is_that_of_all_orders_by_enumeration() -> None:
    base, candidate = [1.0, 3.0, 4.0], [2.0, 5.0, 6.0]
    pooled = base + candidate
    u = sum(c > b for c in candidate for b in base)
    as_high = 0
    for chosen in itertools.combinations(range(6), 3):
        over = [pooled[i] for i in chosen]
        under = [pooled[i] for i in range(6) if i not in chosen]
        as_high += sum(c > b for c in over for b in under) >= u
    assert compared(base, candidate, 0.0).p_regressed == pytest.approx(as_high / 20)


def test_ties_count_against_the_alternative() -> None:
    equal = compared([5.0] * 8, [5.0] * 8, 0.0)
    assert (equal.p_regressed, equal.p_improved) == (1.0, 1.0)
    assert equal.verdict is Verdict.UNCHANGED
    mixed = compared([5.0] * 4, [6.0, 6.0, 6.0, 5.0], 0.0)
    assert mixed.p_regressed > 0.1


def normal(rows: int, n: int, sd: float, *, effect: float = 0.0, seed: int = 0) -> list[Samples]:
    """sd: of the log ratio of two processes."""
    arms = np.exp(np.random.default_rng(seed).normal(0.0, sd / math.sqrt(2), (rows, 2, n)))
    return [Samples(base, (1.0 + effect) * candidate) for base, candidate in arms]


def each(rows: list[Samples]) -> list[Verdict]:
    return [compare_samples([row], alpha=ALPHA)[0].verdict for row in rows]


@pytest.mark.parametrize(("n", "sd", "power"), [(6, 0.02, 0.86), (10, 0.03, 0.79)])
def test_five_percent_is_found_as_often_as_the_test_can(n: int, sd: float, power: float) -> None:
    found = each(normal(600, n, sd, effect=0.05))
    share = np.mean([verdict is Verdict.REGRESSED for verdict in found])
    assert share == pytest.approx(power, abs=0.06)


def test_an_effect_of_exactly_theta_is_flagged_at_the_level() -> None:
    found = each(normal(2000, 8, 0.03, effect=0.02, seed=1))
    share = np.mean([verdict is Verdict.REGRESSED for verdict in found])
    assert share <= ALPHA + 3 * math.sqrt(ALPHA / 2000)
    assert share > ALPHA / 3


@pytest.mark.parametrize(
    "values", [[1617, 1620], [123] * 9 + [124], [0, 0, 0, 3, 55], list(range(3000, 12000, 37))]
)
@pytest.mark.parametrize("processes", [4, 5, 12])
def test_identical_counts_get_a_verdict_at_most_at_the_level(
    values: list[int], processes: int
) -> None:
    rng = np.random.default_rng(2)
    draws = rng.choice(np.array(values, dtype=np.float64), (1500, 2, processes))
    found = each([Samples(base, candidate, 0.0) for base, candidate in draws])
    wrong = np.mean([verdict in (Verdict.REGRESSED, Verdict.IMPROVED) for verdict in found])
    assert wrong <= 2 * ALPHA + 3 * math.sqrt(2 * ALPHA / 1500)


def test_rows_together_keep_the_level_of_their_family() -> None:
    wrong = 0
    for seed in range(200):
        rows = compare_samples(normal(20, 10, 0.1, effect=0.02, seed=seed), alpha=ALPHA)
        wrong += any(row.verdict is Verdict.REGRESSED for row in rows)
    assert wrong / 200 <= ALPHA + 3 * math.sqrt(ALPHA / 200)


def test_the_interval_covers_the_ratio_and_agrees_with_the_test() -> None:
    covered = 0
    for row in normal(400, 8, 0.05, effect=0.1, seed=3):
        found = compare_samples([row], alpha=ALPHA)[0]
        covered += found.ratio.lower <= 1.1 <= found.ratio.upper
        beyond = found.ratio.lower > 1.02 + 1e-9
        assert beyond == (found.p_regressed <= ALPHA)
    assert covered / 400 >= 0.95 - 3 * math.sqrt(0.05 / 400)


@pytest.mark.parametrize(("rows", "processes"), [(1, 4), (12, 6), (108, 8)])
def test_so_many_processes_can_reject_something(rows: int, processes: int) -> None:
    assert least_processes(rows, alpha=ALPHA) == processes
    apart = Samples(np.arange(1.0, processes + 1), np.arange(101.0, processes + 101))
    nothing = [Samples([1.0] * processes, [1.0] * processes)] * (rows - 1)
    assert compare_samples([apart, *nothing], alpha=ALPHA)[0].verdict is Verdict.REGRESSED
    fewer = Samples(np.arange(1.0, processes), np.arange(101.0, processes + 100))
    first = compare_samples([fewer, *nothing], alpha=ALPHA)[0]
    assert first.verdict is Verdict.INCONCLUSIVE
    assert first.min_detectable_ratio == math.inf


def test_what_it_sees_is_found_about_four_times_in_five() -> None:
    rows = normal(60, 8, 0.02, seed=4)
    least = float(np.median([compare_samples([r])[0].min_detectable_ratio for r in rows]))
    found = each(normal(600, 8, 0.02, effect=least - 1.0, seed=5))
    assert 0.7 < np.mean([verdict is Verdict.REGRESSED for verdict in found]) < 0.97


def test_nothing_and_something_after_it() -> None:
    found = compared([0.0] * 6, [2.0, 3.0] * 3, 0.05)
    assert found.verdict is Verdict.REGRESSED
    assert found.ratio.estimate == math.inf
    assert compared([0.0, 1.0] * 3, [0.0, 1.0] * 3, 0.05).verdict is Verdict.INCONCLUSIVE


def test_without_values_there_is_no_verdict() -> None:
    found = compared([math.nan] * 4, [1.0] * 4)
    assert (found.pairs, found.p_regressed) == (0, 1.0)
    with pytest.raises(ValueError, match="zero or more"):
        compared([-1.0], [1.0])


def test_long_runs_are_judged_by_the_normal_distribution_as_short_ones_exactly() -> None:
    rng = np.random.default_rng(6)
    base, candidate = rng.normal(10.0, 1.0, 101), rng.normal(10.4, 1.0, 101)
    exact = compared(base[:99], candidate[:99], 0.0).p_regressed
    near = compared(base, candidate, 0.0).p_regressed
    assert near == pytest.approx(exact, rel=0.9)
    assert near < 0.05


# ---- Differences -------------------------------------------------------------------------

processes = st.lists(st.integers(900, 1100), min_size=1, max_size=12)


def test_the_shift_is_that_of_hodges_and_lehmann_with_its_ranks_by_enumeration() -> None:
    base, candidate = [10.0, 12.0, 17.0, 25.0], [3.0, 9.0, 14.0, 16.0]
    shifts = sorted(b - c for b in base for c in candidate)
    found = compared(base, candidate).saved
    assert found.estimate == (shifts[7] + shifts[8]) / 2
    # Of the 70 orders of 4 and 4 one has all 16 pairs one way: 1/70 is below 0.025, 2/70 is not.
    assert (found.lower, found.upper) == (shifts[0], shifts[15])


@pytest.mark.parametrize("rest", [0.0, 20.0, 500.0])
def test_a_shift_is_found_whatever_else_both_do(rest: float) -> None:
    own = np.random.default_rng(8).permutation(np.linspace(10.0, 12.0, 9))
    found = compared(own + rest, own - 3.0 + rest)
    assert found.saved.estimate == pytest.approx(3.0)
    assert found.saved.lower < 3.0 < found.saved.upper
    assert (found.ratio.estimate < 0.8) == (rest == 0.0)


def test_the_same_processes_save_nothing() -> None:
    saved = compared([5.0, 6.0, 7.0, 8.0], [5.0, 6.0, 7.0, 8.0]).saved
    assert saved.estimate == 0.0
    assert saved.lower < 0.0 < saved.upper


def test_too_few_processes_bound_no_difference() -> None:
    assert not compared([5.0] * 3, [9.0] * 3).saved.bounded
    assert not compared([math.nan], [1.0]).saved.bounded
    assert math.isnan(compared([math.nan], [1.0]).saved.estimate)


def test_the_interval_of_the_shift_covers_it() -> None:
    rng = np.random.default_rng(9)
    found = [
        compared(50.0 + rng.normal(0.0, 2.0, 8), 47.0 + rng.normal(0.0, 2.0, 8)).saved
        for _ in range(400)
    ]
    covered = np.mean([one.lower <= 3.0 <= one.upper for one in found])
    assert covered >= 0.95 - 3 * math.sqrt(0.05 / 400)


@given(processes, processes, st.integers(0, 10**6))
@settings(deadline=None)
def test_a_difference_is_told_from_0_exactly_where_the_ratio_is_from_1(
    base: list[int], candidate: list[int], rest: int
) -> None:
    found = compared(base, candidate)
    assert (found.saved.lower > 0.0) == (found.ratio.upper < 1.0)
    assert (found.saved.upper < 0.0) == (found.ratio.lower > 1.0)
    more = compared([b + rest for b in base], [c + rest for c in candidate])
    assert more.saved == found.saved
