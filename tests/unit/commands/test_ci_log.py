"""What a foreign file says is printed into a CI's log: nothing of it is a command there."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from allocphase.gate import run_gate
from allocphase.judge.document import read_verdict
from allocphase.judge.render.github import workflow_commands
from tests.support.gates import FigureExecutor, gate_request, no_progress
from tests.support.runs import process, write_run
from tests.unit.commands.test_extreme_numbers import Path_, changed
from tests.unit.text.test_line import commands

main: click.Group = importlib.import_module("allocphase.cli").main

COMMANDS = (
    "::error::planted",
    "\n::set-output name=a::b\n",
    "a\r::add-mask::b",
    "x ##[error]planted",
    "y" * 70 + " ::warning::planted " + "##vso[task.setvariable]b",
)


def texts(document: object, path: Path_ = ()) -> Iterator[Path_]:
    """Where a document has a text."""
    if isinstance(document, dict):
        for key, value in document.items():
            yield from texts(value, (*path, key))
    elif isinstance(document, list):
        for index, value in enumerate(document):
            yield from texts(value, (*path, index))
    elif isinstance(document, str):
        yield path


@pytest.fixture
def gated(tmp_path: Path) -> Path:
    """A gate with a note, a failure and a row that fails."""
    executor = FigureExecutor(
        time_ns=lambda job: (20.0 if job.allocator.name == "candidate" else 10.0) + job.id % 3,
        calls=lambda _: {"mmap": 3},
    )
    request = gate_request(tmp_path / "of", "*=off", "time=2%", max_rounds=8)
    folder = Path(run_gate(request, executor, progress=no_progress).sessions[0].path)
    document = json.loads((folder / "gate.json").read_text())
    document["notes"] = ["a note"]
    document["machine_mismatch"] = ["another kernel"]
    words = {"arm": "candidate", "scenario": "some", "probe": "verify", "status": "crashed"}
    document["failures"] = [{**words, "message": "killed"}]
    (folder / "gate.json").write_text(json.dumps(document))
    return folder


@pytest.mark.parametrize(
    "outputs", [[], ["--json", "-"], ["--junit", "-"], ["--export-markdown", "-"]], ids=str
)
def test_no_text_of_a_verdict_begins_a_command(
    gated: Path, monkeypatch: pytest.MonkeyPatch, outputs: list[str]
) -> None:
    """Beside those that allocphase itself prints, in which they are escaped."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    document = json.loads((gated / "gate.json").read_text())
    shown = 0
    for place in texts(document):
        for text in COMMANDS:
            (gated / "gate.json").write_text(json.dumps(changed(document, place, text)))
            result = CliRunner().invoke(
                main, ["gate", "--again", str(gated), "--all-rows", *outputs]
            )
            assert isinstance(result.exception, SystemExit), (place, text)
            own = workflow_commands(read_verdict(gated)) if result.exit_code != 2 else []
            assert [one for one in commands(result.output) if one not in own] == []
            assert all(re.match(r"::(error|warning|notice) title=[^:,\r\n]*::", one) for one in own)
            if outputs == ["--json", "-"] and own:
                json.loads(result.stdout)
            shown += bool(own)
    assert shown > 10 * len(COMMANDS)


@pytest.mark.parametrize("text", COMMANDS)
def test_nor_does_what_an_allocator_said_last(tmp_path: Path, text: str) -> None:
    record = process("verify", {}, status="crashed", message=f"killed by SIGSEGV. {text}")
    write_run(tmp_path / "run", [(record, {})])
    for words in (["compare", tmp_path / "run", tmp_path / "run"], ["report", tmp_path / "run"]):
        result = CliRunner().invoke(main, [str(word) for word in words])
        assert commands(result.output) == []
