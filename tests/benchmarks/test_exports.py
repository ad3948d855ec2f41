"""Exports under the tools that they are for, where these are installed: benchstat and otava.

Both have environments of their own: ALLOCPHASE_BENCHSTAT and ALLOCPHASE_OTAVA name the programs, or
they stand on PATH. Without them these say "not installed"; tests/unit/export holds the formats to
their specifications.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from allocphase.export.exported import Choice
from allocphase.export.formats import format_of
from tests.support.exports import awkward_run
from tests.unit.export.test_otava import run_of


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
