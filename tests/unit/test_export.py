"""The document of --json: schema 1, and nothing in it that JSON does not have."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

from allocphase.export import cells_document
from tests.support.runs import process, write_run


def document(path: Path, *, cold: float = 9.0) -> dict[str, Any]:
    part = {"cold_ns_per_op": cold, "warm_ns_per_op": [8.0]}
    run = write_run(path, [(process("throughput", part), {})], allocators=("one", "two"))
    text = json.dumps(cells_document(run), allow_nan=False)
    parsed: dict[str, Any] = json.loads(text)
    return parsed


def test_the_document_has_the_schema_its_parts_and_a_cell_for_each_of_the_plan(
    tmp_path: Path,
) -> None:
    found = document(tmp_path)
    assert list(found) == ["schema", "environment", "plan", "cells"]
    assert found["schema"] == 1
    assert found["environment"] == {"cpu": "of a test"}
    assert found["plan"] == {"rounds": 1, "seed": 7}
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
    assert unmeasured["metrics"] == {"floor_ns": None}


def test_what_is_not_finite_is_null(tmp_path: Path) -> None:
    cell = document(tmp_path / "nan", cold=math.nan)["cells"][0]
    assert cell["metrics"]["cold_time_per_op_ns"] is None
    cell = document(tmp_path / "inf", cold=math.inf)["cells"][0]
    assert cell["metrics"]["cold_time_per_op_ns"] is None
