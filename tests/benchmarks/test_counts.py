"""Counts under load: no false alarm, the least regression seen, and what a gate of them takes.

The gates are whole ones, from the command line; they take minutes.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.test_instructions import SCENARIOS, built, gate

MOST_S = 120.0
FALSE_ALARM_ROWS = 200
# Of which every second operation is a malloc: one instruction more in 10,000 operations.
RARE = "random-churn?live=50&operations=20000"
RARELY = 'static unsigned long n; if (++n % 5000 == 0) __asm__ volatile("{}");\n'


@pytest.fixture
def _loaded() -> Iterator[None]:
    """An endless loop on each CPU that this process may use."""
    loops = [
        subprocess.Popen([sys.executable, "-c", "while True: pass"])
        for _ in os.sched_getaffinity(0)
    ]
    try:
        yield
    finally:
        for loop in loops:
            loop.kill()
            loop.wait()


def outcomes(folder: Path, old: Path, new: Path, *scenarios: str) -> dict[str, str]:
    """By row."""
    chosen = [argument for name in scenarios for argument in ("-s", name)]
    arms = ["--baseline", f"phase3={old}", "--candidate", f"phase3={new}"]
    done = gate(folder, *arms, *chosen, "--json", "gate.json")
    assert done.returncode in (0, 3), done.stdout + done.stderr
    rows = json.loads((folder / "gate.json").read_text(encoding="utf-8"))["rows"]
    return {row["id"]: row["outcome"] for row in rows}


def test_rows_of_one_object_against_itself_have_no_false_alarm(tmp_path: Path) -> None:
    same = built(tmp_path / "same", more="")
    seen = 0
    while seen < FALSE_ALARM_ROWS:
        found = outcomes(tmp_path, same, same, *SCENARIOS)
        assert "regressed" not in found.values(), found
        seen += len(found)


def test_one_more_instruction_in_ten_thousand_operations_is_seen(tmp_path: Path) -> None:
    old = built(tmp_path / "old", more=RARELY.format("nop"))
    new = built(tmp_path / "new", more=RARELY.format("nop; nop"))
    assert outcomes(tmp_path, old, new, RARE)[f"instructions:{RARE}"] == "regressed"


@pytest.mark.usefixtures("_loaded")
def test_five_scenarios_of_counts_take_less_than_two_minutes_on_a_busy_machine(
    tmp_path: Path,
) -> None:
    same = built(tmp_path / "same", more="")
    start = time.monotonic()
    found = outcomes(tmp_path, same, same, *SCENARIOS)
    assert time.monotonic() - start < MOST_S
    assert {f"instructions:{name}" for name in SCENARIOS} <= set(found)
    assert set(found.values()) == {"unchanged"}
