"""Run directories from elsewhere: arrays that do not fit their operations are refused by name."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from allocphase.analysis.frames import Run
from allocphase.errors import DataError, UsageError
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import (
    CHECKPOINT,
    FAULT_EVENT,
    OUTLIER,
    SLOW_CALL,
    SYSCALL_EVENT,
    WARM,
    Arrays,
    save_arrays,
)
from allocphase.probe.consistency import (
    COLUMNS,
    operations_problem,
    repeated_count,
    repeated_places,
    samples_problem,
)
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord
from tests.support.runs import manifest, memory_part, process, write_run

KINDS = len(KIND_NAMES)
COUNTS = np.array([4, 2], dtype=np.int64)


def operations(**changes: Any) -> Arrays:
    """Six operations of two threads."""
    columns: dict[str, Any] = {
        "kind": np.array([0, 0, 4, 4, 0, 4], dtype=np.uint8),
        "size": np.array([8, 8, 0, 0, 8, 0], dtype=np.uint32),
        "thread": np.array([0, 0, 0, 0, 1, 1], dtype=np.uint16),
        "op": np.array([0, 1, 2, 3, 0, 1], dtype=np.uint32),
        "thread_build": np.array([1, 0]),
        "thread_drain": np.array([2, 1]),
    }
    return {name: value for name, value in {**columns, **changes}.items() if value is not None}


def events(dtype: np.dtype[Any], **fields: int) -> Arrays:
    rows = np.zeros(1, dtype)
    for name, value in fields.items():
        rows[name] = value
    names = {
        SYSCALL_EVENT: "syscalls",
        FAULT_EVENT: "faults",
        OUTLIER: "outliers",
        SLOW_CALL: "slow",
    }
    return {names[dtype]: rows}


def long_trace(*counts: int) -> Arrays:
    empty = {name: operations()[name][:0] for name in COLUMNS}
    parts = dict.fromkeys(("thread_build", "thread_drain"), np.zeros(len(counts), np.int64))
    return {**empty, "thread_ops": np.array(counts, dtype=np.int64), **parts}


def warmed(arrays: Arrays) -> Arrays:
    return {f"{WARM}{name}": array for name, array in arrays.items()}


def warm(count: int) -> Arrays:
    """Latencies of so many operations in warm replays."""
    ticks = np.zeros(count, np.uint32)
    return warmed({"call_ticks": ticks, "touch_ticks": ticks})


def test_what_is_repeated_is_the_steady_part_or_all_there_is() -> None:
    ops = operations()
    assert repeated_places(ops).tolist() == [False, True, False, False, True, False]
    assert repeated_count(ops) == 2
    whole = operations(thread_build=np.array([2, 1]))
    assert repeated_places(whole).all()
    assert repeated_count(whole) == 6


def test_operations_that_fit_have_no_fault() -> None:
    assert operations_problem(operations(), kinds=KINDS) == ""
    assert operations_problem(long_trace(10**8, 5), kinds=KINDS) == ""


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        (operations(size=None), "lacks size"),
        (operations(size=np.zeros(5, np.uint32)), "differ in length"),
        (operations(kind=np.zeros((6, 1), np.uint8)), "differ in length"),
        (operations(kind=np.full(6, KINDS, np.uint8)), "kind: one that does not exist"),
        (operations(thread=np.array([1, 0, 0, 0, 1, 1], np.uint16)), "do not stand together"),
        (operations(thread=np.full(6, 60_000, np.uint16)), "number of threads"),
        (operations(op=np.arange(6, dtype=np.uint32)), "not numbered"),
        (operations(thread_ops=np.array([6])), "thread_ops: beside operations"),
        ({name: operations()[name][:0] for name in COLUMNS}, "has 0 operations"),
        (operations(thread_build=None), "lacks thread_build"),
        (operations(thread_drain=np.array([1])), "thread_drain: not one number a thread"),
        (operations(thread_build=np.array([-1, 0])), "that no trace has"),
        (operations(thread_build=np.array([2**62, 0])), "that no trace has"),
        (operations(thread_build=np.array([3, 0])), "more operations than the thread has"),
        (long_trace(), "not one number a thread"),
        (long_trace(-1), "that no trace has"),
        (long_trace(2**32), "that no trace has"),
        (long_trace(2**40), "that no trace has"),
    ],
)
def test_operations_that_do_not_fit_are_named(arrays: Arrays, fault: str) -> None:
    assert fault in operations_problem(arrays, kinds=KINDS)


@pytest.mark.parametrize(
    "arrays",
    [
        {},
        {"call_ticks": np.zeros(6, np.uint32), "touch_ticks": np.zeros(6, np.uint32)},
        events(SYSCALL_EVENT, thread=0, op=3),
        events(FAULT_EVENT, op=5),
        events(OUTLIER, op=5, thread=1, kind=KINDS - 1),
        events(SLOW_CALL, op=5),
        warm(9),
        warm(9) | warmed(events(SLOW_CALL, op=8)),
        warmed(events(SLOW_CALL, op=149)),  # of 50 passes, where nothing says how many there were
    ],
)
def test_samples_that_fit_have_no_fault(arrays: Arrays) -> None:
    assert samples_problem(arrays, COUNTS, repeated=3, kinds=KINDS) == ""


@pytest.mark.parametrize(
    ("arrays", "fault"),
    [
        (
            {"call_ticks": np.zeros(5, np.uint32), "touch_ticks": np.zeros(6, np.uint32)},
            "call_ticks: has shape (5,)",
        ),
        ({"call_ticks": np.zeros(6, np.uint32)}, "call_ticks or touch_ticks, not both"),
        (events(SYSCALL_EVENT, thread=0, op=6), "syscalls: an operation that does not exist"),
        (events(SYSCALL_EVENT, thread=2), "syscalls: a thread that does not exist"),
        (events(FAULT_EVENT, op=6), "faults: an operation that does not exist"),
        (warm(2), "warm_call_ticks: less than one replay"),
        (warm(10), "warm_call_ticks: has shape (10,)"),
        (warm(9) | warmed(events(SLOW_CALL, op=9)), "warm_slow: an operation"),
        (warmed(events(OUTLIER, op=150)), "warm_outliers: an operation that does not exist"),
        (events(OUTLIER, op=6), "outliers: an operation that does not exist"),
        (events(OUTLIER, kind=KINDS), "outliers: a kind that does not exist"),
        (events(OUTLIER, thread=2), "outliers: a thread that does not exist"),
        (events(SLOW_CALL, op=2**63), "slow: an operation that does not exist"),
        (
            dict.fromkeys(("call_histogram", "touch_histogram"), np.zeros((8, 33, 5), np.uint64)),
            "call_histogram: has shape (8, 33, 5)",
        ),
        ({"thread_histogram": np.zeros((3, 896), np.uint64)}, "thread_histogram: has shape"),
        ({"checkpoints": np.zeros((1, 1), CHECKPOINT)}, "checkpoints: not one row an event"),
    ],
)
def test_samples_that_do_not_fit_are_named(arrays: Arrays, fault: str) -> None:
    assert fault in samples_problem(arrays, COUNTS, repeated=3, kinds=KINDS)


# ---- The whole directory -----------------------------------------------------------------


def test_an_event_of_an_operation_that_is_not_there_names_the_file(tmp_path: Path) -> None:
    record = process("syscalls", {"operation": {}, "init": {}, "teardown": {}, "backend": "x"})
    run = write_run(tmp_path / "run", [(record, events(SYSCALL_EVENT, op=6))])
    with pytest.raises(DataError, match=r"samples/0\.npz: syscalls: an operation"):
        run.operations_of("one", "some")


def test_a_latency_process_without_latencies_is_refused(tmp_path: Path) -> None:
    """Found by fuzzing."""
    run = write_run(tmp_path / "run", [(process("latency", {}), events(SLOW_CALL))])
    with pytest.raises(DataError, match=r"samples/0\.npz: lacks call_ticks or call_histogram"):
        assert run.cell_list


def test_a_journal_longer_than_any_run_s_is_not_read(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [])
    with (run.path / "processes.jsonl").open("ab") as file:
        file.truncate(1 << 40)  # sparse
    with pytest.raises(DataError, match="longer than"):
        RunFiles(run.path).processes()


def test_samples_that_no_line_of_the_journal_names_are_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [])
    save_arrays(run.path / "samples" / "7.npz", {})
    with pytest.raises(UsageError, match="samples of process 7, which no line names"):
        RunFiles(run.path).samples(7)


def test_a_scenario_that_the_manifest_lacks_is_refused(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [])
    with pytest.raises(UsageError, match=r"run\.json has no scenario 'other'"):
        run.files.operations("other")


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"id": -1}, "id"),
        ({"round": 10**9}, "round"),
        ({"wall_s": None}, "wall_s"),
        ({"result": {"usage": {"minor_faults": -1}}}, "usage.minor_faults"),
        ({"result": {}}, "throughput: missing"),
    ],
)
def test_a_line_of_the_journal_says_which_of_its_keys_is_wrong(
    tmp_path: Path, change: Mapping[str, Any], fault: str
) -> None:
    times = {"cold_ns_per_op": 1.0, "warm_ns_per_op": [1.0]}
    line = json.loads(process("throughput", times).to_json())
    run = write_run(tmp_path / "run", [])
    (run.path / "processes.jsonl").write_text(json.dumps({**line, **change}) + "\n")
    with pytest.raises(DataError, match=f"processes.jsonl: line 1: .*{fault}"):
        RunFiles(run.path).processes()


WHOLE = json.loads(manifest("one").to_json())
SOME, PLAN, ONE = WHOLE["scenarios"][0], WHOLE["plan"], WHOLE["allocators"][1]


@pytest.mark.parametrize(
    ("change", "fault"),
    [
        ({"environment": []}, "environment: must be a table"),
        ({"command": "rm -rf"}, "command: must be a list"),
        ({"label": None}, "label: must be a string"),
        ({"plan": {**PLAN, "rounds": 10**12}}, "plan.rounds: must be an integer between"),
        (
            {"plan": {**PLAN, "left_out": {"one": "some"}}},
            "plan.left_out.one: must be a list",
        ),
        (
            {"scenarios": [{**SOME, "name": "a\u200b"}]},
            "scenarios.0..name: must be a string that can be",
        ),
        ({"scenarios": [{**SOME, "operations": 2**40}]}, "scenarios.0..operations"),
        ({"scenarios": [{"name": "a"}]}, "scenarios.0..title: missing"),
        ({"plan": {}}, "plan.probes: missing"),
        ({"allocators": [{**ONE, "config": 5}]}, "allocators.0..config: must be a table"),
    ],
)
def test_a_manifest_says_which_of_its_keys_is_wrong(
    tmp_path: Path, change: Mapping[str, Any], fault: str
) -> None:
    values = json.loads(manifest("one").to_json()) | change
    (tmp_path / "run.json").write_text(json.dumps(values))
    with pytest.raises(UsageError, match=f"run.json: {fault}"):
        RunFiles(tmp_path)


def test_a_run_that_lost_its_arrays_is_still_shown(tmp_path: Path) -> None:
    """Found by fuzzing: an archive may lack what its process has always left."""
    from allocphase.report.content.source import Source

    part = {"call_faults": 1, "touch_faults": 1, "pass_ns": 1}
    run = write_run(
        tmp_path / "run",
        [
            (process("memory", memory_part()), {}),
            (process("footprint", {"pass_ns": 1}, id=2), {}),
            (process("faults", part, id=3), events(FAULT_EVENT)),
        ],
    )
    assert Source.of(run).checkpoints("one", "some") is None


def test_a_round_trip_through_the_journal_keeps_a_record() -> None:
    record = process("verify", {}, more={"lacks": ["pinning: no"], "disturbance": {"span_s": 1.0}})
    assert ProcessRecord.from_json(record.to_json()) == record


def test_a_torn_operations_file_is_one_clear_error(tmp_path: Path) -> None:
    run = write_run(tmp_path / "run", [])
    path = run.path / "operations" / "0.npz"
    path.write_bytes(path.read_bytes()[:-40])
    with pytest.raises(DataError, match=r"operations/0\.npz: not a sample file"):
        Run(run.path).operations_of("one", "some")
