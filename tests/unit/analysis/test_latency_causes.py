"""Why slow calls are slow: shares and costs by hand, by brute force, and of long traces."""

from __future__ import annotations

import math
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.analysis.latency import (
    BEYOND,
    CAUSES,
    OUTLIERS,
    Pool,
    called_rows,
    cause_metrics,
    causes_of,
    key_of,
    process_calls,
    share_above,
)
from allocphase.analysis.latency.attribution import PAGE_FAULT, PREEMPTION, SLEEP, SYSTEM_CALL
from allocphase.errors import DataError
from allocphase.probe.arrays import (
    BUCKETS,
    KINDS,
    OUTLIER,
    RAW_OPS,
    SIZE_CLASSES,
    SLOW_CALL,
    SYSCALL_EVENT,
    Arrays,
)
from allocphase.store.record import ProcessRecord
from allocphase.trace.records import Kind
from tests.support.plugins import ROOT
from tests.support.runs import HZ, process

Ticks = npt.NDArray[np.int64]


def timed(
    ticks: Sequence[int] | Ticks, *, slow: Sequence[tuple[int, int, int, int]] = (), number: int = 0
) -> tuple[ProcessRecord, Arrays]:
    """A latency process; slow: (row, faults, sleeps, preemptions)."""
    arrays = {
        "call_ticks": np.asarray(ticks, dtype=np.uint32),
        "touch_ticks": np.zeros(len(ticks), dtype=np.uint32),
        "slow": np.array(list(slow), dtype=SLOW_CALL),
    }
    return process("latency", {"samples": "raw"}, id=number), arrays


def counted(raw: Arrays, kinds: npt.NDArray[np.uint8], *, kept: int) -> Arrays:
    """What the driver would have left of the same process, had the trace been long."""
    ticks = raw["call_ticks"].astype(np.int64)
    octave = np.maximum(np.floor(np.log2(np.maximum(ticks, 1))).astype(int) - 5, 0)
    histogram = np.zeros((KINDS, SIZE_CLASSES, BUCKETS), dtype=np.uint64)
    for kind, bucket in zip(kinds, octave * 32 + (ticks >> octave), strict=True):
        histogram[kind, 4, bucket] += 1
    slowest = np.argsort(ticks, kind="stable")[::-1][:kept]
    outliers = np.zeros(len(slowest), dtype=OUTLIER)
    outliers["op"], outliers["ticks"], outliers["kind"] = slowest, ticks[slowest], kinds[slowest]
    empty = np.zeros_like(histogram)
    return {
        "call_histogram": histogram,
        "touch_histogram": empty,
        "outliers": outliers,
        "slow": raw["slow"],
    }


def causes_in(
    *processes: tuple[ProcessRecord, Arrays],
    called: Sequence[int] | None = (),
    kinds: npt.NDArray[np.uint8] | None = None,
    threads: int = 1,
) -> dict[str, Any]:
    """Each of the processes BEYOND times; the counts are those of one time."""
    if kinds is None:
        kinds = np.full(len(processes[0][1]["call_ticks"]), Kind.MALLOC, dtype=np.uint8)
    rows = None if called is None else np.array(called, dtype=np.int64)
    pooled = Pool(kinds, rows, threads)
    for record, arrays in processes:
        for _ in range(BEYOND):
            pooled.add(record, arrays)
    return once(cause_metrics(pooled.latencies()))


def once(found: dict[str, Any]) -> dict[str, Any]:
    """Of metrics of as many like processes as make a quantile of one call beyond it, the counts of
    one of them.
    """
    for told in found.get("outlier_causes", {}).values():
        if told is not None:
            told["calls"] /= BEYOND
    if "cause_calls" in found:
        found["cause_calls"] = {key: n / BEYOND for key, n in found["cause_calls"].items()}
    return found


def shares(**found: float) -> dict[str, float]:
    return {key_of(cause): found.get(key_of(cause), 0.0) for cause in CAUSES}


# ---- One raw process ---------------------------------------------------------------------


def test_the_slowest_calls_are_shared_out_among_their_causes() -> None:
    ticks = np.arange(2, 802, 2)  # 1 to 400 ns: p99 is 396, four calls lie above
    found = causes_in(timed(ticks, slow=[(397, 1, 0, 0), (398, 0, 1, 0)]), called=[399, 398])
    p99 = found["outlier_causes"]["p99"]
    assert p99 == {
        "above_ns": 396.0,
        "calls": 4,
        **shares(system_call=0.25, page_fault=0.25, waited=0.25, neither=0.25),
    }
    assert found["outlier_causes"]["p99_9"] is None
    assert found["cause_calls"] == shares(system_call=1, page_fault=1, waited=1, neither=397)


def test_of_equal_calls_all_are_outliers_or_none() -> None:
    ticks = np.full(1000, 40)
    ticks[:20] = 60  # p99 is among these: not one call took longer
    assert causes_in(timed(ticks))["outlier_causes"]["p99"] is None
    ticks[:5] = 80
    p99 = causes_in(timed(ticks), called=[0, 5])["outlier_causes"]["p99"]
    assert (p99["above_ns"], p99["calls"], p99["system_call"]) == (30.0, 5, 0.2)


def test_a_cause_costs_the_ratio_of_the_medians() -> None:
    ticks = [20, 40, 60, 200, 400, 2000]
    found = causes_in(timed(ticks, slow=[(5, 3, 0, 0)]), called=[3, 4])
    assert found["cause_cost_ratio"] == {
        "system_call": 5.0,  # 100 ns, the lower of two medians, to 20
        "page_fault": 50.0,
        "waited": None,
        "preempted": None,
    }


def test_without_calls_that_had_no_cause_nothing_can_be_compared() -> None:
    found = causes_in(timed([20, 40]), called=[0, 1])
    assert found["cause_cost_ratio"]["system_call"] is None
    assert found["cause_calls"] == shares(system_call=2)


def test_processes_are_pooled_each_with_its_own_faults() -> None:
    first = timed([20, 2000, 20], slow=[(1, 1, 0, 0)])
    second = timed([20, 40, 4000], slow=[(2, 1, 0, 0)], number=1)
    found = causes_in(first, second)
    assert found["cause_calls"] == shares(page_fault=2, neither=4)
    assert found["cause_cost_ratio"]["page_fault"] == 100.0


def test_writes_and_what_was_skipped_are_no_calls() -> None:
    kinds = np.array([Kind.MALLOC, Kind.WRITE, Kind.FREE_FOREIGN, Kind.FREE], dtype=np.uint8)
    record, arrays = timed([20, 0, 0, 20])
    assert sum(causes_in((record, arrays), kinds=kinds)["cause_calls"].values()) == 3
    record = process("latency", {}, more={"skipped_operations": 1})
    assert sum(causes_in((record, arrays), kinds=kinds)["cause_calls"].values()) == 2


def test_where_system_calls_were_not_all_seen_no_cause_is_told() -> None:
    assert causes_in(timed([20, 40]), called=None) == {}
    lost = process("latency", {"slow_calls_dropped": 1})
    assert causes_in((lost, timed([20, 40])[1])) == {}


def test_with_threads_the_cost_of_a_system_call_is_not_told() -> None:
    process_ = timed([20, 40, 600, 800], slow=[(3, 1, 0, 0)])
    alone, together = (causes_in(process_, called=[2], threads=n) for n in (1, 2))
    assert alone["cause_cost_ratio"]["system_call"] == 30.0
    assert together["cause_cost_ratio"]["system_call"] is None
    assert together["cause_cost_ratio"]["page_fault"] == alone["cause_cost_ratio"]["page_fault"]


def test_samples_of_another_trace_are_refused() -> None:
    record, arrays = timed([20, 40])
    with pytest.raises(DataError, match="2 latencies for 3 operations"):
        process_calls(record, arrays, np.zeros(3, dtype=np.uint8))


@given(
    st.lists(st.tuples(st.integers(1, 500), st.booleans(), st.booleans()), min_size=100),
    st.sampled_from(list(OUTLIERS)),
)
def test_shares_are_what_counting_the_calls_one_by_one_gives(
    calls: list[tuple[int, bool, bool]], quantile: str
) -> None:
    ticks = [2 * ns for ns, _, _ in calls]
    slow = [(row, 1, 0, 0) for row, (_, faulted, _) in enumerate(calls) if faulted]
    called = [row for row, (_, _, made) in enumerate(calls) if made]
    found = causes_in(timed(ticks, slow=slow), called=called)["outlier_causes"][quantile]
    rank = math.ceil(round(OUTLIERS[quantile] * len(calls), 6))
    limit = sorted(ns for ns, _, _ in calls)[rank - 1]
    above = [(faulted, made) for ns, faulted, made in calls if ns > limit]
    if found is None:
        assert not above or rank == len(calls)
        return
    assert found["calls"] == len(above)
    assert found["system_call"] == sum(made for _, made in above) / len(above)
    assert found["page_fault"] == sum(f and not made for f, made in above) / len(above)


# ---- Long traces -------------------------------------------------------------------------


def _pair(kept: int) -> tuple[dict[str, Any], dict[str, Any]]:
    """The same 20,000 calls as raw samples and as a long trace leaves them."""
    rng = np.random.default_rng(11)
    ticks = (40 + 60 * rng.pareto(1.5, 20_000)).astype(np.int64)
    rows = rng.permutation(20_000)
    slow = [(int(row), 1, 0, 0) for row in rows[:300]]
    ticks[rows[:300]] += 2000
    called = np.sort(rows[300:400])
    ticks[called] += 9000
    kinds = np.where(np.arange(20_000) % 2, Kind.FREE, Kind.MALLOC).astype(np.uint8)
    raw = timed(ticks, slow=slow)
    long = (process("latency", {"samples": "histogram"}), counted(raw[1], kinds, kept=kept))
    return (
        causes_in(raw, called=called.tolist(), kinds=kinds),
        causes_in(long, called=called.tolist(), kinds=np.empty(0, dtype=np.uint8)),
    )


def test_a_long_trace_s_shares_are_exact_where_all_slow_calls_were_kept() -> None:
    raw, long = _pair(kept=1000)
    assert long["outlier_causes"] == raw["outlier_causes"]
    assert long["cause_calls"] == raw["cause_calls"]


def test_what_a_long_trace_does_not_tell_is_none() -> None:
    raw, long = _pair(kept=150)  # above p99 there are 200 calls
    assert long["outlier_causes"]["p99"] is None
    assert long["outlier_causes"]["p99_9"] == raw["outlier_causes"]["p99_9"] is not None
    assert long["cause_calls"] == raw["cause_calls"]


def test_a_long_trace_s_costs_rest_on_the_histogram_s_median() -> None:
    raw, long = _pair(kept=1000)
    for cause in ("system_call", "page_fault"):
        exact = raw["cause_cost_ratio"][cause]
        assert long["cause_cost_ratio"][cause] == pytest.approx(exact, rel=1 / 32)
    _, few = _pair(kept=120)  # not half of the faults are among them
    assert few["cause_cost_ratio"]["page_fault"] is None
    assert few["cause_cost_ratio"]["system_call"] is not None


def test_a_median_that_hangs_on_unknown_calls_is_none() -> None:
    """Half of the calls made a system call; whether those lie below the median is not known."""
    ticks = np.arange(1000, 3000)
    kinds = np.zeros(2000, dtype=np.uint8)
    long = process("latency", {}), counted(timed(ticks)[1], kinds, kept=10)
    found = causes_in(long, called=range(0, 2000, 2), kinds=np.empty(0, dtype=np.uint8))
    assert found["cause_cost_ratio"]["system_call"] is None
    assert found["cause_calls"] == shares(system_call=1000, neither=1000)


def test_a_long_trace_without_kept_calls_has_counts_only() -> None:
    kinds = np.zeros(2000, dtype=np.uint8)
    arrays = counted(timed(np.arange(1000, 3000))[1], kinds, kept=10)
    del arrays["outliers"]
    found = causes_in((process("latency", {}), arrays), kinds=np.empty(0, dtype=np.uint8))
    assert set(found["outlier_causes"].values()) == {None}
    assert found["cause_calls"] == shares(neither=2000)


def test_the_longest_trace_with_raw_samples_is_the_driver_s() -> None:
    text = (ROOT / "driver" / "options.c").read_text(encoding="utf-8")
    assert re.search(rf"\.raw_ops = {RAW_OPS},", text)


# ---- Rows, events, one process -----------------------------------------------------------


@pytest.mark.parametrize(
    ("part", "rows"),
    [
        ({"operation": {"mmap": 3}}, [0, 2]),
        ({"operation": {"mmap": 3}, "events_dropped": 1}, None),
        ({"operation": None}, None),
        ({}, None),
    ],
)
def test_rows_with_system_calls_are_told_once_or_not_at_all(
    part: dict[str, Any], rows: list[int] | None
) -> None:
    events = np.array([(2, 0, 9), (0, 0, 9), (2, 0, 11)], dtype=SYSCALL_EVENT)
    found = called_rows(process("syscalls", part), {"syscalls": events})
    assert (None if found is None else found.tolist()) == rows


@pytest.mark.parametrize(
    ("bits", "cause"),
    [
        (0, "neither"),
        (PREEMPTION, "preempted"),
        (PAGE_FAULT | PREEMPTION, "page fault"),
        (SYSTEM_CALL | PAGE_FAULT, "system call"),
        (SLEEP | SYSTEM_CALL | PAGE_FAULT, "waited"),
    ],
)
def test_of_several_events_the_one_that_explains_most_is_the_cause(bits: int, cause: str) -> None:
    assert CAUSES[causes_of(bits)] == cause


def test_a_share_is_that_of_one_kind_and_of_one_event_whatever_else_happened() -> None:
    kinds = np.array([Kind.MALLOC] * 4 + [Kind.FREE] * 2, dtype=np.uint8)
    record, arrays = timed([20, 40, 60, 80, 200, 200], slow=[(3, 1, 0, 0), (4, 1, 0, 0)])
    calls = process_calls(record, arrays, kinds, called=np.array([3]))
    limit_ns = 1e9 / HZ * 40
    for event, share in (("system call", 0.5), ("page fault", 0.5), ("sleep", 0.0)):
        assert share_above(calls, kind="malloc", above_ns=limit_ns, event=event) == share
    assert share_above(calls, kind="malloc", above_ns=1000.0, event="sleep") is None


def test_a_share_among_calls_that_were_not_all_kept_is_none() -> None:
    kinds = np.zeros(100, dtype=np.uint8)
    long = counted(timed(np.arange(1000, 1100))[1], kinds, kept=10)
    calls = process_calls(process("latency", {}), long, kinds, called=np.array([99]))
    assert share_above(calls, kind="malloc", above_ns=545.0, event="system call") == 1 / 9
    assert share_above(calls, kind="malloc", above_ns=500.0, event="system call") is None
