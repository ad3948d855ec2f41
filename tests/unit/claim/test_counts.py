"""Counts: every process is judged, and what varies from one to the next is no exact figure."""

from __future__ import annotations

import pytest

from tests.support.claims import Writer, check, count, judged, only
from tests.support.runs import memory_part


@pytest.mark.parametrize(
    ("metric", "relation", "verdict"),
    [
        ("syscalls.operation.mmap", "equals = 3", "reproduced"),
        ("syscalls.operation.mmap", "equals = 4", "contradicted"),
        ("syscalls.operation.mmap", "at_least = 3", "reproduced"),
        ("syscalls.operation.mmap", "at_most = 2", "contradicted"),
        ("syscalls.operation", "equals = 8", "reproduced"),
        ("syscalls.operation.brk", "equals = 0", "reproduced"),
        ("syscalls.teardown", "equals = 0", "reproduced"),
        ("syscalls.init", "equals = 0", "not measured"),
        ("syscalls.init.mmap", "equals = 0", "not measured"),
        ("syscalls_per_op", "equals = 0.4", "reproduced"),
        ("allocator_stats.frequency_hz.3.14159", "equals = 7", "reproduced"),
        ("allocator_stats.pool_hits", "equals = 0", "not measured"),
        ("page_faults_in_calls", "equals = 0", "not measured"),
    ],
)
def test_counts_are_exact_and_an_unseen_phase_is_not_zero(
    run: Writer, metric: str, relation: str, verdict: str
) -> None:
    stats = {"frequency_hz.3.14159": 7.0, "pool_hit_rate": 1.0}
    run.calls("quick", {"mmap": 3, "munmap": 5}, init=None, stats=stats)
    assert only(judged(run, count(metric, relation))).verdict == verdict


def test_a_statistic_that_the_allocator_does_not_have_gets_the_nearest_one(run: Writer) -> None:
    run.calls("quick", {}, stats={"pool_hit_rate": 1.0})
    finding = only(judged(run, count("allocator_stats.pool_hit_rat", "equals = 1"))).checks[0]
    assert "did you mean 'allocator_stats.pool_hit_rate'" in finding.measured


@pytest.mark.parametrize(
    ("metric", "relation", "verdict"),
    [
        ("instructions_per_op", "equals = 45", "reproduced"),
        ("instructions", "at_most = 44", "contradicted"),
        ("instructions.malloc", "at_most = 60", "reproduced"),
        ("instructions.free", "equals = 30", "reproduced"),
        ("instructions.realloc", "equals = 0", "not measured"),
    ],
)
def test_instructions_are_counts_as_others(
    run: Writer, metric: str, relation: str, verdict: str
) -> None:
    part = {"calls": {"malloc": 10, "free": 10}, "counted": {"malloc": 600, "free": 300}}
    for _ in range(2):
        run.add("quick", "instructions", {"repeated_operations": 20, "instructions": part})
    assert only(judged(run, count(metric, relation))).verdict == verdict


def test_system_calls_that_nothing_could_see_are_not_zero(run: Writer) -> None:
    run.add("quick", "syscalls", {"operations": 20, "syscalls": {}})
    assert only(judged(run, count("syscalls.operation", "equals = 0"))).verdict == "not measured"


def test_a_difference_of_two_cells_is_a_count(run: Writer) -> None:
    run.calls("slow", {"mmap": 10})
    run.calls("quick", {"mmap": 4, "munmap": 1})
    table = count("syscalls.operation.mmap", 'equals = 6\nminus = { allocator = "quick" }', "slow")
    finding = only(judged(run, table)).checks[0]
    assert (finding.value, finding.verdict) == (6.0, "reproduced")
    assert finding.measured == "10 - 4 = 6"


@pytest.mark.parametrize(("bound", "verdict"), [(1.2, "reproduced"), (1.19, "contradicted")])
def test_bytes_divide_exactly(run: Writer, bound: float, verdict: str) -> None:
    memory = memory_part(peak_live_bytes=1000, peak_rss_bytes=1200)
    run.add("quick", "memory", {"memory": memory})
    table = check(
        "ratio",
        "quick",
        'metric = "peak_rss_bytes"',
        'to = { metric = "peak_live_bytes" }',
        f"at_most = {bound}",
    )
    assert only(judged(run, table)).verdict == verdict


# ---- Several processes -------------------------------------------------------------------------

INTERMITTENT = (1002, 1002, 1002, 2)


@pytest.mark.parametrize(
    ("counts", "relation", "verdict"),
    [
        ((3, 3, 3, 3), "equals = 3", "reproduced"),
        ((3, 3, 3, 3), "equals = 4", "contradicted"),
        (INTERMITTENT, "at_most = 2", "inconclusive"),
        (INTERMITTENT, "at_least = 1000", "inconclusive"),
        (INTERMITTENT, "equals = 1002", "inconclusive"),
        (INTERMITTENT, "at_most = 1002", "reproduced"),
        (INTERMITTENT, "at_least = 2", "reproduced"),
        (INTERMITTENT, "at_most = 1", "contradicted"),
        (INTERMITTENT, "at_least = 1003", "contradicted"),
        (INTERMITTENT, "about = 500\nwithin = 100", "contradicted"),
        ((2, 2, 2, 1002), "at_most = 2", "inconclusive"),
    ],
)
def test_a_claim_holds_where_it_does_in_every_process_and_fails_where_it_does_in_none(
    run: Writer, counts: tuple[int, ...], relation: str, verdict: str
) -> None:
    for calls in counts:
        run.calls("quick", {"mmap": calls})
    assert only(judged(run, count("syscalls.operation.mmap", relation))).verdict == verdict


def test_a_count_that_varies_is_shown_with_its_least_and_its_most(run: Writer) -> None:
    for calls in INTERMITTENT:
        run.calls("quick", {"mmap": calls})
    (finding,) = only(judged(run, count("syscalls.operation.mmap", "at_most = 2"))).checks
    assert finding.measured == "1,002 (2 to 1,002 of 4 processes)"
    assert (finding.value, finding.lower, finding.upper) == (1002, 2, 1002)


def test_a_count_on_which_all_agree_is_one_figure(run: Writer) -> None:
    for _ in range(4):
        run.calls("quick", {"mmap": 3})
    (finding,) = only(judged(run, count("syscalls.operation.mmap", "equals = 3"))).checks
    assert (finding.measured, finding.lower, finding.upper) == ("3", None, None)


@pytest.mark.parametrize(
    ("relation", "verdict"),
    [
        ("at_least = 2", "reproduced"),
        ("at_least = 3", "inconclusive"),
        ("at_most = 6", "reproduced"),
        ("at_most = 5", "inconclusive"),
        ("at_least = 7", "contradicted"),
    ],
)
def test_a_difference_is_that_of_each_process_from_each(
    run: Writer, relation: str, verdict: str
) -> None:
    for slow, quick in ((8, 4), (10, 6)):
        run.calls("slow", {"mmap": slow})
        run.calls("quick", {"mmap": quick})
    table = count(
        "syscalls.operation.mmap", f'{relation}\nminus = {{ allocator = "quick" }}', "slow"
    )
    (finding,) = only(judged(run, table)).checks
    assert finding.verdict == verdict
    assert finding.measured == (
        "9 (8 to 10 of 2 processes) - 5 (4 to 6 of 2 processes) = 4 (2 to 6)"
    )


def test_a_ratio_of_counts_is_that_of_each_process_to_each(run: Writer) -> None:
    for allocator, peaks in (("slow", (1000, 2000)), ("quick", (500, 1000))):
        for peak in peaks:
            run.add(allocator, "memory", {"memory": memory_part(peak_rss_bytes=peak)})
    table = check(
        "ratio", "slow", 'metric = "peak_rss_bytes"', 'to = { allocator = "quick" }', "at_most = 2"
    )
    (finding,) = only(judged(run, table)).checks
    assert (finding.verdict, finding.measured) == ("inconclusive", "2.00x (1.00x to 4.00x)")


def test_a_ratio_of_two_figures_of_one_process_is_taken_within_it(run: Writer) -> None:
    for live in (1000, 2000):
        memory = memory_part(peak_live_bytes=live, peak_rss_bytes=2 * live)
        run.add("quick", "memory", {"memory": memory})
    table = check(
        "ratio",
        "quick",
        'metric = "peak_rss_bytes"',
        'to = { metric = "peak_live_bytes" }',
        "at_most = 2",
    )
    (finding,) = only(judged(run, table)).checks
    assert (finding.verdict, finding.measured) == ("reproduced", "2.00x")


def test_a_process_that_lacks_a_figure_leaves_none(run: Writer) -> None:
    run.calls("quick", {"mmap": 3})
    run.add("quick", "syscalls", {"operations": 20, "syscalls": {}})
    assert only(judged(run, count("syscalls.operation", "equals = 3"))).verdict == "not measured"
