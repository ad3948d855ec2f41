"""history/reading.py: of a run a value for each allocator, scenario and metric, and no others."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase.analysis import frames
from allocphase.errors import DataError, UsageError
from allocphase.history import Measured, MeasuredValue, open_history
from allocphase.history.database import Added
from allocphase.history.reading import measured, read_run
from tests.golden.synthetic import FLOOR, MARKUP, write_programs, write_run, write_swept


def taken(path: Path) -> Measured:
    (arm,) = read_run(path)
    return measured(arm, commit=None, branch="main", label=None)


def chosen(found: Measured, metric: str) -> dict[tuple[str, str], MeasuredValue]:
    return {(v.allocator, v.scenario): v for v in found.values if v.metric == metric}


def test_a_value_is_what_the_report_shows_with_its_interval(tmp_path: Path) -> None:
    found = taken(write_run(tmp_path / "run"))
    times = chosen(found, "time")
    for cell in frames.load(tmp_path / "run").cell_list:
        shown = cell.metrics.get("time_per_op_ns")
        if shown is not None:
            mine = times[cell.allocator, cell.scenario]
            assert mine.value == pytest.approx(shown)
            interval = cell.metrics["time_per_op_ns_interval"]
            assert interval is None or [mine.lower, mine.upper] == pytest.approx(interval)
            assert not mine.exact
    assert {allocator for allocator, _ in times} >= {"libc", "fast", MARKUP}
    assert FLOOR not in {one.allocator for one in found.values}
    assert all(math.isfinite(one.value) for one in found.values)


def test_counts_of_one_thread_are_exact_and_those_of_several_or_of_the_kernel_are_not(
    tmp_path: Path,
) -> None:
    found = taken(write_swept(tmp_path / "run"))
    calls = chosen(found, "syscalls")
    threads = {one.name: one.threads for one in frames.load(tmp_path / "run").manifest.scenarios}
    assert set(threads.values()) == {1, 2}
    for (_, scenario), one in calls.items():
        assert not (one.exact and threads[scenario] > 1)
    assert any(one.exact for one in calls.values())
    assert not any(one.exact for one in chosen(found, "peak_rss").values())
    assert all(one.exact for one in chosen(found, "peak_live").values())  # the trace's own


def test_a_program_has_values_of_its_own_none_of_them_exact(tmp_path: Path) -> None:
    found = taken(write_programs(tmp_path / "run"))
    programs = [one for one in found.values if one.scenario.startswith("program-")]
    assert {one.metric for one in programs} >= {"wall", "program_peak_rss"}
    assert not any(one.exact for one in programs)


def test_each_metric_has_the_facts_that_it_depends_on(tmp_path: Path) -> None:
    found = taken(write_run(tmp_path / "run"))
    facts = {one.metric: set(one.facts) for one in found.values}
    assert facts["peak_live"] == set()
    assert "kernel" in facts["syscalls"] and "cpu" not in facts["syscalls"]
    assert "cpu" in facts["time"]


def test_a_run_that_went_on_is_renewed_with_all_of_its_processes(tmp_path: Path) -> None:
    path = write_run(tmp_path / "run")
    journal = path / "processes.jsonl"
    lines = journal.read_text(encoding="utf-8").splitlines(keepends=True)
    with open_history(tmp_path / "h.db", make=True) as history:
        journal.write_text("".join(lines[: len(lines) // 2]), encoding="utf-8")
        half = taken(path)
        assert history.add(half) is Added.NEW
        journal.write_text("".join(lines), encoding="utf-8")
        whole = taken(path)
        assert history.add(whole) is Added.RENEWED
        assert len(history.runs()) == 1
        assert sum(history.point_counts().values()) == len(whole.values) > len(half.values)


@pytest.mark.parametrize(
    ("damage", "error", "words"),
    [
        (lambda path: (path / "run.json").unlink(), UsageError, "no run directory"),
        (lambda path: replace_in(path, '"started": "', '"started": "some '), DataError, "started"),
        (lambda path: start(path, "9999-12-31T23:59:59-05:00"), DataError, "started: .* no time"),
        (lambda path: start(path, "0001-01-01T00:00:00+05:00"), DataError, "started: .* no time"),
    ],
)
def test_a_run_that_cannot_be_read_is_told(
    tmp_path: Path, damage: Callable[[Path], None], error: type[Exception], words: str
) -> None:
    path = write_run(tmp_path / "run")
    damage(path)
    with pytest.raises(error, match=words):
        taken(path)


def start(path: Path, started: str) -> None:
    replace_in(path, frames.load(path).manifest.started, started)


def replace_in(path: Path, old: str, new: str) -> None:
    file = path / "run.json"
    file.write_text(file.read_text(encoding="utf-8").replace(old, new), encoding="utf-8")
