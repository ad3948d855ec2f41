"""Otava's files, by the rules of its importer; tests/benchmarks has otava itself."""

from __future__ import annotations

import csv
import io
import json
from dataclasses import replace
from datetime import datetime
from pathlib import Path

import pytest

from allocphase.analysis.frames import Run, load
from allocphase.errors import UsageError
from allocphase.export import otava, otava_config
from allocphase.export.exported import Choice
from allocphase.store.writer import RunWriter
from tests.golden import synthetic
from tests.support.exports import SPACED

TIMES = {"libc": 20.0, SPACED: 41.5, "phase2": 2000.0}


def run_of(path: Path, started: str, *, slower: float = 1.0, scenario: str = "keep") -> Run:
    """A run of three allocators on a scenario, of that day."""
    times = {name: slower * ns for name, ns in TIMES.items()}
    synthetic.write_run(path, times_ns=times, scenarios={scenario: 240}, label=f"of {started}")
    return changed(path, started=started)


def changed(path: Path, **values: object) -> Run:
    manifest = replace(load(path).manifest, **values)  # type: ignore[arg-type]
    RunWriter(path).write_manifest(replace(manifest, plan_sha256=manifest.digest_of_plan()))
    return load(path)


@pytest.fixture
def runs(tmp_path: Path) -> list[Run]:
    """Of three days, the newest first, and slower then."""
    days = ("2026-03-03T03:04:05+02:00", "2026-03-02T03:04:05+00:00", "2026-03-01T03:04:05+00:00")
    return [
        run_of(tmp_path / f"run {n}", day, slower=2.0 if n == 0 else 1.0)
        for n, day in enumerate(days)
    ]


def read(runs: list[Run]) -> tuple[list[str], list[dict[str, str]]]:
    """Header, and rows by column."""
    text = otava.write(runs, Choice()).content.decode("utf-8")
    header, *rows = csv.reader(io.StringIO(text), delimiter=",", quotechar='"')
    assert len(set(header)) == len(header)
    return header, [dict(zip(header, row, strict=True)) for row in rows]


def test_rows_are_in_the_order_of_time_whatever_order_was_given(runs: list[Run]) -> None:
    _, rows = read(runs)
    times = [datetime.fromisoformat(row["time"]) for row in rows]
    assert times == sorted(times)
    assert [row["run"] for row in rows] == ["run 2", "run 1", "run 0"]
    assert [float(row["keep/libc time"]) for row in rows] == [20.0, 20.0, 40.0]
    assert all(f"keep/{SPACED} time" in row for row in rows)


def test_every_value_is_a_number_and_the_configuration_names_every_column(
    runs: list[Run],
) -> None:
    header, rows = read(runs)
    config = json.loads(otava_config.write(runs, Choice()).content)
    test = config["tests"]["allocphase"]
    columns = [metric["column"] for metric in test["metrics"].values()]
    assert [test["time_column"], *test["attributes"], *columns] == header
    assert all(float(row[name]) >= 0 for row in rows for name in columns)
    assert {metric["direction"] for metric in test["metrics"].values()} == {-1}


def test_a_series_with_a_hole_is_left_out_and_that_is_told(runs: list[Run], tmp_path: Path) -> None:
    other = run_of(tmp_path / "other", "2026-03-04T00:00:00+00:00", scenario="keep-not")
    header, _ = read([*runs, other])
    assert header == ["time", "run", "label"]
    (note,) = otava.write([*runs, other], Choice()).notes
    assert note.endswith(" that some run has no figure of")


def test_of_another_machine_only_what_it_does_not_move_is_one_series(
    runs: list[Run],
) -> None:
    environment = {**runs[0].manifest.environment, "cpu": "another one"}
    others = [*runs[1:], changed(runs[0].path, environment=environment)]
    header, _ = read(others)
    assert "keep/libc time" not in header
    assert "keep/libc peak_rss" in header
    (note,) = otava.write(others, Choice()).notes
    assert "is another one in some run than in run 0" in note


def test_of_another_trace_nothing_is_one_series(runs: list[Run]) -> None:
    scenarios = tuple(replace(one, digest="3" * 64) for one in runs[0].manifest.scenarios)
    header, _ = read([*runs[1:], changed(runs[0].path, scenarios=scenarios)])
    assert header == ["time", "run", "label"]


@pytest.mark.parametrize("started", ["some day", "9999-12-31T23:59:59-05:00"])
def test_a_run_without_a_time_is_refused_with_its_file(runs: list[Run], started: str) -> None:
    undated = changed(runs[0].path, started=started)
    with pytest.raises(UsageError, match=r"run\.json: started: no date and time"):
        otava.write([undated], Choice())
