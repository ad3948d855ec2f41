"""`allocphase gate --repo`: what is accepted, which exit code it ends with, what it says."""

from __future__ import annotations

import importlib
import json
from collections.abc import Callable
from pathlib import Path

import click
import pytest
from click.testing import CliRunner, Result

from allocphase.process import driver
from allocphase.process.driver import Job
from tests.support.gates import FigureExecutor
from tests.support.repositories import FINE, SLOWER, GitRepository, made_repository

# The application as it is installed; a type checker sees it as the module `cli` of the checkout.
main: click.Group = importlib.import_module("allocphase.cli").main

Gate = Callable[..., Result]
REVISIONS = ["--baseline", "v1", "--candidate", "HEAD"]
ROWS = ["-s", "phase-report?allocations=50", "--limit", "*=off", "--limit", "syscalls=exact"]
SOURCE = ["--object", "{source}/mine.c"]


@pytest.fixture
def made(tmp_path: Path) -> GitRepository:
    """v1, and one commit that makes a system call more, or so the executor says."""
    repository = made_repository(tmp_path / "repo")
    repository.commit("First", {"mine.c": FINE})
    repository.git("tag", "v1")
    repository.commit("Slower", {"mine.c": SLOWER})
    return repository


@pytest.fixture
def gate(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Gate:
    """`allocphase gate`, in a folder of its own; an object of SLOWER makes one call more."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")

    def calls(job: Job) -> dict[str, int]:
        """None is made here: what makes them is told by the name in the object."""
        path = job.allocator.path
        assert path is not None
        return {"mmap": 1 + (b"sched_yield" in path.read_bytes())}

    executor = FigureExecutor(calls=calls)
    monkeypatch.setattr(driver, "DriverExecutor", lambda: executor)

    def call(*arguments: str) -> Result:
        result = CliRunner().invoke(main, ["gate", "--quiet", *arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    return call


def test_two_revisions_are_gated_under_their_commits(made: GitRepository, gate: Gate) -> None:
    found = gate("--repo", str(made.folder), *REVISIONS, *SOURCE, *ROWS, "--json", "gate.json")
    assert found.exit_code == 3, found.output
    verdict = json.loads(Path("gate.json").read_text())
    old, new = (made.git("rev-parse", "--short=12", name) for name in ("v1", "HEAD"))
    assert (verdict["baseline"]["name"], verdict["candidate"]["name"]) == (
        f"mine@{old}",
        f"mine@{new}",
    )
    assert verdict["notes"] == []


def test_a_dirty_tree_is_noted_in_the_verdict(made: GitRepository, gate: Gate) -> None:
    (made.folder / "mine.c").write_text("no allocator")
    found = gate("--repo", str(made.folder), *REVISIONS, *SOURCE, *ROWS, "--json", "-")
    notes = json.loads(found.stdout)["notes"]
    assert f"{made.folder} has changes that are not committed: they are in no revision" in notes


@pytest.mark.parametrize(
    ("arguments", "code", "message"),
    [
        (["--object", "{source}/mine.c", *REVISIONS], 2, "--object is for --repo DIR"),
        (["--build", "make", *REVISIONS], 2, "--build is for --repo DIR"),
        (["--bisect", "v1..HEAD"], 2, "--bisect is for --repo DIR"),
        (["--repo", "../repo", *REVISIONS], 2, "--object wants [NAME=]FILE"),
        (["--repo", "nowhere", *REVISIONS, *SOURCE], 2, "--repo: nowhere: no such folder"),
        (["--repo", ".", *REVISIONS, *SOURCE], 2, "not a git repository"),
        (["--repo", "../repo", "--candidate", "HEAD", *SOURCE], 2, "one of --baseline"),
        (["--repo", "../repo", "--baseline", "v1", *SOURCE], 2, "gate wants --candidate"),
        (["--repo", "../repo", "--baseline", "v2", "--candidate", "v1", *SOURCE], 5, "baseline: "),
        (["--repo", "../repo", "--baseline", "v1", "--candidate", "v2", *SOURCE], 2, "candidate: "),
        (
            ["--repo", "../repo", "--bisect", "v1..HEAD", "--saved", "x", *SOURCE],
            2,
            "leave --saved",
        ),
        (["--repo", "../repo", "--bisect", "v1", *SOURCE], 2, "it is written GOOD..BAD"),
        (["--repo", "../repo", "--bisect", "v1..", "--bisect-exit", *SOURCE], 2, "walks by itself"),
    ],
)
def test_what_does_not_fit_together_is_one_line(
    made: GitRepository, gate: Gate, arguments: list[str], code: int, message: str
) -> None:
    assert made.folder.is_dir()
    found = gate(*arguments, *ROWS)
    assert (found.exit_code, found.stdout) == (code, "")
    assert message in found.stderr
    assert len(found.stderr.splitlines()) == 1


def test_nothing_is_built_for_a_scenario_that_does_not_exist(
    made: GitRepository, gate: Gate
) -> None:
    build = ["--build", "touch ../built", "--object", "{build}/x.so"]
    found = gate("--repo", str(made.folder), *REVISIONS, *build, "-s", "nosuch")
    assert found.exit_code == 2
    assert "building" not in found.stderr


def test_a_build_that_fails_is_exit_code_2_with_its_last_lines(
    made: GitRepository, gate: Gate
) -> None:
    build = ["--build", "echo no such header; false", "--object", "{build}/x.so"]
    found = gate("--repo", str(made.folder), *REVISIONS, *build, *ROWS)
    assert found.exit_code == 2
    assert "First: does not build: exit code 1; all it said is in " in found.stderr
    assert found.stderr.endswith("  no such header\n")


@pytest.mark.parametrize(
    ("good", "bad", "code"), [("v1", "HEAD", 125), ("HEAD", "v1", 128), ("v1", "v1", 0)]
)
def test_git_bisect_is_told_to_skip_what_does_not_build_but_not_without_a_baseline(
    made: GitRepository, gate: Gate, good: str, bad: str, code: int
) -> None:
    made.commit("Broken", {"mine.c": FINE.replace("return", "retrun")})
    limits = [*ROWS, "--limit", "*=off", "--limit", "time=off", "--limit", "peak_live=exact"]
    revisions = ["--baseline", good, "--candidate", bad]
    found = gate("--repo", str(made.folder), *revisions, "--bisect-exit", *SOURCE, *limits)
    assert found.exit_code == code, found.output


def test_a_bisection_ends_with_the_answer_and_exit_code_3(made: GitRepository, gate: Gate) -> None:
    made.git("checkout", "--quiet", "--detach", "v1")
    made.commit("Before", {"mine.c": FINE + "\n"})
    made.commit("Broken", {"mine.c": FINE.replace("return", "retrun")})  # the middle: tried first
    made.commit("After", {"mine.c": FINE + "\n\n"})
    slower = made.commit("Slower", {"mine.c": SLOWER})
    found = gate("--repo", str(made.folder), "--bisect", "v1..HEAD", *SOURCE, *ROWS)
    assert found.exit_code == 3, found.output
    skipped, answer, subject, row, _ = found.stdout.splitlines()[-5:]
    assert "Broken: " in skipped
    assert "mine.c: does not compile" in skipped
    assert answer.startswith(f"{slower} is the first that is worse than ")
    assert subject == "  Slower"
    assert row.startswith("  syscalls:phase-report?allocations=50: 1 -> 2 (+100%")


def test_a_bisection_s_document_is_the_verdict_of_the_commit_that_it_found(
    made: GitRepository, gate: Gate
) -> None:
    made.commit("Later", {"mine.c": SLOWER + "\n"})
    found = gate("--repo", str(made.folder), "--bisect", "v1..", *SOURCE, *ROWS, "--json", "-")
    assert found.exit_code == 3
    short = made.git("rev-parse", "--short=12", "HEAD~1")
    assert json.loads(found.stdout)["candidate"]["name"] == f"mine@{short}"
    assert "is the first that is worse than" in found.stderr
