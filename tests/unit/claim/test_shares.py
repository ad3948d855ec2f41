"""Shares of the slowest calls, against the base rate of all calls."""

from __future__ import annotations

import pytest

from tests.support.claims import Writer, check, judged, only
from tests.support.runs import process


@pytest.mark.parametrize(
    ("event", "share"),
    [("system call", 0.5), ("page fault", 1.0)],
)
def test_of_the_slowest_calls_those_with_an_event_are_counted(
    run: Writer, event: str, share: float
) -> None:
    # Above the p50 of malloc lie operations 8 and 9; the frees are slower and are none of them.
    run.latencies("quick", [10] * 8 + [60, 70] + [1000] * 10, faults=[0, 8, 9, 12])
    run.calls("quick", {"mmap": 3}, at=[0, 9, 12])
    table = check(
        "share",
        "quick",
        'above = "p50"',
        f'event = "{event}"',
        f'about = "{share:.0%}"\nwithin = 0',
    )
    finding = only(judged(run, table)).checks[0]
    assert (finding.value, finding.verdict) == (share, "reproduced")


def rate(*lines: str, allocator: str = "quick", event: str = "system call") -> str:
    return check("share", allocator, 'above = "p90"', f'event = "{event}"', *lines)


@pytest.mark.parametrize(
    ("at", "share", "base", "lift"),
    [
        ([9], "100%", "10%", "10.0x"),
        ([8, 9], "100%", "20%", "5.00x"),
        ([0, 1, 2, 3, 9], "100%", "50%", "2.00x"),
        ([0], "0%", "10%", "0x"),
        ([9, 12, 13, 14], "100%", "10%", "10.0x"),
    ],
)
def test_a_share_stands_beside_its_base_rate_and_its_lift(
    run: Writer, at: list[int], share: str, base: str, lift: str
) -> None:
    # Above the p90 of malloc lies operation 9 alone; 10 and on are frees, which do not count.
    run.latencies("quick", [10] * 9 + [70] + [1000] * 10)
    run.calls("quick", {"mmap": len(at)}, at=at)
    (finding,) = only(judged(run, rate('judge = "lift"', "at_least = 1"))).checks
    assert finding.measured == (
        f"{share} ({share} to {share}) of the slow, {base} of all: "
        f"a lift of {lift} ({lift} to {lift})"
    )


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        (('judge = "lift"', "at_least = 5"), "reproduced"),
        (('judge = "lift"', "at_least = 6"), "contradicted"),
        (('judge = "lift"', "at_most = 1"), "contradicted"),
        (('judge = "share"', "at_least = 0.9"), "reproduced"),
        (("at_most = 0.9",), "contradicted"),
    ],
)
def test_either_the_share_or_the_lift_is_judged(
    run: Writer, lines: tuple[str, ...], verdict: str
) -> None:
    run.latencies("quick", [10] * 9 + [70] + [1000] * 10)
    run.calls("quick", {"mmap": 2}, at=[0, 9])
    (finding,) = only(judged(run, rate(*lines))).checks
    assert finding.verdict == verdict
    assert finding.value == (5.0 if "lift" in lines[0] else 1.0)


@pytest.mark.parametrize("lines", [("at_least = 0.9",), ('judge = "lift"', "at_least = 1")])
@pytest.mark.parametrize(("at", "word"), [(range(10), "every"), (range(10, 20), "no")])
def test_what_every_call_has_or_none_says_nothing_of_the_slow_ones(
    run: Writer, at: range, word: str, lines: tuple[str, ...]
) -> None:
    """At a base rate of 1 the share is 1, whatever makes the spikes: such a check cannot fail."""
    run.latencies("quick", [10] * 9 + [70] + [1000] * 10)
    run.calls("quick", {"mmap": 10}, at=at)
    (finding,) = only(judged(run, rate(*lines))).checks
    assert finding.verdict == "not measured"
    assert finding.measured == (
        f"{word} malloc call of quick on flow has a system call: "
        "the share says nothing of what is slow"
    )


def test_events_that_were_not_all_kept_have_no_share(run: Writer) -> None:
    run.latencies("quick", [10] * 9 + [70] + [1000] * 10, dropped=1)
    run.calls("quick", {"mmap": 1}, at=[0])
    (finding,) = only(judged(run, rate("at_most = 0"))).checks
    assert (finding.verdict, "was not kept" in finding.measured) == ("not measured", True)


def test_shares_are_those_of_processes_whose_calls_were_kept(run: Writer) -> None:
    run.latencies("quick", [10] * 9 + [70] + [1000] * 10)
    run.calls("quick", {"mmap": 1}, at=[9])
    place = {"allocator": "quick", "scenario": "flow", "id": run.processes, "round": 5}
    run.writer.add(process("latency", {}, quantiles_ns={"p90": 10.0}, **place), {})
    (finding,) = only(judged(run, rate("at_least = 0.9"))).checks
    assert (finding.value, finding.verdict) == (1.0, "reproduced")
