"""Run directories with files that are not files: every command ends at once, and in one line."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from pathlib import Path

import click
import numpy as np
import pytest
from click.testing import CliRunner, Result

from tests.support.runs import process, write_run
from tests.support.strange import STRANGE, in_time

main: click.Group = importlib.import_module("allocphase.cli").main

# A command that reads it, of each file in a run directory.
READ = {
    "run.json": ("report", "compare", "resume", "claims"),
    "processes.jsonl": ("report", "compare", "claims"),
    "events.jsonl": ("report",),
    "samples/0.npz": ("report",),
    "operations/0.npz": ("report",),
    "claims.json": ("report",),
    "gate.json": ("gate",),
}
COMMANDS: dict[str, Callable[[Path], list[str]]] = {
    "report": lambda run: ["report", str(run)],
    "compare": lambda run: ["compare", str(run), str(run)],
    "resume": lambda run: ["run", "--resume", str(run)],
    "claims": lambda run: ["claims", "phase-report", "--run", str(run)],
    "gate": lambda run: ["gate", "--again", str(run)],
}
CASES = [(name, command) for name, commands in READ.items() for command in commands]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    ticks = np.full(6, 100, dtype=np.uint32)
    arrays = {"call_ticks": ticks, "touch_ticks": ticks}
    part = {"cold_ns_per_op": 9.0, "warm_ns_per_op": [8.0]}
    records = [
        (process("latency", {}, id=0), arrays),
        (process("throughput", part, id=1), {}),
    ]
    write_run(tmp_path / "run", records)
    return tmp_path / "run"


def invoke(run: Path, command: str) -> Result:
    result = CliRunner().invoke(main, COMMANDS[command](run))
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return result


@pytest.mark.parametrize("kind", [*STRANGE, "link to the file itself"])
@pytest.mark.parametrize(("name", "command"), CASES)
def test_no_command_waits_for_a_file_of_a_run_that_is_none(
    run: Path, name: str, command: str, kind: str
) -> None:
    path = run / name
    if kind == "link to the file itself":
        if not path.exists():
            path.write_text("{}")
        path.symlink_to(path.rename(run.parent / "elsewhere"))
    else:
        path.unlink(missing_ok=True)
        STRANGE[kind](path)
    with in_time(20.0):
        result = invoke(run, command)
    assert result.exit_code == 2
    assert result.stderr.count("\n") == 1
    assert result.stderr.startswith(f"allocphase: {path}: ")


OUTPUTS = ("report.html", "report.md", "figures/time-per-op.png", "report.md.partial")


@pytest.mark.parametrize("name", OUTPUTS)
def test_a_report_overwrites_nothing_outside_of_its_run(run: Path, name: str) -> None:
    hers = run.parent / "hers"
    hers.write_text("hers")
    path = run / name
    path.parent.mkdir(exist_ok=True)
    path.symlink_to(hers)
    result = invoke(run, "report")
    assert hers.read_text() == "hers"
    if name.endswith(".partial"):  # a name that nobody sees: what lies there is taken away
        assert result.exit_code == 0
        return
    assert result.exit_code == 2
    assert result.stderr == f"allocphase: {path}: is a link, and none is followed here\n"


@pytest.mark.parametrize("name", ["samples", "operations", "figures", "traces"])
@pytest.mark.parametrize("command", ["report", "resume"])
def test_a_run_with_a_folder_that_leads_elsewhere_is_refused(
    run: Path, name: str, command: str
) -> None:
    hers = run.parent / "hers"
    hers.mkdir()
    (hers / "9.npz").write_text("hers")
    if (run / name).exists():
        (run / name).rename(run / "before")
    (run / name).symlink_to(hers)
    result = invoke(run, command)
    assert result.exit_code == 2
    assert result.stderr == (
        f"allocphase: {run / name}: is a link, and allocphase makes none: remove it\n"
    )
    assert [path.name for path in hers.iterdir()] == ["9.npz"]


def test_a_run_may_itself_be_named_by_a_link(run: Path, tmp_path: Path) -> None:
    (tmp_path / "latest").symlink_to(run)
    assert invoke(tmp_path / "latest", "compare").exit_code == 0
