"""Bencher's metric format, by its schema: names to measures to numbers."""

from __future__ import annotations

import json
import re

from allocphase.analysis.frames import Run
from allocphase.export.bencher import write
from allocphase.export.exported import Choice
from tests.support.exports import ALLOCATORS, SCENARIOS


def test_every_measure_has_a_slug_and_finite_numbers_within_their_bounds(awkward: Run) -> None:
    found = write([awkward], Choice())
    document = json.loads(found.content, parse_constant=lambda _: 1 / 0)
    assert set(document) == {f"{s}/{a}" for a in ALLOCATORS for s in SCENARIOS}
    for measures in document.values():
        for slug, metric in measures.items():
            assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", slug)
            assert set(metric) <= {"value", "lower_value", "upper_value"}
            assert metric.get("lower_value", 0) <= metric["value"]
            assert metric["value"] <= metric.get("upper_value", metric["value"])


def test_intervals_are_the_cells_and_a_count_that_differs_has_its_range(awkward: Run) -> None:
    document = json.loads(write([awkward], Choice()).content)
    cell = next(c for c in awkward.cell_list if (c.allocator, c.scenario) == ("fast", "keep"))
    time = document["keep/fast"]["time-ns"]
    assert [time["lower_value"], time["upper_value"]] == cell.metrics["time_per_op_ns_interval"]
    faults = document["keep/fast"]["page-faults-count"]
    assert (faults["lower_value"], faults["upper_value"]) == (12, 13)
    assert set(document["keep/libc"]["page-faults-count"]) == {"value"}
