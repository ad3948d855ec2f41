"""`allocphase validate` on a small program that is recorded here."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, cast

import pytest
from click.testing import CliRunner

from allocphase.analysis.frames import Run
from allocphase.analysis.validation import METRICS
from allocphase.commands.exactness import exactly_alike
from allocphase.errors import UsageError
from allocphase.run.request import Request
from allocphase.scenario import ad_hoc
from allocphase.scenario.recorded import recorded
from allocphase.store.reader import RunFiles
from allocphase.trace.stored import summary
from cli import main
from tests.support.recordings import Recorder
from tests.support.sharing import Shared

ALLOCATORS = ("libc", "phase3")
LABELS = ("calls", "live_bytes", *METRICS)


def allocphase(*arguments: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allocphase.cli", *arguments]
    return subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)


@pytest.fixture(scope="module")
def folder(
    tmp_path_factory: pytest.TempPathFactory, shared: Shared, needs: Callable[..., None]
) -> Path:
    """With app.trace, recorded as a user would."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    place = tmp_path_factory.mktemp("validate")
    program = Recorder(place, shared("recorded")).program("keeps")
    for arguments in (
        ("record", "-o", "app.rec", "--", str(program)),
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
    assert labelled == [(metric, mode) for mode in ("asap", "paced") for metric in LABELS]
    assert found["allocators"] == list(ALLOCATORS)
    assert Path(found["program"]).name == "keeps"


def test_the_calls_of_a_program_and_what_lives_are_exactly_those_of_its_replay(
    found: dict[str, Any],
) -> None:
    """Under each allocator, as a counter beside the program counts them."""
    calls, live = found["exact"]
    assert [(one["metric"], {row["off"] for row in one["rows"]}) for one in found["exact"]] == [
        ("calls", {0.0}),
        ("live_bytes", {0.0}),
    ]
    kinds = ("allocations", "reallocs", "frees")
    assert [row["of"] for row in calls["rows"]] == [
        f"{kind} under {name}" for name in ALLOCATORS for kind in kinds
    ]
    # tests/c/keeps.c: 4,000 blocks, a third of which realloc makes; 40 aligned, one refused, and
    # stdout's buffer.
    assert [row["program"] for row in calls["rows"][:2]] == [4000 - 1333 + 40 + 2, 1333 + 80]
    assert live["rows"][0]["program"] == live["rows"][0]["replay"] > 4000 * 600
    exact = [one for one in found["labels"] if one["metric"] in ("calls", "live_bytes")]
    assert all(one["predicted"] and one["within"] == 0 for one in exact)


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
    assert len(entry.recording.labels) == len(LABELS)
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


def test_a_window_of_a_recording_stands_for_no_whole_program(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    cut = allocphase("trace", "cut", "app.trace", "--to", "50%", "-o", "half.trace", cwd=folder)
    assert cut.returncode == 0, cut.stderr
    program = ad_hoc("true", name="program")
    half = recorded(folder / "half.trace", name="half")
    # Of the run nothing is asked.
    assert list(exactly_alike(cast(Run, None), half, program, program)) == []
    said = capsys.readouterr().err
    assert said == "calls, live bytes: not compared: the trace is no whole recording\n"


# ---- In one go -----------------------------------------------------------------------------


def test_record_validates_what_it_has_recorded(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As `trace import` and `validate` would, with what they do without options."""
    asked: list[Request] = []

    def run(request: Request, *_: object, **__: object) -> Path:
        asked.append(request)
        raise UsageError("measured elsewhere")

    monkeypatch.setattr("allocphase.run.session.run", run)
    monkeypatch.chdir(tmp_path)
    program = str(summary(folder / "app.trace").provenance.command[0])  # type: ignore[union-attr]
    words = ["record", "--touched", "--validate", "-o", "one.events", "--", program]
    done = CliRunner().invoke(main, words)
    assert (done.exit_code, "measured elsewhere" in done.output) == (2, True)
    (request,) = asked
    assert request.scenarios[0].name == "one-program"
    assert request.rounds == 10
    head = summary(tmp_path / "one.trace")
    assert head.has_touched
    assert head.provenance is not None
    assert head.provenance.command == (program,)


@pytest.mark.parametrize("code", ["exit 3", "kill -TERM $$"])
def test_a_command_that_fails_is_not_validated(tmp_path: Path, code: str) -> None:
    words = ("record", "--validate", "-o", "one.events", "--", "sh", "-c", code)
    done = allocphase(*words, cwd=tmp_path)
    assert done.returncode in (3, -15)
    assert "not validated: the command failed" in done.stderr
    assert not (tmp_path / "one.trace").exists()


def test_a_trace_that_is_there_is_found_before_anything_runs(tmp_path: Path) -> None:
    (tmp_path / "one.trace").touch()
    done = allocphase("record", "--validate", "-o", "one.events", "--", "echo", "ran", cwd=tmp_path)
    assert (done.returncode, done.stdout) == (2, "")
    assert "one.trace: is there already" in done.stderr


def test_what_is_no_recording_is_refused(tmp_path: Path) -> None:
    for name, problem in (
        ("random-churn", "is generated, and validate holds a recording against its program"),
        ("program-xz", "is a program, and validate holds a recording against its program"),
    ):
        done = allocphase("validate", name, cwd=tmp_path)
        assert done.returncode == 2
        assert problem in done.stderr
