"""What is minimised, and bounds: what is read, and what is refused with the way out."""

from __future__ import annotations

import math

import pytest

from allocphase.errors import UsageError
from allocphase.tune import read_bound, target_measure


@pytest.mark.parametrize(
    ("name", "of_program", "found"),
    [
        ("time", False, "time"),
        ("time", True, "wall"),
        ("wall", True, "wall"),
        ("peak_rss", True, "program_peak_rss"),
        ("page_faults", True, "program_page_faults"),
        ("peak_rss_bytes", False, "peak_rss"),
        ("p99_9", False, "p99_9"),
        ("syscalls.mmap", False, "syscalls.mmap"),
    ],
)
def test_a_metric_is_that_of_the_trace_or_of_the_program(
    name: str, of_program: bool, found: str
) -> None:
    assert target_measure(name, of_program=of_program).name == found


@pytest.mark.parametrize(
    ("name", "of_program", "words"),
    [
        ("wall", False, "'wall' is of programs, and the scenario is none"),
        ("p99", True, "'p99' is of traces, and the scenario is a program"),
        ("peak_rsss", False, "did you mean 'peak_rss'"),
        ("fragmentation", False, "can be neither compared nor gated"),
    ],
)
def test_a_metric_that_cannot_be_is_refused(name: str, of_program: bool, words: str) -> None:
    with pytest.raises(UsageError, match=words):
        target_measure(name, of_program=of_program)


@pytest.mark.parametrize(
    ("text", "limit", "most"),
    [
        ("peak_rss<=1.1x", 1.1, 110.0),
        ("peak_rss <= .5x", 0.5, 50.0),
        ("peak_rss<=64MiB", 64.0 * 2**20, 64.0 * 2**20),
        ("peak_rss<=4096", 4096.0, 4096.0),
        ("page_faults<=1000", 1000.0, 1000.0),
        ("p99<=250ns", 250.0, 250.0),
        ("time<=1.5us", 1500.0, 1500.0),
    ],
)
def test_a_bound_is_a_factor_of_the_default_or_a_value(
    text: str, limit: float, most: float
) -> None:
    found = read_bound(text, of_program=False)
    assert found.limit == pytest.approx(limit)
    assert found.most(100.0) == pytest.approx(most)
    assert found.factor(100.0) == pytest.approx(most / 100.0)


def test_a_value_over_nothing_is_a_bound_that_nothing_breaks() -> None:
    assert read_bound("page_faults<=10", of_program=False).factor(0.0) == math.inf


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("peak_rss", "is written METRIC<=FACTORx or METRIC<=VALUE"),
        ("peak_rss<1.1x", "is written METRIC<=FACTORx"),
        ("peak_rss<=", "is written METRIC<=FACTORx"),
        ("peak_rss<=-1", "is written METRIC<=FACTORx"),
        ("peak_rss<=1e3", "is written METRIC<=FACTORx"),
        ("peak_rss<=0x", "the factor must be above 0"),
        ("peak_rss<=64ms", "peak_rss takes a unit of B, KiB, MiB, GiB, TiB or none"),
        ("time<=64", "time takes a unit of ns, us, µs, ms, s, or a factor"),
        ("page_faults<=64KiB", "page_faults takes a plain number, or a factor"),
        ("peak_rsss<=1.1x", "did you mean 'peak_rss'"),
        ("peak_rss<=99999999999TiB", "more than can be measured"),
    ],
)
def test_a_bound_that_cannot_be_read_is_refused_with_its_form(text: str, words: str) -> None:
    with pytest.raises(UsageError, match=words) as refused:
        read_bound(text, of_program=False)
    assert str(refused.value).startswith("bound ")
