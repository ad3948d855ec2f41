"""Time saved in words: the sign is in the verb, and the interval counts as the verb does."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.text.saved import saved_phrase, saved_words
from allocphase.text.units import format_ns_range


@pytest.mark.parametrize(
    ("figures", "text"),
    [
        ((3.1, 2.8, 3.4), "saves 3.10 ns (2.80 to 3.40 ns)"),
        ((-3.1, -3.4, -2.8), "costs 3.10 ns (2.80 to 3.40 ns)"),
        ((0.1, -0.2, 0.4), "saves 0.10 ns (-0.20 to 0.40 ns)"),
        ((-0.1, -0.4, 0.2), "costs 0.10 ns (-0.20 to 0.40 ns)"),
        ((0.0, 0.0, 0.0), "saves 0 ns (0 to 0 ns)"),
        ((-1980.0, -2020.0, -940.0), "costs 1.98 µs (940 ns to 2.02 µs)"),
        ((3.1, -math.inf, math.inf), "saves 3.10 ns (too few rounds for an interval)"),
        ((3.1, math.nan, math.nan), "saves 3.10 ns (too few rounds for an interval)"),
    ],
)
def test_a_difference_in_words(figures: tuple[float, float, float], text: str) -> None:
    assert saved_phrase(*figures) == text


def test_what_cannot_be_told_from_nothing_is_marked() -> None:
    assert saved_words(3.1, undecided=True) == "saves ~3.10 ns"
    assert saved_words(-3.1, undecided=True) == "costs ~3.10 ns"


@pytest.mark.parametrize(
    ("low", "high", "text"),
    [
        (2.8, 3.4, "2.80 to 3.40 ns"),
        (-3.4, -2.8, "-3.40 to -2.80 ns"),
        (980.0, 1020.0, "980 ns to 1.02 µs"),
        (-1500.0, 1.0, "-1.50 µs to 1.00 ns"),
    ],
)
def test_a_range_has_its_unit_once_where_both_ends_have_it(
    low: float, high: float, text: str
) -> None:
    assert format_ns_range(low, high) == text


@given(*(st.floats(-1e6, 1e6).filter(bool) for _ in range(1)), st.floats(0, 1e6), st.floats(0, 1e6))
def test_turned_round_only_the_verb_changes(middle: float, less: float, more: float) -> None:
    forth = saved_phrase(middle, middle - less, middle + more)
    back = saved_phrase(-middle, -middle - more, -middle + less)
    verbs = {"saves": "costs", "costs": "saves"}
    verb, _, rest = forth.partition(" ")
    assert back == f"{verbs[verb]} {rest}"
