"""Arms that took turns: what they met with together falls out, and they are treated alike."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.stats import matched

TIMES = st.lists(st.floats(1.0, 1e6), min_size=5, max_size=5)


def test_what_all_met_with_falls_out_of_the_ratios() -> None:
    """A neighbour for half of the turns; whole processes would differ by what each saw of it."""
    machine = np.where(np.arange(20) < 9, 1.0, 1.6)
    times = matched([10.0 * machine, 10.5 * machine, 20.0 * machine])
    assert times[1] / times[0] == pytest.approx(1.05)
    assert times[2] / times[0] == pytest.approx(2.0)


def test_one_disturbed_pass_moves_nothing() -> None:
    passes = np.full((2, 9), 10.0)
    passes[0, 3] = 500.0
    assert matched(list(passes)) == pytest.approx([10.0, 10.0])


def test_of_two_arms_the_ratio_is_the_median_of_the_turns() -> None:
    rng = np.random.default_rng(1)
    one, other = rng.lognormal(1.0, 0.3, (2, 25))
    times = matched([one, other])
    assert times[0] / times[1] == pytest.approx(float(np.median(one / other)))


@given(st.lists(TIMES, min_size=2, max_size=4), st.randoms(use_true_random=False))
def test_arms_that_change_places_change_values(passes: list[list[float]], rng: object) -> None:
    order = list(range(len(passes)))
    rng.shuffle(order)  # type: ignore[attr-defined]
    assert matched([passes[at] for at in order]) == pytest.approx(matched(passes)[order])


@given(st.lists(TIMES, min_size=1, max_size=4))
def test_their_common_level_is_that_of_their_medians(passes: list[list[float]]) -> None:
    medians = np.median(np.log(passes), axis=1)
    assert np.log(matched(passes)).mean() == pytest.approx(medians.mean())


def test_passes_beyond_those_of_the_others_are_left_out() -> None:
    assert matched([[10.0, 10.0, 1000.0], [20.0, 20.0]]) == pytest.approx([10.0, 20.0])


@pytest.mark.parametrize("passes", [[], [[1.0], []], [[1.0], [0.0]], [[1.0], [-1.0]]])
def test_what_has_no_logarithm_is_refused(passes: list[list[float]]) -> None:
    with pytest.raises(ValueError, match="needs a pass"):
        matched(passes)
