"""What `allocphase validate` says of programs that come along, recorded here, and replayed beside
themselves under four allocators.

It prints whether a replay predicts, and asserts that every label was found: which one that is, is
the machine's. Under `make test` it is one short recording, two allocators and one round.
ALLOCPHASE_VALIDATE names others, such as program-jq,program-git-log; ALLOCPHASE_VALIDATE_ROUNDS
says how many rounds.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from pytest_benchmark.fixture import BenchmarkFixture

from allocphase.allocator import resolve
from allocphase.analysis.validation import METRICS
from allocphase.operation import MODES
from allocphase.scenario import Program, Recorded, load
from tests.benchmarks.conftest import Say
from tests.record_scenarios import SCENARIOS, record

PROGRAMS = (
    "program-jq,program-git-log,program-python-sqlite,program-perl-words,program-python-json,"
    "program-server"
)
CHOSEN = os.environ.get("ALLOCPHASE_VALIDATE", PROGRAMS).split(",")
ROUNDS = os.environ.get("ALLOCPHASE_VALIDATE_ROUNDS", "10")
SHORT = "recorded-bash-array?touch=all"
ALLOCATORS = ("libc", "jemalloc", "tcmalloc", "mimalloc3")
TWO = ("libc", "phase3")
ALLOCPHASE = str(Path(sys.executable).with_name("allocphase"))
TIMEOUT_S = "600"


def prepared(name: str, folder: Path) -> list[str]:
    """What validate is told: a program that is recorded here, or a copy of a recording, so that the
    collection keeps its labels.
    """
    name, query, settings = name.partition("?")
    found = load(SCENARIOS / f"{name}.toml")
    if isinstance(found, Recorded):
        assert found.program is not None
        (folder / "programs").mkdir()
        for path in (SCENARIOS / f"{name}.toml", Path(found.path)):
            shutil.copy(path, folder)
        for file in found.program.program.files:
            shutil.copy(file, folder / "programs")
        return [f"./{name}.toml{query}{settings}"]
    assert isinstance(found, Program)
    record(found, folder / "app.trace")
    return ["app.trace", "-s", name]


def validated(name: str, folder: Path, *, full: bool) -> tuple[str, dict[str, Any]]:
    """What validate prints, and what it writes."""
    arms = [arm for arm in ALLOCATORS if not resolve(arm)[0].missing]
    words = [word for arm in (arms if full else TWO) for word in ("-a", arm)]
    words += ["-r", ROUNDS if full else "1", "-q", "--timeout", TIMEOUT_S]
    command = [ALLOCPHASE, "validate", *prepared(name, folder), *words]
    shown = subprocess.run(command, cwd=folder, capture_output=True, text=True)
    assert shown.returncode == 0, shown.stderr
    (labels,) = folder.glob("*.validation.json")
    return shown.stdout, json.loads(labels.read_text())


def test_replays_are_held_against_their_programs(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    found: dict[str, Any] = {}

    def hold() -> None:
        for name in CHOSEN if full else [SHORT]:
            folder = tmp_path / name
            folder.mkdir()
            shown, found[name] = validated(name, folder, full=full)
            say(f"{name}\n{shown}" if full else f"{name}: held against its program")

    benchmark.pedantic(hold, rounds=1, iterations=1)
    for said in found.values():
        labelled = {(label["mode"], label["metric"]) for label in said["labels"]}
        assert labelled >= {(mode, metric) for mode in MODES for metric in METRICS}
