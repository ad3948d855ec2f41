"""Ratios of latencies: without the cost of the clock, and no finer than its step."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase.claim.clock import CLOCKS_OWN
from tests.support.claims import Writer, check, judged, only

# As of a machine whose pair of readings costs 20 ns and whose clock moves by 10 ns.
CLOCK = (20.0, 10.0)


def latencies(run: Writer, allocator: str, *, median_ns: int, most_ns: int) -> None:
    run.latencies(allocator, [median_ns] * 9 + [most_ns] + [1000] * 10, clock=CLOCK)


def tail(relation: str) -> str:
    return check("quantile_ratio", "quick", 'upper = "max"', 'lower = "p50"', relation)


def test_the_clock_comes_off_both_sides_and_its_step_widens_the_interval(run: Writer) -> None:
    latencies(run, "quick", median_ns=120, most_ns=320)
    (finding,) = only(judged(run, tail("at_most = 2.9"))).checks
    # (320 - 20) / (120 - 20); (300 - 10) / (100 + 10); (300 + 10) / (100 - 10)
    expected = (3.0, 290 / 110, 310 / 90)
    assert (finding.value, finding.lower, finding.upper) == pytest.approx(expected)
    assert finding.verdict == "inconclusive"


@pytest.mark.parametrize(
    ("most_ns", "verdict"), [(170, "reproduced"), (180, "inconclusive"), (600, "contradicted")]
)
def test_a_promise_is_judged_without_the_clock(run: Writer, most_ns: int, verdict: str) -> None:
    """With the clock in both, 180 ns over 80 ns were 2.25x, and below 3 without a doubt."""
    latencies(run, "quick", median_ns=80, most_ns=most_ns)
    assert only(judged(run, tail("at_most = 3.2"))).verdict == verdict


@pytest.mark.parametrize(
    ("median_ns", "measured"),
    [(40, False), (int(CLOCKS_OWN * CLOCK[0]) - 1, False), (int(CLOCKS_OWN * CLOCK[0]), True)],
)
def test_nothing_is_divided_by_a_median_that_is_the_clock_s(
    run: Writer, median_ns: int, measured: bool
) -> None:
    latencies(run, "quick", median_ns=median_ns, most_ns=90)
    (finding,) = only(judged(run, tail("at_most = 3"))).checks
    assert (finding.verdict != "not measured") is measured
    if not measured:
        assert finding.measured == (
            f"the median is the clock's: latency_ns.malloc.p50 of quick is {median_ns}.0 ns, where "
            "reading the clock takes 20.0 ns, in steps of 10.0 ns"
        )


def test_latencies_of_two_allocators_are_without_the_clock_too(run: Writer) -> None:
    latencies(run, "slow", median_ns=220, most_ns=300)
    latencies(run, "quick", median_ns=120, most_ns=300)
    table = check(
        "ratio",
        "slow",
        'metric = "latency_ns.malloc.p50"',
        'to = { allocator = "quick" }',
        "about = 2\nwithin = 0.5",
    )
    (finding,) = only(judged(run, table)).checks
    expected = (2.0, 190 / 110, 210 / 90)
    assert (finding.value, finding.lower, finding.upper) == pytest.approx(expected)


def test_what_is_divided_may_be_at_the_clock_and_is_at_least_a_step(run: Writer) -> None:
    latencies(run, "quick", median_ns=25, most_ns=300)
    latencies(run, "slow", median_ns=1020, most_ns=3000)
    table = check(
        "ratio",
        "quick",
        'metric = "latency_ns.malloc.p50"',
        'to = { allocator = "slow" }',
        "at_most = 0.5",
    )
    (finding,) = only(judged(run, table)).checks
    assert (finding.value, finding.lower, finding.upper) == pytest.approx((0.01, 0.0, 20 / 990))
    assert finding.verdict == "reproduced"


def test_a_step_does_not_average_out_over_rounds(run: Writer) -> None:
    """All processes of one clock may be rounded the same way."""
    run.latencies("quick", [120] * 9 + [320] + [1000] * 10, clock=CLOCK, rounds=101)
    (finding,) = only(judged(run, tail("at_most = 3"))).checks
    assert (finding.lower, finding.upper) == pytest.approx((290 / 110, 310 / 90))
    assert finding.verdict == "inconclusive"


def test_growth_of_a_latency_is_that_of_the_call(tmp_path: Path) -> None:
    """With the clock's 20 ns in it, 100 ns to 1,000 ns would be an exponent of 0.93."""
    run = Writer(tmp_path / "run", scenarios=["flow?n=1", "flow?n=10"])
    for n in (1, 10):
        calls_ns = [20 + 100 * n] * 20
        run.latencies("quick", calls_ns, clock=CLOCK, scenario=f"flow?n={n}")
    sweep = ('metric = "latency_ns.malloc.p50"', 'parameter = "n"', "values = [1, 10]")
    table = check("growth", "quick", *sweep, "about = 1\nwithin = 0.001")
    assert only(judged(run, table)).verdict == "reproduced"


def test_what_is_the_clock_s_does_not_grow(tmp_path: Path) -> None:
    run = Writer(tmp_path / "run", scenarios=["flow?n=1", "flow?n=10"])
    for n in (1, 10):
        run.latencies("quick", [40] * 20, clock=CLOCK, scenario=f"flow?n={n}")
    sweep = ('metric = "latency_ns.malloc.p50"', 'parameter = "n"', "values = [1, 10]")
    table = check("growth", "quick", *sweep, "about = 0\nwithin = 0.1")
    assert only(judged(run, table)).verdict == "not measured"
