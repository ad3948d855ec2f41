"""Figures as they are printed."""

from __future__ import annotations

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.text.units import (
    counted,
    format_bytes,
    format_count,
    format_ns,
    format_per_second,
    format_ratio,
)


@pytest.mark.parametrize(
    ("value_ns", "text"),
    [
        (0.0, "0 ns"),
        (0.5, "0.50 ns"),
        (9.994, "9.99 ns"),
        (12.34, "12.3 ns"),
        (100.0, "100 ns"),
        (999.0, "999 ns"),
        (12345.6, "12.3 µs"),
        (1e6, "1.00 ms"),
        (2.5e9, "2.50 s"),
        (123456e9, "123,456 s"),
        (-1500.0, "-1.50 µs"),
    ],
)
def test_a_time_has_three_digits_and_the_largest_unit_that_fits(value_ns: float, text: str) -> None:
    assert format_ns(value_ns) == text


@pytest.mark.parametrize(
    ("value_bytes", "text"),
    [(0, "0 B"), (17, "17.0 B"), (1023, "1,023 B"), (1536, "1.50 KiB"), (16 << 20, "16.0 MiB")],
)
def test_bytes_are_scaled_by_powers_of_1024(value_bytes: float, text: str) -> None:
    assert format_bytes(value_bytes) == text


@pytest.mark.parametrize(
    ("rate", "text"),
    [(0, "0 /s"), (0.5, "0.50 /s"), (999, "999 /s"), (41.7e6, "41.7 M/s"), (2.5e9, "2.50 G/s")],
)
def test_a_rate_is_scaled_by_powers_of_1000(rate: float, text: str) -> None:
    assert format_per_second(rate) == text


def test_whole_counts_are_whole_and_others_have_three_digits() -> None:
    assert [format_count(v) for v in (0, 1_000_000, 0.125, 12.5)] == [
        "0",
        "1,000,000",
        "0.12",
        "12.5",
    ]


def test_a_ratio_says_that_it_is_one() -> None:
    assert [format_ratio(v) for v in (1.0, 20.04, 164.2)] == ["1.00x", "20.0x", "164x"]


@pytest.mark.parametrize(
    ("count", "noun", "text"),
    [
        (0, "process", "0 processes"),
        (1, "process", "1 process"),
        (2, "process", "2 processes"),
        (1234, "round", "1,234 rounds"),
        (1.0, "byte", "1 byte"),
        (21, "timed process", "21 timed processes"),
    ],
)
def test_one_of_a_thing_is_not_called_several(count: float, noun: str, text: str) -> None:
    assert counted(count, noun) == text


@pytest.mark.parametrize(
    "show", [format_ns, format_bytes, format_count, format_per_second, format_ratio]
)
def test_what_is_missing_is_a_dash(show: object) -> None:
    assert callable(show)
    assert [show(None), show(math.nan)] == ["-", "-"]


@given(st.floats(min_value=1e-2, max_value=1e15))
def test_what_is_printed_is_within_a_percent_of_the_value(value_ns: float) -> None:
    number, unit = format_ns(value_ns).split(" ")
    factor = {"ns": 1.0, "µs": 1e3, "ms": 1e6, "s": 1e9}[unit]
    printed = float(number.replace(",", "")) * factor
    assert printed == pytest.approx(value_ns, rel=0.01, abs=0.006)
