"""Doubts: each is there when its reason is, and only then."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from allocphase.analysis.warnings import cell_warnings as found_warnings
from allocphase.store.record import ProcessRecord
from tests.support.runs import process


def cell_warnings(records: Sequence[ProcessRecord], metrics: Mapping[str, Any]) -> list[str]:
    return [warning.text for warning in found_warnings(records, metrics)]


def test_a_cell_without_doubts_has_no_warnings() -> None:
    records = [
        process("throughput", {}, more={"usage": {"involuntary_switches": 100}, "emulated": []}),
        process("syscalls", {"events_dropped": 0}, more={"locked": False}),
    ]
    latency = {"malloc": {"p50": 31.0}, "free": {"p50": None}}
    assert cell_warnings(records, {"clock_floor_ns": 20.0, "latency_ns": latency}) == []
    assert cell_warnings([], {}) == []


def test_what_the_driver_emulated_is_said_once() -> None:
    records = [
        process("verify", {}, more={"emulated": ["realloc", "calloc"]}),
        process("memory", {}, more={"emulated": ["calloc"]}),
    ]
    (warning,) = cell_warnings(records, {})
    assert warning == "calloc, realloc: absent, emulated by the driver from malloc and free"


def test_a_lock_around_every_call_is_said() -> None:
    (warning,) = cell_warnings([process("verify", {}, more={"locked": True})], {})
    assert "every call went through one lock" in warning


def test_a_setting_that_the_object_does_not_know_is_said() -> None:
    records = [process("verify", {})]
    (warning,) = found_warnings(records, {}, ignored_settings=("purge_delay",))
    assert warning.text == (
        "setting purge_delay: this build knows nothing of it: figures are those without it"
    )


def test_what_an_allocator_says_of_its_settings_is_said_once_and_of_many_words_a_few() -> None:
    records = [process("verify", {}, more={"said": "Invalid conf pair: x:1"}, id=i) for i in (1, 2)]
    assert cell_warnings(records, {}) == [
        "on stderr, with its settings: Invalid conf pair: x:1",
    ]
    records = [process("verify", {}, more={"said": f"at {i}"}, id=i) for i in range(9)]
    assert len(cell_warnings(records, {})) == 3


def test_what_is_wrong_where_the_trace_does_not_look_is_said_once() -> None:
    found = {"conformance": ["misaligned block (aligned_alloc, 4096 bytes)"]}
    records = [process("verify", found, round=number) for number in range(2)]
    assert cell_warnings(records, {}) == [
        "conformance: misaligned block (aligned_alloc, 4096 bytes); the scenario does not use it"
    ]


def test_frees_from_a_foreign_domain_that_were_skipped_are_counted_once_for_all_passes() -> None:
    counts = {"operation_counts": {"malloc": 24_000, "free_foreign": 1163}}
    records = [
        process("throughput", {}, more={**counts, "skipped_operations": 26 * 1163}),
        process("verify", {}, more={**counts, "skipped_operations": 1163}),
    ]
    assert cell_warnings(records, {}) == [
        "1,163 frees from a foreign domain were skipped: this allocator knows no domains; they"
        " count as operations"
    ]
    counts["operation_counts"]["free_foreign"] = 1
    (text,) = cell_warnings([process("verify", {}, more={**counts, "skipped_operations": 1})], {})
    assert text.startswith("1 free from a foreign domain was skipped: ")
    made = process("verify", {}, more={**counts, "skipped_operations": 0})
    assert cell_warnings([made], {}) == []


@pytest.mark.parametrize(("probe", "expected"), [("throughput", 1), ("verify", 0)])
def test_interruptions_count_in_timed_processes(probe: str, expected: int) -> None:
    usage: dict[str, Any] = {"usage": {"involuntary_switches": 101}}
    found = cell_warnings([process(probe, {}, more=usage)], {})
    assert len(found) == expected
    assert all("interrupted 101 times" in warning for warning in found)


def test_a_median_near_the_clock_s_own_cost_is_called_a_floor() -> None:
    metrics = {
        "clock_floor_ns": 20.0,
        "latency_ns": {"malloc": {"p50": 30.0}, "free": {"p50": 12.0}, "calloc": {"p50": 30.1}},
    }
    (warning,) = cell_warnings([], metrics)
    assert warning == "p50 of malloc, free is near the clock's own 20 ns: a floor"


def test_what_an_allocator_did_to_its_process_is_named_once() -> None:
    records = [
        process("verify", {}, more={"tampered": ["priority", "affinity"]}),
        process("memory", {}, more={"tampered": ["affinity"]}),
    ]
    (warning,) = cell_warnings(records, {})
    assert "(affinity, priority)" in warning


def test_what_a_preload_takes_from_libc_beside_memory_is_named_once() -> None:
    records = [
        process("verify", {}, more={"interposes": ["write", "clock_gettime"]}),
        process("memory", {}, more={"interposes": ["write"]}),
    ]
    (warning,) = cell_warnings(records, {})
    assert warning.startswith("it takes the place of libc's clock_gettime, write: the driver uses")


@pytest.mark.parametrize(
    ("time", "floor", "words"),
    [
        (1.13, 3.43, "time: 1.13 ns an operation, less than the 3.43 ns of an allocator that does"),
        (3.43, 3.43, None),
        (3.5, 3.43, None),
        (1.0, None, None),
        (None, 3.43, None),
    ],
)
def test_a_time_below_the_floor_is_never_without_words(
    time: float | None, floor: float | None, words: str | None
) -> None:
    found = cell_warnings([], {"time_per_op_ns": time, "floor_ns": floor})
    assert len(found) == (words is not None)
    assert all(warning.startswith(str(words)) for warning in found)


def test_slow_calls_beyond_the_log_are_counted_as_lost() -> None:
    (warning,) = cell_warnings([process("latency", {"slow_calls_dropped": 3})], {})
    assert warning.startswith("3 events beyond")


def test_latencies_that_were_not_kept_call_by_call_are_told() -> None:
    kept, condensed = process("latency", {}), process("latency", {}, quantiles_ns={"p50": 30.0})
    assert cell_warnings([kept, process("syscalls", {})], {}) == []
    (warning,) = cell_warnings([kept, condensed, condensed], {})
    assert warning.startswith("latency by call is of 1 of 3 processes")


def test_events_that_were_dropped_are_counted_over_all_probes() -> None:
    records = [
        process("syscalls", {"events_dropped": 5}),
        process("faults", {"events_dropped": 3}),
    ]
    (warning,) = cell_warnings(records, {})
    assert warning == "8 events beyond the log's capacity were counted, not attributed"


def test_a_process_that_failed_raises_no_doubt_of_its_own() -> None:
    record = process("verify", {}, status="crashed", more={"locked": True})
    assert cell_warnings([record], {}) == []


def test_a_memory_pass_that_was_slowed_beyond_the_shortest_timer_is_a_doubt() -> None:
    slowed = {"pass_ns": {"throughput": 10e6, "memory": 30e6}}
    (warning,) = cell_warnings([], slowed)
    assert warning.startswith("memory: its pass took 3.0 times as long as the timed one")
    assert cell_warnings([], {"pass_ns": {"throughput": 1e6, "memory": 3e6}}) == []
    assert cell_warnings([], {"pass_ns": {"throughput": 100e6, "memory": 120e6}}) == []


def test_what_the_allocator_s_own_threads_do_is_told() -> None:
    records = [process("syscalls", {"let_through": 4}, more={"helper_threads": 2})]
    figures = {"time_per_op_ns": 10.0, "helper_ns_per_op": 0.5}
    threads, share, started = cell_warnings(records, figures)
    assert threads == "runs 2 threads of its own: their system calls are not counted"
    assert share.startswith("its own threads and children used 0.5 ns of CPU an operation")
    assert started.startswith("started 4 threads or processes")
    assert cell_warnings([], {"time_per_op_ns": 10.0, "helper_ns_per_op": 0.05}) == []


# ---- Programs ------------------------------------------------------------------------------------

PROGRAM = {
    **{"wall_ns": 9, "user_ns": 1, "system_ns": 1, "largest_rss_bytes": 1, "minor_faults": 1},
    **{"major_faults": 0, "voluntary_switches": 0, "involuntary_switches": 0},
    **{"wait_status": 0, "output_bytes": 1},
}


def test_a_program_that_leaves_processes_is_told_as_such_and_no_allocator_accused() -> None:
    left = {"tampered": ["processes left running"]}
    (warning,) = cell_warnings([process("program", PROGRAM, more=left)], {})
    assert warning == "it left processes running, which were ended: what they did is in no figure"


def test_an_output_that_varies_or_is_another_than_the_baseline_s_is_told() -> None:
    records = [process("program", PROGRAM)]
    (varies,) = found_warnings(records, {"output_sha256": None}, prints_unlike="")
    assert "its output was not the same each time" in varies.text
    (other,) = found_warnings(records, {"output_sha256": "a"}, prints_unlike="libc")
    assert other.text == "its output is another than under libc: one of the two is wrong"
    assert found_warnings(records, {"output_sha256": "a"}, prints_unlike="") == ()
