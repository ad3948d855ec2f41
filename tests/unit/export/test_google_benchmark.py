"""Google Benchmark's JSON, by the rules of its compare.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from allocphase.analysis.frames import Run, load
from allocphase.export.exported import Choice
from allocphase.export.google_benchmark import write
from tests.golden import synthetic
from tests.support import googlebench
from tests.support.exports import ALLOCATORS, NOTHING, SCENARIOS


@pytest.fixture(scope="module")
def document(awkward: Run) -> dict[str, Any]:
    return googlebench.load(write([awkward], Choice()).content.decode("utf-8"))


def test_each_round_of_a_timed_cell_is_a_repetition_with_its_own_times(
    awkward: Run, document: dict[str, Any]
) -> None:
    for allocator in ALLOCATORS:
        for scenario in SCENARIOS:
            entries = [e for e in document["benchmarks"] if e["name"] == f"{scenario}/{allocator}"]
            times = [entry["real_time"] for entry in entries]
            assert times == pytest.approx(list(awkward.times[allocator, scenario]))


def test_a_cell_without_a_time_has_no_entry_and_the_context_says_why(
    document: dict[str, Any],
) -> None:
    assert not any(NOTHING in entry["name"] for entry in document["benchmarks"])
    left_out = document["context"]["allocphase_left_out"].splitlines()
    assert f"without a time: {NOTHING} on keep" in left_out
    assert any(line.startswith("crashed: ") for line in left_out)


def test_a_run_held_against_itself_differs_in_nothing_and_against_a_slower_one_in_all(
    document: dict[str, Any], tmp_path: Path
) -> None:
    slower = {name: 3 * ns for name, ns in ALLOCATORS.items()}
    run = load(synthetic.write_run(tmp_path, times_ns=slower, scenarios=SCENARIOS))
    other = googlebench.load(write([run], Choice()).content.decode("utf-8"))
    same, changed = (googlebench.compare(document, one) for one in (document, other))
    assert len(same) == len(changed) == len(ALLOCATORS) * len(SCENARIOS)
    assert {row.change for row in same} == {0.0}
    assert all(row.p is not None and row.p > 0.9 for row in same)
    assert all(
        row.change == pytest.approx(2.0, abs=0.01) for row in changed if "fast" not in row.name
    )
    assert all(row.p is not None and row.p < 0.01 for row in changed if "fast" not in row.name)


def test_a_programs_cpu_time_is_its_own_and_a_replays_is_said_to_be_none(tmp_path: Path) -> None:
    found = googlebench.load(
        write([load(synthetic.write_programs(tmp_path))], Choice()).content.decode("utf-8")
    )
    replays = [e for e in found["benchmarks"] if e["name"].startswith("keep/")]
    programs = [e for e in found["benchmarks"] if e["name"].startswith("program-words/")]
    assert all(entry["cpu_time"] == entry["real_time"] for entry in replays)
    assert all(entry["cpu_time"] != entry["real_time"] for entry in programs)
    assert "not measured" in found["context"]["allocphase_cpu_time"]
