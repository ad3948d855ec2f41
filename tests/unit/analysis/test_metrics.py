"""From processes to metrics, on figures that can be worked out by hand."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from allocphase.analysis.latency import BEYOND, Pool, Replay, arrays_of
from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import (
    KIND_NAMES,
    cell_metrics,
    flatten,
    process_time_ns,
    replay_share,
)
from allocphase.files.typed import plain
from allocphase.probe.arrays import (
    BUCKETS,
    KINDS,
    OUTLIER,
    SIZE_CLASSES,
    SLOW_CALL,
    Arrays,
    bucket_midpoints,
)
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.store.record import ProcessRecord
from allocphase.trace.records import Kind
from tests.support.replays import with_warm_replays
from tests.support.runs import memory_part, process

TRACE = np.array([Kind.MALLOC] * 3 + [Kind.CALLOC] + [Kind.FREE] * 4, dtype=np.uint8)


def metrics_of(
    *processes: tuple[ProcessRecord, Arrays], kinds: npt.NDArray[np.uint8] = TRACE
) -> dict[str, Any]:
    """Latencies are those of BEYOND warm replays: what one call lies beyond in one has enough."""
    records = [record for record, _ in processes]
    steady = Pool(kinds)
    for record, arrays in processes:
        if record.probe is Probe.LATENCY and record.ok:
            every = with_warm_replays(arrays, operations=len(kinds), warm=BEYOND)
            steady.add(record, arrays_of(every, Replay.WARM))
    latencies = {Replay.WARM: steady.latencies(), Replay.FIRST: Pool(kinds).latencies()}
    return cell_metrics(records, latencies)


# ---- Throughput --------------------------------------------------------------------------


def throughput(number: int, warm: list[float], *, cold: float = 50.0, **more: Any) -> ProcessRecord:
    part = {"cold_ns_per_op": cold, "warm_ns_per_op": warm, **more}
    return process("throughput", part, id=number, round=number)


def test_a_process_s_number_is_the_median_of_its_warm_replays() -> None:
    assert process_time_ns(throughput(0, [9.0, 1.0, 5.0, 4.0, 30.0])) == 5.0


def test_a_cell_s_time_is_the_median_over_its_processes_not_over_passes() -> None:
    found = metrics_of(
        (throughput(0, [10.0] * 5, cold=30.0), {}),
        (throughput(1, [20.0], cold=70.0), {}),
        (throughput(2, [90.0], cold=50.0), {}),
    )
    assert found["time_per_op_ns"] == 20.0
    assert found["ops_per_second"] == 5e7
    assert found["cold_time_per_op_ns"] == 50.0
    assert "build_time_per_op_ns" not in found


def test_the_interval_needs_five_processes_and_is_absent_below() -> None:
    five: list[tuple[ProcessRecord, Arrays]] = [(throughput(n, [10.0 + n]), {}) for n in range(5)]
    assert metrics_of(*five[:4])["time_per_op_ns_interval"] is None
    assert metrics_of(*five)["time_per_op_ns_interval"] == [10.0, 14.0]


def test_the_build_part_has_a_time_of_its_own() -> None:
    found = metrics_of((throughput(0, [10.0], build_ns_per_op=[3.0, 9.0, 4.0]), {}))
    assert found["build_time_per_op_ns"] == 4.0


def test_each_thread_s_time_is_the_median_over_processes() -> None:
    found = metrics_of(
        (throughput(0, [10.0], thread_ns_per_op=[1.0, 8.0]), {}),
        (throughput(1, [10.0], thread_ns_per_op=[3.0, 6.0]), {}),
        (throughput(2, [10.0], thread_ns_per_op=[2.0, 7.0]), {}),
    )
    assert found["thread_time_per_op_ns"] == [2.0, 7.0]
    assert "thread_time_per_op_ns" not in metrics_of((throughput(0, [10.0]), {}))


def test_a_process_that_failed_is_in_no_figure() -> None:
    bad = process("throughput", {}, id=1, status="crashed", result={})
    found = metrics_of((throughput(0, [10.0]), {}), (bad, {}))
    assert found["time_per_op_ns"] == 10.0


def test_no_processes_make_no_metrics() -> None:
    assert metrics_of() == {}


# ---- Latency -----------------------------------------------------------------------------


def latency(number: int, ticks: list[int], touches: list[int] | None = None) -> Any:
    """Two ticks are a nanosecond."""
    arrays = {
        "call_ticks": np.array(ticks, dtype=np.uint32),
        "touch_ticks": np.array(touches or [0] * len(ticks), dtype=np.uint32),
    }
    return process("latency", {"samples": "raw"}, id=number, round=number), arrays


def test_latencies_are_nanoseconds_by_kind_over_all_processes() -> None:
    first = latency(0, [20, 40, 60, 1000, 2, 2, 2, 2])
    second = latency(1, [80, 100, 120, 3000, 4, 4, 4, 40])
    found = metrics_of(first, second)["latency_ns"]
    assert set(found) == {"malloc", "calloc", "free"}
    assert found["malloc"] == {
        "p50": 30.0,
        "p90": None,
        "p99": None,
        "p99_9": None,
        "p99_99": None,
        "max": 60.0,
        "mean": 35.0,
        "samples": 6 * BEYOND,
        "at_clock_floor": True,  # 30 ns, of which reading the clock is 20
    }
    assert (found["calloc"]["mean"], found["calloc"]["samples"]) == (1000.0, 2 * BEYOND)
    assert (found["free"]["p50"], found["free"]["max"]) == (1.0, 20.0)


def put_aside(*rows: int) -> npt.NDArray[np.void]:
    """Calls in which somebody else had the CPU."""
    slow = np.zeros(len(rows), dtype=SLOW_CALL)
    slow["op"], slow["preemptions"] = rows, 1
    return slow


def test_a_process_s_own_quantiles_leave_out_what_was_put_aside() -> None:
    kinds = np.full(4, Kind.MALLOC, dtype=np.uint8)
    first, second = latency(0, [20, 40, 60, 9000]), latency(1, [80, 120, 160, 200])
    first[1]["slow"] = put_aside(3)
    found = metrics_of(first, second, kinds=kinds)
    assert found["latency_ns"]["malloc"]["max"] == 4500.0
    # Of 10, 20 and 30 ns the median is 20; of 40, 60, 80 and 100 it is 60.
    assert found["process_latency_ns"]["malloc"]["p50"] == (20.0 + 60.0) / 2
    assert found["process_latency_ns"]["malloc"]["p90"] is None


def test_without_a_malloc_there_are_no_quantiles_of_it() -> None:
    found = metrics_of(latency(0, [20, 40]), kinds=np.full(2, Kind.FREE, dtype=np.uint8))
    assert "process_latency_ns" not in found


def test_of_a_long_trace_too_what_was_put_aside_is_left_out() -> None:
    histogram = np.zeros((KINDS, SIZE_CLASSES, BUCKETS), dtype=np.uint64)
    middles = bucket_midpoints()
    histogram[0, 4, 40], histogram[0, 4, 300] = 990, 10
    outliers = np.zeros(10, dtype=OUTLIER)
    outliers["op"], outliers["ticks"] = np.arange(10) * 100, int(middles[300])
    arrays = {
        "call_histogram": histogram,
        "touch_histogram": np.zeros_like(histogram),
        "outliers": outliers,
        "slow": put_aside(*range(0, 1000, 100)),
    }
    record = process("latency", {"samples": "histogram"})
    found = metrics_of((record, arrays), kinds=np.empty(0, np.uint8))
    assert found["latency_ns"]["malloc"]["p99_9"] == middles[300] / 2
    assert found["process_latency_ns"]["malloc"]["p99"] == middles[40] / 2


@pytest.mark.parametrize(
    ("count", "known"),
    [
        (1, []),
        (2, ["p50"]),
        (9, ["p50"]),
        (10, ["p50", "p90"]),
        (99, ["p50", "p90"]),
        (100, ["p50", "p90", "p99"]),
        (1_000, ["p50", "p90", "p99", "p99_9"]),
        (9_999, ["p50", "p90", "p99", "p99_9"]),
        (10_000, ["p50", "p90", "p99", "p99_9", "p99_99"]),
    ],
)
def test_a_percentile_is_given_when_ten_calls_lie_above_it(count: int, known: list[str]) -> None:
    kinds = np.full(count, Kind.MALLOC, dtype=np.uint8)
    found = metrics_of(latency(0, list(range(2, 2 * count + 2, 2))), kinds=kinds)
    malloc = found["latency_ns"]["malloc"]
    named = [name for name, value in malloc.items() if name.startswith("p") and value is not None]
    assert named == known
    assert malloc["max"] == count
    if "p90" in known:
        assert malloc["p90"] == -(-9 * count // 10)


def test_the_first_touch_is_that_of_allocations_only() -> None:
    found = metrics_of(latency(0, [2] * 8, [20, 40, 60, 80, 9, 9, 9, 9]))["first_touch_ns"]
    assert (found["samples"], found["max"], found["mean"]) == (4 * BEYOND, 40.0, 25.0)


@pytest.mark.parametrize(
    ("time_ns", "floor_ns", "share"),
    [
        (8.0, 6.0, 0.75),
        (3.4, 3.6, 1.0),
        (8.0, None, None),
        (None, 6.0, None),
        (0.0, 6.0, None),
        (math.nan, 6.0, None),
    ],
)
def test_the_replay_s_share_is_the_floor_over_the_time_and_at_most_all_of_it(
    time_ns: float | None, floor_ns: float | None, share: float | None
) -> None:
    assert replay_share(time_ns, floor_ns) == share


def test_the_clock_s_cost_and_step_stand_beside_the_latencies() -> None:
    found = metrics_of(latency(0, [2] * 8))
    assert (found["clock_floor_ns"], found["clock_step_ns"]) == (20.0, 10.0)


def test_a_median_near_the_clock_s_own_cost_says_so_and_no_other_does() -> None:
    kinds = np.array([Kind.MALLOC] * 2 + [Kind.FREE] * 2 + [Kind.CALLOC], dtype=np.uint8)
    found = metrics_of(latency(0, [60, 60, 61, 61, 2]), kinds=kinds)["latency_ns"]
    floored = {kind: values["at_clock_floor"] for kind, values in found.items()}
    assert floored == {"malloc": True, "free": False, "calloc": False}  # one call has no median


def test_histograms_give_what_their_samples_would_have_given() -> None:
    rng = np.random.default_rng(3)
    ticks = np.sort(rng.integers(64, 100_000, 5_000))
    octave = np.floor(np.log2(ticks)).astype(int) - 5
    buckets = octave * 32 + (ticks >> octave)
    calls = np.zeros((KINDS, SIZE_CLASSES, BUCKETS), dtype=np.uint64)
    np.add.at(calls[Kind.MALLOC], (5, buckets[:3_000]), 1)
    np.add.at(calls[Kind.MALLOC], (6, buckets[3_000:]), 1)
    arrays = {"call_histogram": calls, "touch_histogram": np.zeros_like(calls)}
    counted = (process("latency", {"samples": "histogram"}), arrays)
    kinds = np.full(5_000, Kind.MALLOC, dtype=np.uint8)
    from_counts = metrics_of(counted, kinds=kinds)["latency_ns"]["malloc"]
    from_samples = metrics_of(latency(0, ticks.tolist()), kinds=kinds)["latency_ns"]["malloc"]
    assert from_counts.keys() == from_samples.keys()
    assert from_counts["samples"] == 5_000 * BEYOND
    for name in ("p50", "p90", "p99", "p99_9", "max", "mean"):
        assert from_counts[name] == pytest.approx(from_samples[name], rel=1 / 64)
    assert "first_touch_ns" not in metrics_of(counted, kinds=kinds)


def test_raw_samples_and_histograms_of_one_cell_are_pooled() -> None:
    calls = np.zeros((KINDS, SIZE_CLASSES, BUCKETS), dtype=np.uint64)
    calls[Kind.MALLOC, 4, 20] = 7
    arrays = {"call_histogram": calls, "touch_histogram": np.zeros_like(calls)}
    counted = (process("latency", {"samples": "histogram"}, id=1), arrays)
    malloc = metrics_of(latency(0, [2, 4, 6, 2, 2, 2, 2, 2]), counted)["latency_ns"]["malloc"]
    assert malloc["samples"] == 10 * BEYOND
    assert malloc["max"] == bucket_midpoints()[20] / 2 == 10.0


def test_writes_are_the_program_s_and_have_no_latency() -> None:
    kinds = np.array([Kind.MALLOC, Kind.WRITE, Kind.FREE], dtype=np.uint8)
    assert set(metrics_of(latency(0, [2, 0, 2]), kinds=kinds)["latency_ns"]) == {"malloc", "free"}


def test_a_kind_s_name_is_that_of_the_trace() -> None:
    assert [KIND_NAMES[kind] for kind in Kind] == [kind.name.lower() for kind in Kind]
    assert len(KIND_NAMES) == KINDS


# ---- Counts ------------------------------------------------------------------------------


def test_system_calls_of_a_single_process_are_its_own() -> None:
    part = {
        "init": {"mmap": 1},
        "operation": {"mmap": 2, "munmap": 1},
        "teardown": None,
        "backend": "ptrace",
    }
    found = metrics_of((process("syscalls", part), {}))
    expected = {key: part[key] for key in ("init", "operation", "teardown")}
    assert found["syscalls"] == expected
    assert (found["syscalls_per_op"], found["syscall_backend"]) == (0.5, "ptrace")


def test_each_thread_s_system_calls_are_counted_where_there_are_threads() -> None:
    part = {"init": {}, "operation": {"mmap": 3}, "teardown": {}, "backend": "dispatch"}
    two = metrics_of((process("syscalls", {**part, "thread_calls": [1, 2]}), {}))
    assert two["thread_syscalls"] == [1, 2]
    assert "thread_syscalls" not in metrics_of((process("syscalls", part), {}))


def test_fragmentation_is_resident_over_live_less_one() -> None:
    part = memory_part(rss_after_free_bytes=100, page_faults=7)
    calls = process("faults", {"call_faults": 3, "touch_faults": 4, "pass_ns": 9}, id=2)
    found = metrics_of((process("memory", part), {}), (calls, {}))
    assert found["fragmentation"] == 0.5
    assert (found["page_faults"], found["page_faults_in_calls"]) == (7, 3)
    assert (found["peak_mapped_bytes"], found["rss_after_free_bytes"]) == (8192, 100)
    assert found["rss_after_teardown_bytes"] is None
    torn_down = metrics_of((process("memory", {**part, "rss_after_teardown_bytes": 7}), {}))
    assert torn_down["rss_after_teardown_bytes"] == 7
    nothing_live = metrics_of((process("memory", {**part, "run_peak_live_bytes": 0}), {}))
    assert nothing_live["fragmentation"] is None


def test_fragmentation_of_threads_is_over_what_each_run_had_live_and_never_negative() -> None:
    first = memory_part(peak_live_bytes=2000, run_peak_live_bytes=1000, peak_rss_bytes=1500)
    second = memory_part(peak_live_bytes=2000, run_peak_live_bytes=1200, peak_rss_bytes=2400)
    found = metrics_of((process("memory", first), {}), (process("memory", second, id=2), {}))
    assert found["fragmentation"] == pytest.approx(0.75)
    untouched = memory_part(run_peak_live_bytes=1000, peak_rss_bytes=900)
    assert metrics_of((process("memory", untouched), {}))["fragmentation"] is None


def several(probe: str, *parts: Mapping[str, Any], **more: Any) -> dict[str, Any]:
    """The metrics of a cell with one process for each part."""
    return metrics_of(*((process(probe, p, id=i, more=more), {}) for i, p in enumerate(parts)))


def ranges(metrics: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in metrics.items() if name.endswith("_range")}


def test_a_count_on_which_all_processes_agree_is_told_without_a_range() -> None:
    found = several("memory", *[memory_part(page_faults=7)] * 4)
    assert found["page_faults"] == 7
    assert ranges(found) == {}


def test_a_count_on_which_processes_differ_is_their_median_with_its_range() -> None:
    peaks = [3000, 1000, 5000, 2000, 4000]
    found = several("memory", *(memory_part(peak_rss_bytes=peak) for peak in peaks))
    assert found["peak_rss_bytes"] == 3000
    assert ranges(found) == {
        "peak_rss_bytes_range": [1000, 5000, 5],
        "fragmentation_range": [0.0, 4.0, 5],
    }


def test_an_even_number_of_processes_has_a_median_between_two_counts() -> None:
    parts = [memory_part(page_faults=n) for n in (1617, 1620, 1617, 1620)]
    assert several("memory", *parts)["page_faults"] == 1618.5
    calls = [{"call_faults": n, "touch_faults": 0, "pass_ns": 9} for n in (2, 4, 2, 4)]
    found = several("faults", *calls)
    assert found["page_faults_in_calls"] == 3
    assert found["page_faults_in_calls_range"] == [2, 4, 4]


def test_what_only_some_processes_hold_after_teardown_is_of_those_that_say_so() -> None:
    left = [memory_part(), memory_part(rss_after_teardown_bytes=5)]
    left += [memory_part(rss_after_teardown_bytes=9)]
    found = several("memory", *left)
    assert found["rss_after_teardown_bytes"] == 7
    assert found["rss_after_teardown_bytes_range"] == [5, 9, 2]


def calls_of(operation: dict[str, int], *by_thread: int) -> dict[str, Any]:
    return {
        "init": {"mmap": 1},
        "operation": operation,
        "teardown": None,
        "backend": "dispatch",
        "thread_calls": list(by_thread),
    }


def test_system_calls_that_differ_have_a_median_a_range_and_a_total_of_their_own() -> None:
    """Each is usually 1, and their sum usually 2, which is not the sum of the medians."""
    found = several(
        "syscalls",
        calls_of({"mmap": 1, "brk": 9}, 4, 6),
        calls_of({"mmap": 9, "brk": 1}, 4, 6),
        calls_of({"mmap": 2, "brk": 2}, 4, 0),
        operations=10,
    )
    assert found["syscalls"] == {
        "init": {"mmap": 1},
        "operation": {"mmap": 2, "brk": 2},
        "teardown": None,
    }
    assert found["syscalls_range"] == {"operation": {"mmap": [1, 9, 3], "brk": [1, 9, 3]}}
    assert found["syscalls_total"] == {"operation": 10}
    assert found["syscalls_total_range"] == {"operation": [4, 10, 3]}
    assert (found["syscalls_per_op"], found["syscalls_per_op_range"]) == (1.0, [0.4, 1.0, 3])
    assert found["thread_syscalls"] == [4, 6]
    assert found["thread_syscalls_range"] == [None, [0, 6, 3]]


def test_a_call_that_some_processes_did_not_make_counts_0_there() -> None:
    parts = [calls_of({"mmap": 1})] * 3 + [calls_of({"mmap": 1, "madvise": 6})]
    found = several("syscalls", *parts)
    assert found["syscalls"]["operation"] == {"mmap": 1, "madvise": 0}
    assert found["syscalls_range"] == {"operation": {"madvise": [0, 6, 4]}}


def test_a_measure_reads_the_median_and_the_range_of_a_count() -> None:
    parts = [calls_of({"mmap": n}) for n in (1, 1, 2, 4)]
    found = several("syscalls", *parts)
    for name, value in (("syscalls", 1.5), ("syscalls.mmap", 1.5), ("syscalls.init", 1)):
        assert measure(name).read(found) == value
    for name in ("syscalls", "syscalls.mmap"):
        assert measure(name).range_of(found) == (1, 4, 4)
    assert measure("syscalls.init").range_of(found) is None
    assert measure("syscalls.brk").range_of(found) is None
    assert measure("time").range_of(found) is None


def test_what_the_allocator_says_of_itself_is_counted_like_the_rest() -> None:
    records = [
        process("verify", {}, id=n, more={"allocator_stats": {"hits": n, "pools": 2}})
        for n in range(3)
    ]
    found = metrics_of(*((record, {}) for record in records))
    assert found["allocator_stats"] == {"hits": 1, "pools": 2}
    assert found["allocator_stats_range"] == {"hits": [0, 2, 3]}


def test_every_probe_says_how_long_its_cold_pass_took() -> None:
    timed = {"cold_ns_per_op": 20.0, "warm_ns_per_op": [10.0]}
    found = metrics_of(
        (process("throughput", timed, more={"operations": 50}), {}),
        (process("memory", memory_part(pass_ns=1500), id=2), {}),
    )
    assert found["pass_ns"] == {"throughput": 1000.0, "memory": 1500.0}


def test_verified_is_said_only_of_what_was_verified() -> None:
    assert metrics_of((process("verify", {}), {})) == {"verified": True}
    failed = process("verify", {}, status="corrupt", result={})
    assert metrics_of((failed, {})) == {}


def test_an_allocator_s_statistics_are_those_after_one_pass() -> None:
    """A throughput process has run the trace many times over."""
    many = throughput(0, [10.0], **{})
    many = process(
        "throughput", plain(many.result.part(Throughput)), more={"allocator_stats": {"n": 900}}
    )
    once = process("verify", {}, id=1, more={"allocator_stats": {"n": 9}})
    assert metrics_of((many, {}), (once, {}))["allocator_stats"] == {"n": 9}
    assert metrics_of((many, {}))["allocator_stats"] == {"n": 900}


def test_levels_become_dots() -> None:
    metrics = {"a": 1, "b": {"c": {"d": None}, "e": [2]}, "f": {}}
    assert flatten(metrics) == {"a": 1, "b.c.d": None, "b.e": [2]}


def test_processes_that_disagree_on_their_threads_tell_nothing_of_them() -> None:
    phases = {"init": {}, "operation": {"brk": 3}, "teardown": {}, "backend": "dispatch"}
    records = [
        process("syscalls", {**phases, "thread_calls": calls}, id=number, repeat=number)
        for number, calls in enumerate(([1, 2], [1, 2, 0]))
    ]
    found = metrics_of(*((record, {}) for record in records))
    assert found["syscalls"]["operation"] == {"brk": 3}
    assert "thread_syscalls" not in found
