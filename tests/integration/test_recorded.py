"""A recorded trace from its file to the report: run, resumed, gated, with what was recorded."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner

from allocphase.store.reader import RunFiles
from allocphase.store.record import Event, EventRecord
from allocphase.trace.provenance import Provenance, written_provenance
from allocphase.trace.records import Touch
from allocphase.trace.stored import packed_copy
from cli import main
from tests.support.traces import batch, sync, write_trace

SAID = Provenance(
    origin="recorded by allocphase record",
    command=("jq", ".", "big.json"),
    recorded="2026-11-28T10:00:00+00:00",
    allocator="/usr/lib/libc.so.6",
    threads=2,
)


@pytest.fixture
def app(tmp_path: Path) -> Path:
    """Two threads that end, one born of the other, and a drain of what was never freed."""
    ops = [sync(90), *batch(30)[:30], sync(90), *batch(30)[30:-4], *batch(30)[-4:]]
    path = write_trace(
        tmp_path / "app.trace",
        ops,
        thread=[0] * 31 + [1] * 27 + [2] * 4,
        lane=(0, 1, 0),
        build_ops=58,
        drain_ops=4,
        threads_end=True,
        touch=Touch.FIRST,
        gaps_ns=[100] * len(ops),
        meta=written_provenance(SAID),
    )
    packed_copy(path, tmp_path / "app.trace.zst")
    return tmp_path / "app.trace.zst"


def command(*words: str | Path, code: int = 0) -> str:
    done = CliRunner().invoke(main, [str(word) for word in words])
    assert done.exit_code == code, done.output + str(done.exception)
    return done.output


def the_run(out: Path) -> Path:
    [found] = [path.parent for path in out.glob("*/run.json")]
    return found


def test_a_packed_trace_is_run_and_reported_like_any_scenario(app: Path, tmp_path: Path) -> None:
    out, figures = tmp_path / "out", tmp_path / "figures.json"
    words: list[str | Path] = ["--quick", "--out", out, "--report", "--json", figures]
    command("run", "-s", app, "-a", "libc", *words)
    folder = the_run(out)
    entry = RunFiles(folder).manifest.scenarios[0]
    assert (entry.name, entry.threads) == ("app", 3)
    assert entry.recording is not None
    assert entry.recording.command == SAID.command
    page = (folder / "report.html").read_text()
    assert "recorded from jq . big.json on 2026-11-28 under libc.so.6, 2 threads" in page
    cells = json.loads(figures.read_text())["cells"]
    assert [cell["status"] for cell in cells] == ["ok"]
    assert cells[0]["metrics"]["build_time_per_op_ns"] > 0


def test_a_run_of_a_recording_is_resumed(app: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    command("run", "-s", app, "-a", "libc", "--quick", "-p", "throughput", "--out", out)
    folder = the_run(out)
    lines = (folder / "processes.jsonl").read_text().splitlines(keepends=True)
    (folder / "processes.jsonl").write_text("".join(lines[:-1]))
    broken = EventRecord(event=Event.RESUMED, message="continued")
    (folder / "events.jsonl").write_text(broken.to_json() + "\n")
    command("run", "--resume", folder)
    assert len((folder / "processes.jsonl").read_text().splitlines()) == len(lines)


def test_a_baseline_of_a_recording_is_saved_and_gated(
    app: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    command("baseline", "save", "mine", "-a", "libc", "-s", app, "--rounds", "3")
    saved = next(tmp_path.rglob("mine*.json"))
    assert "app" in json.loads(saved.read_text())["scenarios"]
