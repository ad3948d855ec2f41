"""The composite action as it stands: its steps' shell lines, in an empty repository with two
revisions of an allocator. And the workflows: whose actions they use, and with which rights.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from allocphase.analysis import frames
from tests.integration.test_gate import MINE, git
from tests.support.plugins import ROOT

BIN = Path(sys.executable).parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
# No system calls, or one in each 900 calls; or in each call as much work as its process drew: that
# a copy is within 2% of another cannot be told.
NONE, SOME = "#define EVERY 0", "#define EVERY 900"
DRAWN = """
#include <sys/random.h>
static unsigned char drawn;
static int work(void) {
  if (!drawn) (void)!getrandom(&drawn, 1, 0);
  for (volatile unsigned turn = 0; turn < 16u * drawn; turn++) continue;
  return 0;
}
#define EVERY work()
"""
COUNTS = '"*=off", "syscalls=exact"'
TIMES = '"*=off", "time=2%:phase-report"'


def action() -> dict[str, Any]:
    found: dict[str, Any] = yaml.safe_load((ROOT / "action.yml").read_text(encoding="utf-8"))
    return found


def committed(folder: Path, every: str) -> None:
    (folder / "mine.c").write_text(f"{every}\n{MINE}", encoding="utf-8")
    git(folder, "add", ".")
    git(folder, "commit", "--allow-empty", "-m", "A revision")


class Runner:
    """What GitHub does of a composite action: inputs, `if`-less steps in order, their outputs."""

    def __init__(self, repository: Path, **inputs: str) -> None:
        self.repository = repository
        declared = action()["inputs"]
        assert set(inputs) <= set(declared)
        self.inputs = {name: inputs.get(name, one.get("default")) for name, one in declared.items()}
        self.outputs: dict[str, dict[str, str]] = {}
        self.said = ""

    def _value(self, text: str) -> str:
        """An expression of the two kinds that the action has."""

        def found(match: re.Match[str]) -> str:
            scope, *path = match[1].split(".")
            if scope == "inputs":
                (name,) = path
                return str(self.inputs[name])
            assert scope == "steps"
            step, _, name = path
            return self.outputs[step].get(name, "")

        return re.sub(r"\$\{\{ ([\w.-]+) \}\}", found, text)

    def run(self) -> dict[str, str]:
        """Runs the steps but Install, and returns the action's outputs."""
        for step in action()["runs"]["steps"]:
            if step["name"] == "Install":
                continue
            said = self.repository.parent / f"output-{step['name']}"
            said.touch()
            variables = {name: self._value(value) for name, value in step.get("env", {}).items()}
            done = subprocess.run(
                ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
                cwd=self.repository,
                env={
                    **{k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")},
                    **variables,
                    "PATH": f"{BIN}:{os.environ['PATH']}",
                    "GITHUB_OUTPUT": str(said),
                },
                capture_output=True,
                text=True,
            )
            self.said += done.stdout + done.stderr
            last = step["name"] == "Verdict"
            assert last or done.returncode == 0, done.stdout + done.stderr
            lines = said.read_text(encoding="utf-8").splitlines()
            self.outputs[step.get("id", step["name"])] = dict(line.split("=", 1) for line in lines)
        self.code = done.returncode
        return {name: self._value(one["value"]) for name, one in action()["outputs"].items()}


@pytest.mark.parametrize(
    ("before", "after", "limits", "code", "verdict"),
    [
        (NONE, NONE, COUNTS, 0, "pass"),
        (NONE, SOME, COUNTS, 3, "fail"),
        (DRAWN, DRAWN, TIMES, 4, "inconclusive"),
    ],
    ids=["pass", "fail", "inconclusive"],
)
def test_its_steps_end_as_the_gate_does(
    tmp_path: Path, before: str, after: str, limits: str, code: int, verdict: str
) -> None:
    """Twice more where chance, which has a twentieth of the cases, has decided a time."""
    for attempt in range(3):
        repository = tmp_path / str(attempt) / "repository"
        repository.mkdir(parents=True)
        git(repository, "init", "--initial-branch", "main")
        (repository / "gate.toml").write_text(f"limits = [{limits}]\n", encoding="utf-8")
        committed(repository, before)
        committed(repository, after)
        runner = Runner(
            repository,
            baseline="HEAD~1",
            candidate="HEAD",
            object="{source}/mine.c",
            scenarios="phase-report",
            limits="gate.toml",
        )
        outputs = runner.run()
        if limits != TIMES or outputs["verdict"] == verdict:
            break
    ends = (outputs["verdict"], outputs["exit-code"], runner.code)
    assert ends == (verdict, str(code), code), runner.said
    page = repository / outputs["report"]
    assert page.is_file()
    assert frames.load(page.parent).cell_list


def test_what_cannot_be_used_is_an_error_and_has_no_report(tmp_path: Path) -> None:
    repository = tmp_path / "repository"
    repository.mkdir()
    runner = Runner(repository, baseline="libc", candidate="nobody's")
    outputs = runner.run()
    assert outputs == {"verdict": "error", "exit-code": "2", "report": ""}
    assert runner.code == 2


@pytest.mark.parametrize("workflow", WORKFLOWS, ids=lambda path: path.stem)
def test_every_action_is_pinned_by_its_digest_and_may_read_unless_its_job_says_more(
    workflow: Path,
) -> None:
    found = yaml.safe_load(workflow.read_text(encoding="utf-8"))
    assert found["permissions"] == {"contents": "read"}
    steps = [step for job in found["jobs"].values() for step in job.get("steps", ())]
    assert steps
    for step in steps:
        name = step.get("uses", "./")
        assert name == "./" or re.fullmatch(r"[\w./-]+@[0-9a-f]{40}", name), name
