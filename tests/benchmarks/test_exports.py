"""Exports under the tools that they are for: benchstat, compare.py and otava, where these are.

They have environments of their own: ALLOCPHASE_BENCHSTAT, _COMPARE_PY and _OTAVA name them, or they
stand where they are installed. Without them these say "not installed"; tests/unit/export holds the
formats to their specifications.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from allocphase.export.exported import Choice
from allocphase.export.formats import format_of
from tests.support.exports import ALLOCATORS, SCENARIOS, awkward_run
from tests.unit.export.test_otava import run_of

# Where Debian's libbenchmark-tools has it.
COMPARE_PY = "/usr/share/benchmark/compare.py"


def program(name: str) -> str:
    """Where it is; skips where it is not."""
    found = os.environ.get(f"ALLOCPHASE_{name.upper()}") or shutil.which(name)
    if not found:
        pytest.skip(f"{name} is not installed")
    return found


def output(*words: str | Path, folder: Path) -> str:
    done = subprocess.run(
        [*map(str, words)], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout


def test_benchstat_has_a_column_for_each_allocator_of_a_run(tmp_path: Path) -> None:
    benchstat = program("benchstat")
    run = awkward_run(tmp_path / "run")
    path = tmp_path / "run.txt"
    path.write_bytes(format_of("go").write([run], Choice()).content)
    table = output(benchstat, "-col", "/allocator", path, folder=tmp_path)
    print(table)
    assert "sec/op" in table
    assert "libc" in table


def test_compare_py_tests_every_cell_of_two_runs(tmp_path: Path) -> None:
    compare = os.environ.get("ALLOCPHASE_COMPARE_PY") or COMPARE_PY
    if not Path(compare).exists():
        pytest.skip(f"{compare} is not installed (libbenchmark-tools)")
    run = awkward_run(tmp_path / "run")
    path = tmp_path / "run.json"
    path.write_bytes(format_of("google-benchmark").write([run], Choice()).content)
    table = output(sys.executable, compare, "--no-color", "benchmarks", path, path, folder=tmp_path)
    print(table)
    names = {f"{scenario}/{allocator}" for scenario in SCENARIOS for allocator in ALLOCATORS}
    rows = [line for line in table.splitlines() if line.startswith(tuple(names))]
    tested = [line for line in rows if "_pvalue" in line]
    assert len(tested) == len(names)
    assert len(rows) == len(names) * (5 + 1)


def test_otava_finds_the_day_on_which_a_series_became_slower(tmp_path: Path) -> None:
    otava = program("otava")
    runs = [
        run_of(
            tmp_path / f"run-{day}",
            f"2026-03-{day:02}T00:00:00+00:00",
            slower=(1.5 if day > 12 else 1.0) * (1 + 0.002 * (day % 3)),
        )
        for day in range(1, 25)
    ]
    for name, file in (("otava", "allocphase.csv"), ("otava-config", "otava.yaml")):
        (tmp_path / file).write_bytes(format_of(name).write(runs, Choice()).content)
    words = ("analyze", "allocphase", "--config-file", "otava.yaml", "--since", "2026-02-01")
    found = output(otava, *words, folder=tmp_path)
    print(found)
    changes = [line for line in found.splitlines() if "%" in line]
    assert any("+50" in line or "+49" in line for line in changes), found
