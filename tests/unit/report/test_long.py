"""A trace of 100 million operations: what a report holds of it does not grow with it."""

from __future__ import annotations

import tracemalloc

import numpy as np
import pytest

from allocphase.analysis.frames import Run
from allocphase.operation import FREE_REMOTE
from allocphase.probe.arrays import BUCKETS, KINDS, OUTLIER, SIZE_CLASSES, SLOW_CALL, Arrays
from allocphase.probe.consistency import COLUMNS
from allocphase.report.content.source import Source
from allocphase.report.page.parts.scenario import scenario_part
from allocphase.report.page.payload import figures_payload
from allocphase.run.traces import ops_arrays
from allocphase.store.record import ProcessRecord
from allocphase.trace.records import OP, THREAD
from tests.support.runs import process, write_run

OPERATIONS = 100_000_000
THREADS = (60_000_000, 40_000_000)
KEPT = 65_536
# An array of one byte an operation is more.
MOST_BYTES = 80_000_000


def counted(number: int) -> tuple[ProcessRecord, Arrays]:
    """All calls took 100 ticks, but for the ones that were kept: 1,001 ticks and more."""
    histogram = np.zeros((KINDS, SIZE_CLASSES, BUCKETS), dtype=np.uint64)
    histogram[0, 4, 100] = OPERATIONS - KEPT
    histogram[FREE_REMOTE, 4, 300] = KEPT
    outliers = np.zeros(KEPT, dtype=OUTLIER)
    outliers["op"] = np.linspace(0, OPERATIONS - 1, KEPT).astype(np.uint64)
    outliers["ticks"] = 1001 + np.arange(KEPT)
    outliers["kind"], outliers["thread"] = FREE_REMOTE, outliers["op"] >= THREADS[0]
    slow = np.zeros(KEPT // 2, dtype=SLOW_CALL)
    slow["op"], slow["faults"] = outliers["op"][::2], 1
    by_thread = np.zeros((2, BUCKETS), dtype=np.uint64)
    by_thread[:, 100], by_thread[:, 300] = THREADS, (0, KEPT)
    arrays = {
        "call_histogram": histogram,
        "touch_histogram": np.zeros_like(histogram),
        "thread_histogram": by_thread,
        "outliers": outliers,
        "slow": slow,
    }
    return process("latency", {"samples": "histogram"}, id=number, round=number), arrays


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Run:
    empty = {"init": {}, "operation": {}, "teardown": {}, "backend": "dispatch"}
    calls = process("syscalls", {**empty, "thread_calls": [0, 0]}, id=10)
    path = tmp_path_factory.mktemp("long") / "run"
    processes = [counted(0), counted(1), (calls, {})]
    return write_run(path, processes, long=THREADS, operations=OPERATIONS)


def test_a_long_trace_stores_how_long_its_threads_are_and_nothing_of_an_operation() -> None:
    ops = np.zeros(1001, dtype=OP)
    threads = np.zeros(2, dtype=THREAD)
    threads["op_count"], threads["build_ops"] = [600, 401], [7, 0]
    arrays = ops_arrays(ops, threads, raw_ops=1000)
    assert arrays["thread_ops"].tolist() == [600, 401]
    assert arrays["thread_build"].tolist() == [7, 0]
    assert {arrays[name].size for name in COLUMNS} == {0}
    threads["op_count"] = [600, 400]
    stored = ops_arrays(ops[:1000], threads, raw_ops=1000)
    assert {stored[name].size for name in COLUMNS} == {1000}


def test_reading_and_showing_it_takes_bounded_memory(run: Run) -> None:
    again = Run(run.path)
    tracemalloc.start()
    try:
        source = Source.of(again)
        assert scenario_part(source, 0)["rows"]
        assert figures_payload(source, "some")["timeline"]
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert peak_bytes < MOST_BYTES


def test_only_the_slowest_share_that_was_kept_whole_has_causes(run: Run) -> None:
    causes = run.cell_list[0].metrics["outlier_causes"]
    assert causes["p99"] is None
    assert causes["p99_9"] is None  # 200,000 calls, of which 131,072 were kept
    assert causes["p99_99"]["calls"] == pytest.approx(20_000, abs=2)
    assert causes["p99_99"]["page_fault"] == pytest.approx(0.5, abs=1e-3)


def test_the_timeline_says_that_it_has_the_slowest_calls_only(run: Run) -> None:
    source = Source.of(run)
    points = source.points("one", "some")
    assert (points.operations, points.total, points.slowest_only) == (OPERATIONS, KEPT, True)
    assert points.row.max() == OPERATIONS - 1
    assert points.growth == {}
    caption = scenario_part(source, 0)["timeline"]
    assert "only its slowest calls are kept" in caption
    assert "65,536 slowest calls are drawn" in caption


def test_its_threads_are_told_apart_by_their_histograms(run: Run) -> None:
    threads = scenario_part(Source.of(run), 0)["threads"]
    assert threads["names"] == ["operations", "time/op", "call p50", "call p99", "system calls"]
    first, second = ([cell["text"] for cell in row["cells"]] for row in threads["rows"])
    assert (first[0], second[0]) == ("60,000,000", "40,000,000")
    assert first[2] == second[2] != "-"
    assert not threads["remote"]
