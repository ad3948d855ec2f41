"""The document of --json: schema 1, and nothing in it that JSON does not have."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from allocphase.export.cells import cells_document
from allocphase.files.typed import MOST_AMOUNT, plain
from allocphase.probe.arrays import Arrays
from allocphase.store.record import ProcessRecord
from tests.support.manifests import plan_entry
from tests.support.runs import process, write_run


def document(
    path: Path, *, cold: tuple[float, ...] = (9.0,), warm: tuple[float, ...] = (8.0,)
) -> dict[str, Any]:
    parts = [{"cold_ns_per_op": ns, "warm_ns_per_op": list(warm)} for ns in cold]
    processes: list[tuple[ProcessRecord, Arrays]] = [
        (process("throughput", part, id=number, round=number), {})
        for number, part in enumerate(parts)
    ]
    run = write_run(path, processes, allocators=("one", "two"))
    text = json.dumps(cells_document(run), allow_nan=False)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_the_document_has_the_schema_its_parts_and_a_cell_for_each_of_the_plan(
    tmp_path: Path,
) -> None:
    found = document(tmp_path)
    assert list(found) == ["schema", "environment", "plan", "baseline", "notes", "cells"]
    assert found["schema"] == 1
    assert found["environment"] == {"cpu": "of a test"}
    assert found["plan"] == plain(plan_entry())
    assert [(cell["allocator"], cell["scenario"]) for cell in found["cells"]] == [
        ("one", "some"),
        ("two", "some"),
    ]


def test_a_cell_has_the_keys_of_the_schema(tmp_path: Path) -> None:
    (cell, unmeasured) = document(tmp_path)["cells"]
    keys = {"allocator", "scenario", "status", "message", "metrics", "warnings"}
    assert set(cell) == set(unmeasured) == keys
    assert cell["metrics"]["time_per_op_ns"] == 8.0
    assert cell["metrics"]["time_per_op_ns_interval"] is None
    assert cell["warnings"] == []
    assert unmeasured["status"] == "not measured"
    assert unmeasured["metrics"] == {"floor_ns": None, "replay_share": None}


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    cell = document(tmp_path, warm=())["cells"][0]
    assert cell["metrics"]["cold_time_per_op_ns"] == 9.0
    assert cell["metrics"]["time_per_op_ns"] is None


def test_the_longest_times_that_are_read_have_a_mean(tmp_path: Path) -> None:
    cell = document(tmp_path, cold=(MOST_AMOUNT, MOST_AMOUNT))["cells"][0]
    assert cell["metrics"]["cold_time_per_op_ns"] == MOST_AMOUNT


# ---- What is saved over the baseline -----------------------------------------------------


def two_arms(
    path: Path, base: list[float], other: list[float], *, rest: float = 0.0
) -> dict[str, Any]:
    """The metrics of the other one; rest: what both do besides."""
    processes: list[tuple[ProcessRecord, Arrays]] = []
    for name, times in (("libc", base), ("other", other)):
        for number, ns in enumerate(times):
            part = {"cold_ns_per_op": ns, "warm_ns_per_op": [ns + rest]}
            record = process("throughput", part, id=len(processes), round=number, allocator=name)
            processes.append((record, {}))
    run = write_run(path, processes, allocators=("other", "libc"))
    found = json.loads(json.dumps(cells_document(run), allow_nan=False))
    assert found["baseline"] == "libc"
    cells = {cell["allocator"]: cell["metrics"] for cell in found["cells"]}
    assert cells["libc"].get("saved_per_op_ns") == (0.0 if base else None)
    metrics: dict[str, Any] = cells["other"]
    return metrics


@pytest.mark.parametrize("rest", [0.0, 500.0])
def test_what_is_saved_over_the_baseline_does_not_depend_on_what_both_do_besides(
    tmp_path: Path, rest: float
) -> None:
    base = [20.0, 23.0, 21.0, 24.0, 22.0]
    found = two_arms(tmp_path, base, [ns - 3.0 for ns in base], rest=rest)
    assert found["saved_per_op_ns"] == 3.0
    assert found["saved_per_op_ns_interval"] == [3.0, 3.0]


def test_what_costs_more_saves_less_than_nothing(tmp_path: Path) -> None:
    found = two_arms(tmp_path, [20.0] * 5, [24.0, 25.0, 26.0, 27.0, 28.0])
    assert found["saved_per_op_ns"] == -6.0
    assert found["saved_per_op_ns_interval"] == [-8.0, -4.0]


def test_too_few_rounds_have_no_interval_of_what_is_saved(tmp_path: Path) -> None:
    found = two_arms(tmp_path, [20.0] * 4, [17.0] * 4)
    assert (found["saved_per_op_ns"], found["saved_per_op_ns_interval"]) == (3.0, None)


def test_without_a_time_of_the_baseline_nothing_is_known_to_be_saved(tmp_path: Path) -> None:
    found = two_arms(tmp_path, [], [17.0] * 5)
    assert (found["saved_per_op_ns"], found["saved_per_op_ns_interval"]) == (None, None)
