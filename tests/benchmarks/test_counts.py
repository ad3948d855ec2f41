"""Counts under load: no false alarm, the least regression seen, and what a gate of them takes.

The gates are whole ones, from the command line. All rows take minutes (`make benchmark`); a sign of
life is one gate.
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

from tests.benchmarks.conftest import Say
from tests.integration.test_instructions import SCENARIOS, built, gate

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


def test_rows_of_one_object_against_itself_have_no_false_alarm(
    tmp_path: Path, full: bool, say: Say
) -> None:
    same = built(tmp_path / "same", more="")
    scenarios = SCENARIOS if full else SCENARIOS[:1]
    seen = 0
    while seen < (FALSE_ALARM_ROWS if full else 1):
        found = outcomes(tmp_path, same, same, *scenarios)
        assert "regressed" not in found.values(), found
        seen += len(found)
    say(f"counts of one object against itself: {seen} rows, none regressed")


def test_one_more_instruction_in_ten_thousand_operations_is_seen(tmp_path: Path) -> None:
    old = built(tmp_path / "old", more=RARELY.format("nop"))
    new = built(tmp_path / "new", more=RARELY.format("nop; nop"))
    assert outcomes(tmp_path, old, new, RARE)[f"instructions:{RARE}"] == "regressed"


@pytest.mark.usefixtures("_loaded")
def test_five_scenarios_of_counts_on_a_busy_machine(tmp_path: Path, full: bool, say: Say) -> None:
    same = built(tmp_path / "same", more="")
    scenarios = SCENARIOS if full else SCENARIOS[:1]
    start = time.monotonic()
    found = outcomes(tmp_path, same, same, *scenarios)
    seconds = time.monotonic() - start
    say(f"a gate of counts on {len(scenarios)} scenarios, a loop on each CPU: {seconds:.0f} s")
    assert {f"instructions:{name}" for name in scenarios} <= set(found)
    assert set(found.values()) == {"unchanged"}
