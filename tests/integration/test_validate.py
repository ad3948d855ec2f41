"""`allocphase validate` on a small program that is recorded here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from allocphase.analysis.validation import METRICS
from allocphase.store.reader import RunFiles

# It keeps what it makes, so that allocators differ in pages.
CODE = "kept = [bytes(i % 3000 + 600) for i in range(4000)]; print(len(kept))"
ALLOCATORS = ("libc", "phase3")


def allocphase(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allocphase.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """With app.trace, recorded as a user would."""
    place = tmp_path_factory.mktemp("validate")
    for arguments in (
        ("record", "-o", "app.rec", "--", sys.executable, "-c", CODE),
        ("trace", "import", "app.rec", "-o", "app.trace"),
    ):
        done = allocphase(*arguments, cwd=place)
        assert done.returncode == 0, done.stderr
    return place


@pytest.fixture(scope="module")
def found(folder: Path) -> dict[str, Any]:
    """What validate says of it."""
    named = [word for name in ALLOCATORS for word in ("-a", name)]
    done = allocphase("validate", "app.trace", *named, "-r", "2", "--json", "-", cwd=folder)
    assert done.returncode == 0, done.stderr
    assert "2 allocators: that a trace predicts others takes more" in done.stderr
    document: dict[str, Any] = json.loads(done.stdout)
    return document


def test_each_metric_has_a_label_in_each_mode(found: dict[str, Any]) -> None:
    labelled = [(one["metric"], one["mode"]) for one in found["labels"]]
    assert labelled == [(metric, mode) for mode in ("asap", "paced") for metric in METRICS]
    assert found["allocators"] == list(ALLOCATORS)
    assert found["program"].startswith(sys.executable)


def test_the_program_s_side_is_the_same_in_both_modes(found: dict[str, Any]) -> None:
    for metric in METRICS:
        asap, paced = [one for one in found["predictions"] if one["metric"] == metric]
        (one,), (other,) = asap["differences"], paced["differences"]
        assert one["allocator"] == "phase3"
        assert one["program"] == other["program"]


def test_counts_are_those_of_the_run(folder: Path, found: dict[str, Any]) -> None:
    """Beyond a program that does nothing, and without a difference between the modes."""
    del found
    (run,) = (folder / "out").glob("*-validate")
    names = [entry.name for entry in RunFiles(run).manifest.scenarios]
    assert names == ["app-program", "app-nothing", "app?mode=asap", "app?mode=paced"]
    statuses = {record.status for record in RunFiles(run).processes()}
    assert statuses == {"ok"}


def test_whoever_replays_the_trace_tells_the_labels(folder: Path, found: dict[str, Any]) -> None:
    del found
    arguments = ("run", "-a", "libc", "-s", "app.trace", "-p", "memory", "--label", "later")
    done = allocphase(*arguments, "--report", cwd=folder)
    assert done.returncode == 0, done.stderr
    (run,) = (folder / "out").glob("*-later")
    (entry,) = RunFiles(run).manifest.scenarios
    assert entry.recording is not None
    assert len(entry.recording.labels) == len(METRICS)
    page = (run / "report.html").read_text(encoding="utf-8")
    assert f"held against its program: {entry.recording.labels[0]}" in page


def test_a_trace_that_does_not_say_its_program_wants_one(folder: Path, tmp_path: Path) -> None:
    text = tmp_path / "plain.txt"
    done = allocphase("trace", "export", "app.trace", "-o", str(text), cwd=folder)
    assert done.returncode == 0, done.stderr
    kept = [line for line in text.read_text().splitlines() if not line.startswith("meta")]
    text.write_text("\n".join(kept) + "\n")
    made = allocphase("trace", "import", str(text), "-o", str(tmp_path / "p.trace"), cwd=folder)
    assert made.returncode == 0, made.stderr
    done = allocphase("validate", str(tmp_path / "p.trace"), cwd=folder)
    assert done.returncode == 2
    assert "does not say what was recorded: add --program" in done.stderr


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    for name, problem in (
        ("random-churn", "is generated, and validate holds a recording against its program"),
        ("program-xz", "is a program, and validate holds a recording against its program"),
    ):
        done = allocphase("validate", name, cwd=tmp_path)
        assert done.returncode == 2
        assert problem in done.stderr
