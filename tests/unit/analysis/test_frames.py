"""A run as frames: cells, processes, and operations joined by their place in the trace."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

import allocphase
from allocphase.analysis import frames
from allocphase.errors import UsageError
from allocphase.operation import FREE_REMOTE
from allocphase.probe.arrays import (
    BUCKETS,
    FAULT_EVENT,
    KINDS,
    OUTLIER,
    SIZE_CLASSES,
    SLOW_CALL,
    SYSCALL_EVENT,
    Arrays,
)
from allocphase.store.record import ProcessRecord
from tests.support.runs import process, write_run

SYSCALLS = {"init": {}, "operation": {"mmap": 3}, "teardown": {}, "backend": "dispatch"}
NUMBERS = {"9": "mmap", "11": "munmap"}


def latency() -> tuple[ProcessRecord, Arrays]:
    """Two ticks are a nanosecond; operation 1 faulted, 3 slept, 4 was put aside."""
    slow = np.array([(1, 2, 0, 0), (3, 0, 1, 0), (4, 0, 0, 1)], dtype=SLOW_CALL)
    arrays = {
        "call_ticks": np.array([20, 40, 60, 80, 100, 120], dtype=np.uint32),
        "touch_ticks": np.array([2, 4, 6, 0, 0, 0], dtype=np.uint32),
        "slow": slow,
    }
    return process("latency", {"samples": "raw"}, id=100), arrays


def syscalls(*events: tuple[int, int, int]) -> tuple[ProcessRecord, Arrays]:
    """Events are (place, thread, number)."""
    arrays = {"syscalls": np.array(list(events), dtype=SYSCALL_EVENT)}
    return process("syscalls", {**SYSCALLS, "numbers": NUMBERS}, id=2), arrays


def faults(*events: tuple[int, int, int]) -> tuple[ProcessRecord, Arrays]:
    """Events are (place, in the call, in the touch)."""
    part = {"call_faults": 0, "touch_faults": 1, "pass_ns": 1000}
    return process("faults", part, id=3), {"faults": np.array(list(events), dtype=FAULT_EVENT)}


# ---- Operations --------------------------------------------------------------------------


def test_an_operation_has_its_latency_its_calls_and_its_faults(tmp_path: Path) -> None:
    events = syscalls((0, 0, 9), (0, 0, 9), (5, 0, 11), (2, 0, 9), (0, 0, 11))
    run = write_run(tmp_path, [latency(), events, faults((2, 0, 4), (0, 9, 1))])
    ops = run.operations_of("one", "some")
    assert ops["kind"].tolist() == ["malloc", "calloc", "malloc", "free", "free", "free"]
    assert ops["size"].tolist() == [16, 32, 48, 0, 0, 0]
    assert ops["latency_ns"].tolist() == [10, 20, 30, 40, 50, 60]
    assert ops["touch_ns"].tolist() == [1, 2, 3, 0, 0, 0]
    assert ops["syscalls"].tolist() == [3, 0, 1, 0, 0, 1]
    assert ops["syscall_names"].tolist() == ["mmap+mmap+munmap", "", "mmap", "", "", "munmap"]
    assert ops["touch_faults"].tolist() == [1, 0, 4, 0, 0, 0]
    assert ops["call_faults"].tolist() == [0, 2, 0, 0, 0, 0]
    assert ops["sleeps"].tolist() == [0, 0, 0, 1, 0, 0]
    assert ops["preemptions"].tolist() == [0, 0, 0, 0, 1, 0]


def test_a_cause_is_what_explains_the_call_best(tmp_path: Path) -> None:
    run = write_run(tmp_path, [latency(), syscalls((0, 0, 9), (3, 0, 9), (4, 0, 9))])
    assert run.operations_of("one", "some")["cause"].tolist() == [
        "system call",
        "page fault",
        "neither",
        "waited",
        "system call",
        "neither",
    ]
    alone = write_run(tmp_path / "alone", [latency()])
    assert alone.operations_of("one", "some")["cause"].tolist() == [
        "neither",
        "page fault",
        "neither",
        "waited",
        "preempted",
        "neither",
    ]


def test_every_cause_is_a_category_also_where_it_does_not_occur(tmp_path: Path) -> None:
    cause = write_run(tmp_path, []).operations_of("one", "some")["cause"]
    assert isinstance(cause.dtype, pd.CategoricalDtype)
    assert tuple(cause.dtype.categories) == frames.CAUSES


def test_events_of_threads_find_their_thread_s_operation(tmp_path: Path) -> None:
    events = syscalls((0, 0, 9), (2, 1, 11), (5, 2, 9))
    run = write_run(tmp_path, [events, faults((3, 0, 7))], threads=(2, 2, 2))
    ops = run.operations_of("one", "some")
    assert ops["thread"].tolist() == [0, 0, 1, 1, 2, 2]
    assert ops["syscall_names"].tolist() == ["mmap", "", "munmap", "", "", "mmap"]
    assert ops["touch_faults"].tolist() == [0, 0, 0, 7, 0, 0]


def test_what_was_not_measured_is_absent_not_zero_in_latency(tmp_path: Path) -> None:
    ops = write_run(tmp_path, []).operations_of("one", "some")
    assert ops["latency_ns"].isna().all()
    assert ops["syscalls"].tolist() == [0] * 6


HISTOGRAMS: Arrays = {
    name: np.zeros((KINDS, SIZE_CLASSES, BUCKETS), dtype=np.uint64)
    for name in ("call_histogram", "touch_histogram")
}


def test_of_a_long_trace_the_slowest_calls_have_a_latency(tmp_path: Path) -> None:
    outliers = np.zeros(2, dtype=OUTLIER)
    outliers["op"], outliers["ticks"] = [4, 1], [200, 600]
    counted = (process("latency", {"samples": "histogram"}), {**HISTOGRAMS, "outliers": outliers})
    ops = write_run(tmp_path, [counted]).operations_of("one", "some")
    assert ops["latency_ns"].fillna(-1).tolist() == [-1, 300, -1, -1, 100, -1]


def test_of_a_trace_without_operations_the_frame_has_the_slowest_calls(tmp_path: Path) -> None:
    outliers = np.zeros(3, dtype=OUTLIER)
    outliers["op"], outliers["ticks"], outliers["size"] = [700, 5, 950], [200, 600, 400], [0, 64, 8]
    outliers["kind"], outliers["thread"] = [4, 0, FREE_REMOTE], [0, 0, 1]
    slow = np.array([(5, 2, 0, 0), (6, 1, 0, 0)], dtype=SLOW_CALL)
    counted = process("latency", {"samples": "histogram"}, id=100)
    run = write_run(
        tmp_path,
        [
            (counted, {**HISTOGRAMS, "outliers": outliers, "slow": slow}),
            syscalls((950, 1, 9), (908, 1, 9)),
            faults((950, 0, 3)),
        ],
        long=(900, 100),
    )
    ops = run.operations_of("one", "some")
    assert ops.index.tolist() == [5, 700, 950]
    assert ops["thread"].tolist() == [0, 0, 1]
    assert ops["op"].tolist() == [5, 700, 50]
    assert ops["kind"].tolist() == ["malloc", "free", "free_remote"]
    assert ops["size"].tolist() == [64, 0, 8]
    assert ops["latency_ns"].tolist() == [300, 100, 200]
    assert ops["syscall_names"].tolist() == ["", "", "mmap"]
    assert ops["touch_faults"].tolist() == [0, 0, 3]
    assert ops["cause"].tolist() == ["page fault", "neither", "system call"]
    assert run.thread_counts("some").tolist() == [900, 100]


def test_a_long_trace_that_was_not_timed_has_an_empty_frame(tmp_path: Path) -> None:
    ops = write_run(tmp_path, [], long=(1000,)).operations_of("one", "some")
    assert len(ops) == 0
    assert {"latency_ns", "syscalls", "cause"} <= set(ops.columns)


def test_samples_are_read_once_for_metrics_and_report(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = write_run(tmp_path, [latency(), syscalls((0, 0, 9))])
    read: list[int] = []
    samples = run.files.samples

    def noted(number: int) -> Arrays:
        read.append(number)
        return samples(number)

    monkeypatch.setattr(run.files, "samples", noted)
    assert run.cell_list[0].metrics["cause_calls"]["system_call"] == 1
    assert run.latencies("one", "some").by_kind.keys() == {"malloc", "calloc", "free"}
    assert sorted(read) == [2, 100]


def test_the_first_good_process_of_a_probe_is_taken(tmp_path: Path) -> None:
    bad = process("syscalls", {}, id=7, status="crashed", result={})
    run = write_run(tmp_path, [(bad, {}), syscalls((1, 0, 9))])
    assert run.operations_of("one", "some")["syscalls"].tolist() == [0, 1, 0, 0, 0, 0]


def test_operations_of_all_cells_are_one_tidy_frame(tmp_path: Path) -> None:
    run = write_run(tmp_path, [latency()], allocators=("one", "two"))
    assert len(run.operations) == 12
    assert run.operations["allocator"].unique().tolist() == ["one", "two"]
    assert run.operations.index.is_unique


# ---- Cells and processes -----------------------------------------------------------------


def throughput(allocator: str, number: int, time_ns: float) -> tuple[ProcessRecord, Arrays]:
    part = {"cold_ns_per_op": 9.0, "warm_ns_per_op": [time_ns]}
    more = {"usage": {"involuntary_switches": 3}}
    return process("throughput", part, id=number, allocator=allocator, more=more), {}


def test_a_cell_is_a_row_with_dots_for_levels(tmp_path: Path) -> None:
    run = write_run(tmp_path, [latency(), throughput("one", 5, 8.0), syscalls((0, 0, 9))])
    (row,) = run.cells.to_dict("records")
    assert (row["allocator"], row["scenario"], row["status"]) == ("one", "some", "ok")
    assert row["time_per_op_ns"] == 8.0
    assert row["latency_ns.malloc.max"] == 30.0
    assert row["syscalls.operation.mmap"] == 3


def test_the_floor_has_no_cell_and_stands_in_every_cell(tmp_path: Path) -> None:
    processes = [throughput("null", 0, 3.0), throughput("null", 1, 1.0), throughput("null", 2, 2.0)]
    run = write_run(tmp_path, [*processes, throughput("one", 3, 8.0)])
    assert (run.floor, run.allocators, run.scenarios) == ("null", ["one"], ["some"])
    assert run.cells["floor_ns"].tolist() == [2.0]
    assert run.cells["replay_share"].tolist() == [0.25]


def test_a_cell_of_the_plan_that_never_ran_is_there_and_says_so(tmp_path: Path) -> None:
    run = write_run(tmp_path, [throughput("one", 0, 8.0)], allocators=("one", "two"))
    assert run.cells["status"].tolist() == ["ok", "not measured"]


def test_the_first_failure_names_the_probe(tmp_path: Path) -> None:
    bad = process("verify", {}, id=9, status="corrupt", message="overlap", result={})
    run = write_run(tmp_path, [throughput("one", 0, 8.0), (bad, {})])
    (cell,) = run.cell_list
    assert (cell.status, cell.message) == ("corrupt", "verify: overlap")
    assert cell.metrics["time_per_op_ns"] == 8.0


def test_what_every_probe_says_is_not_said_of_the_first(tmp_path: Path) -> None:
    """`syscalls: init refuses ...` would have one look for system calls."""
    said = "init refuses the setting pool_size=1"
    bad: list[tuple[ProcessRecord, Arrays]] = [
        (process(probe, {}, id=number, status="unsupported", message=said, result={}), {})
        for number, probe in enumerate(("syscalls", "memory", "throughput"))
    ]
    (cell,) = write_run(tmp_path / "all", bad).cell_list
    assert (cell.status, cell.message) == ("unsupported", f"in every probe: {said}")
    (cell,) = write_run(tmp_path / "one", bad[:1]).cell_list
    assert cell.message == f"syscalls: {said}"


def test_processes_are_rows_with_their_one_number(tmp_path: Path) -> None:
    run = write_run(tmp_path, [throughput("null", 0, 3.0), throughput("one", 1, 8.0), latency()])
    rows = run.processes
    assert rows["probe"].tolist() == ["throughput", "throughput", "latency"]
    assert rows["time_per_op_ns"].fillna(-1).tolist() == [3.0, 8.0, -1.0]
    assert rows["involuntary_switches"].fillna(-1).tolist() == [3, 3, -1]


def test_the_package_loads_a_run_by_its_path(tmp_path: Path) -> None:
    write_run(tmp_path / "run", [throughput("one", 0, 8.0)])
    assert allocphase.load(tmp_path / "run").cells["time_per_op_ns"].tolist() == [8.0]
    assert allocphase.load(str(tmp_path / "run")).manifest.label == "test"
    with pytest.raises(UsageError, match="no run directory"):
        allocphase.load(tmp_path)


def test_a_setting_that_run_json_says_is_ignored_is_a_warning_of_its_arm_s_cells(
    tmp_path: Path,
) -> None:
    run = write_run(tmp_path, [latency()], allocators=("one", "two"))
    arms = [
        replace(entry, ignored_settings=("purge_delay",)) if entry.name == "two" else entry
        for entry in run.manifest.allocators
    ]
    run.manifest = replace(run.manifest, allocators=tuple(arms))
    warned = {cell.allocator: [warning.text for warning in cell.warnings] for cell in run.cell_list}
    assert not any("purge_delay" in text for text in warned["one"])
    assert any("setting purge_delay: this build knows nothing" in text for text in warned["two"])
