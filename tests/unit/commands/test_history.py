"""`allocphase history` without processes: from runs and gates over a repository to a verdict."""

from __future__ import annotations

import importlib
import re
import shutil
from dataclasses import dataclass
from pathlib import Path

import click
import pyarrow.parquet
import pytest
from click.testing import CliRunner, Result

from allocphase import resources
from allocphase.history import History, open_history
from allocphase.process import driver
from allocphase.process.driver import Job
from tests.support.gates import FigureExecutor
from tests.support.histories import add_commits, history_path, run_of, value
from tests.support.repositories import GitRepository, made_repository

main: click.Group = importlib.import_module("allocphase.cli").main

SCENARIO = "phase-report?allocations=50"
SYSCALLS = f"syscalls:{SCENARIO}:mine"


@dataclass
class World:
    """A repository with an object of each commit, and a fake machine on which commits differ in
    their system calls: `calls` by commit, as a gate has them by arm.
    """

    folder: Path
    repository: GitRepository
    calls: dict[str, int]

    def __call__(self, *arguments: str | Path) -> Result:
        result = CliRunner().invoke(main, [str(argument) for argument in arguments])
        if result.exception is not None and not isinstance(result.exception, SystemExit):
            raise result.exception
        return result

    def run(self, message: str, calls: int) -> Path:
        """Commits an object, keeps it, and measures it where it lies in the working tree."""
        target = self.repository.folder / "mine.so"
        shutil.copy(resources.find("allocators/phase2/phase2.so"), target)
        self.repository.commit(message, {"note": message})
        self.calls["mine"] = calls
        measure = ("--probe", "syscalls", "--probe", "throughput", "-r", "5", "--label", message)
        done = self("run", "-a", f"mine={target}", "-s", SCENARIO, *measure)
        assert done.exit_code == 0, done.output
        return run_directory(done)

    def add(self, run: Path, *more: str) -> Result:
        return self("history", "add", run, *more)


def run_directory(done: Result) -> Path:
    found = re.search(r"^run directory: (.+)$", done.stderr, re.MULTILINE)
    assert found is not None, done.stderr
    return Path(found[1])


@pytest.fixture
def world(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> World:
    calls: dict[str, int] = {}

    def made(job: Job) -> dict[str, int]:
        return {"mmap": calls[job.allocator.name]}

    monkeypatch.setattr(driver, "DriverExecutor", lambda: FigureExecutor(calls=made))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return World(tmp_path, made_repository(tmp_path / "repo"), calls)


def test_a_run_has_the_commit_that_its_object_s_repository_has_checked_out(world: World) -> None:
    run = world.run("First", 3)
    done = world.add(run)
    assert done.exit_code == 0, done.output
    commit = world.repository.git("rev-parse", "HEAD")
    assert f"{run}: added, {commit[:12]}, " in done.stdout
    with open_history(history_path(world.folder)) as history:
        (found,) = history.runs()
        assert found.commit is not None
        assert (found.commit.hash, found.commit.subject) == (commit, "First")
        assert (found.commit.ancestors, found.branch, found.label) == (1, "main", "First")
        named = {entry.key.name: entry for entry in history.series()}
        calls = history.load(named[SYSCALLS]).points[0]
        assert (calls.value, calls.exact, calls.processes) == (3.0, True, 4)
        time = history.load(named[f"time:{SCENARIO}:mine"]).points[0]
        assert (time.value, time.exact, time.processes) == (10.0, False, 5)
        assert "cpu" in named[f"time:{SCENARIO}:mine"].facts
        assert "cpu" not in named[SYSCALLS].facts


def test_what_was_added_keeps_its_commit_when_the_repository_has_gone_on(world: World) -> None:
    first = world.run("First", 3)
    world.add(first)
    world.run("Second", 3)
    assert "there already" in world.add(first).stdout
    with open_history(history_path(world.folder)) as history:
        assert [run.commit.subject for run in history.runs() if run.commit] == ["First"]


def test_a_commit_that_is_younger_than_the_run_is_not_believed(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    run = world.run("First", 3)
    monkeypatch.setenv("GIT_COMMITTER_DATE", "2090-01-01T00:00:00Z")
    world.repository.commit("Later")
    done = world.add(run)
    assert done.exit_code == 2
    assert "is younger than it: say which commit it was with --commit" in done.stderr
    assert "added" in world.add(run, "--commit", "HEAD~1").stdout


@pytest.mark.parametrize("started", ["some day", "9999-12-31T23:59:59-05:00"])
def test_a_run_of_no_time_is_told_by_its_file(world: World, started: str) -> None:
    run = world.run("First", 3)
    text = (run / "run.json").read_text(encoding="utf-8")
    text = re.sub(r'"started": "[^"]*"', f'"started": "{started}"', text)
    (run / "run.json").write_text(text, encoding="utf-8")
    done = world.add(run)
    assert done.exit_code == 2
    assert f"run.json: started: '{started}' is no time" in done.stderr


def test_an_object_that_is_another_one_by_now_is_not_believed(world: World) -> None:
    run = world.run("First", 3)
    shutil.copy(resources.find("allocators/phase1/phase1.so"), world.repository.folder / "mine.so")
    done = world.add(run)
    assert done.exit_code == 2
    assert "mine.so is not what it measured" in done.stderr


def test_a_commit_that_no_repository_has_is_taken_by_its_id(world: World) -> None:
    run = world.run("First", 3)
    assert "give an id" not in world.add(run, "--commit", "HEAD").stderr
    unknown = "f" * 40
    done = world.add(run, "--commit", unknown, "--branch", "topic", "--label", "nightly")
    assert "renewed, ffffffffffff" in done.stdout
    assert "times order series that it is in" in done.stderr
    assert world.add(run, "--commit", "nonsense").exit_code == 2
    assert "nightly" in world("history", "list", "--runs").stdout


def test_of_a_gate_both_arms_are_there_under_the_allocator_s_name(world: World) -> None:
    world.run("First", 3)
    world.run("Second", 3)
    world.calls |= {"baseline": 3, "twin": 3, "candidate": 3}
    arms = ("--baseline", "main~1", "--candidate", "main", "--object", "mine={source}/mine.so")
    gated = world("gate", "--repo", world.repository.folder, *arms, "-s", SCENARIO, "--only-counts")
    assert gated.exit_code == 0, gated.output
    done = world.add(run_directory(gated), "--branch", "main")
    assert done.exit_code == 0, done.output
    with open_history(history_path(world.folder)) as history:
        runs = history.runs()
        assert [(run.arm, run.commit.subject) for run in runs if run.commit] == [
            ("baseline", "First"),
            ("candidate", "Second"),
        ]
        (entry,) = [one for one in history.series() if one.key.metric == "syscalls"]
        assert (entry.key.allocator, len(history.load(entry).points)) == ("mine", 2)


def test_a_change_is_listed_confirmed_with_the_kept_objects_and_then_fails_the_gate(
    world: World,
) -> None:
    """An object of each commit is kept beside the repository: its runs are told their commits."""
    for number, calls in enumerate((3, 3, 5)):
        world.repository.commit(f"Change {number}", {"note": str(number)})
        kept = world.folder / "objects" / str(number) / "mine.so"
        kept.parent.mkdir(parents=True)
        shutil.copy(resources.find("allocators/phase2/phase2.so"), kept)
        world.calls["mine"] = calls
        measure = ("--probe", "syscalls", "-r", "1", "--label", str(number))
        done = world("run", "-a", f"mine={kept}", "-s", SCENARIO, *measure)
        told = ("--commit", "HEAD", "--repo", str(world.repository.folder))
        assert world.add(run_directory(done), *told).exit_code == 0

    first = world.repository.git("rev-parse", "main~2")
    listed = world("history", "list", "syscalls:*")
    assert listed.exit_code == 0 and "+66.7%" in listed.stdout
    shown = world("history", "show", SYSCALLS).stdout
    assert "not confirmed yet" in shown and "Change 2" in shown and "exact" in shown
    before = world("history", "gate", "--since", first)
    assert before.exit_code == 0 and "advice: " in before.stdout

    world.calls |= {"baseline": 3, "twin": 3, "candidate": 5}
    done = world("history", "confirm")
    assert done.exit_code == 3, done.output
    assert "confirmed, worse" in done.stdout

    after = world("history", "gate", "--since", first[:12])
    assert after.exit_code == 3 and f"{SYSCALLS}: worse, +66.7%, since" in after.stdout
    by_name = ("--since", "main~1", "--repo", str(world.repository.folder))
    assert world("history", "gate", *by_name).exit_code == 3
    nothing_later = world("history", "gate", "--since", "main", "--repo", by_name[3])
    assert nothing_later.exit_code == 5
    assert world("history", "confirm").stdout == ""  # it is decided


def test_what_the_gate_does_not_find_again_is_no_change(world: World) -> None:
    runs = [world.run("First", 3), world.run("Second", 4)]
    world.add(runs[0], "--commit", "HEAD~1")
    world.add(runs[1])
    world.calls |= {"baseline": 3, "twin": 3, "candidate": 3}
    recipe = ("--repo", world.repository.folder, "--object", "mine={source}/mine.so")
    done = world("history", "confirm", SYSCALLS, *recipe)
    assert done.exit_code == 0, done.output
    assert "gated: no change" in done.stdout
    first = world.repository.git("rev-parse", "main~1")
    assert world("history", "gate", "--since", first).stdout == ""


def test_what_got_better_is_confirmed_and_passes(world: World) -> None:
    runs = [world.run("First", 5), world.run("Second", 3)]
    world.add(runs[0], "--commit", "HEAD~1")
    world.add(runs[1])
    world.calls |= {"baseline": 3, "twin": 3, "candidate": 5}  # the later one is the baseline
    recipe = ("--repo", world.repository.folder, "--object", "mine={source}/mine.so")
    done = world("history", "confirm", SYSCALLS, *recipe)
    assert done.exit_code == 0, done.output
    assert "confirmed, better" in done.stdout
    since = ("--since", world.repository.git("rev-parse", "main~1"))
    assert world("history", "gate", *since).exit_code == 0
    assert world("history", "gate", *since, "--either").exit_code == 3


def test_objects_that_are_gone_leave_a_change_open(world: World) -> None:
    runs = [world.run("First", 3), world.run("Second", 4)]
    world.add(runs[0], "--commit", "HEAD~1")
    world.add(runs[1])
    (world.repository.folder / "mine.so").unlink()
    done = world("history", "confirm", SYSCALLS)
    assert done.exit_code == 4
    assert "say how its commit is built: --repo DIR" in done.stderr


def test_pruned_runs_go_and_others_stay(world: World) -> None:
    path = history_path(world.folder)
    with open_history(path, make=True) as history:
        add_commits(history, 6, float)
    dry = world("history", "prune", "--keep", "2", "--dry-run")
    assert dry.stdout.split() == [f"/runs/{number}" for number in range(4)]
    assert world("history", "prune", "--keep", "2").exit_code == 0
    assert world("history", "prune", "--before", "2026-01-05T12:00+00:00").exit_code == 0
    with open_history(path) as history:
        assert [run.path for run in history.runs()] == ["/runs/5"]
    assert world("history", "prune", "--missing").exit_code == 0
    with open_history(path) as history:
        assert (history.runs(), history.series()) == ([], [])
    assert world("history", "prune").exit_code == 2


def test_a_rebuilt_history_has_what_runs_said_and_what_people_did(world: World) -> None:
    run = world.run("First", 3)
    world.add(run, "--label", "nightly", "--branch", "release")
    path = history_path(world.folder)
    with open_history(path) as history:
        add_commits(history, 1, lambda _: 7.0)  # its directory is gone
        before = told(history)
    world.repository.commit("Later")
    done = world("history", "rebuild")
    assert done.exit_code == 0, done.output
    assert "/runs/0: is gone: its values stay as they are" in done.stderr
    with open_history(path) as history:
        assert told(history) == before


def told(history: History) -> list[tuple[object, ...]]:
    """Of every point what it says, and of which run."""
    return [
        (entry.key, point.value, point.run.label, point.run.branch, point.commit)
        for entry in history.series()
        for point in history.load(entry).points
    ]


def test_a_lost_history_is_made_of_the_runs_below_a_folder(world: World) -> None:
    world.run("First", 3)
    assert world("history", "rebuild").exit_code == 2
    done = world("history", "rebuild", "out")
    assert done.exit_code == 0 and "added" in done.stdout, done.output
    with open_history(history_path(world.folder)) as history:
        assert [run.label for run in history.runs()] == ["First"]


def test_the_table_for_notebooks_has_every_point(world: World) -> None:
    with open_history(history_path(world.folder), make=True) as history:
        add_commits(history, 4, lambda number: 10.0 + number)
    done = world("history", "export", "--parquet", "all.parquet")
    assert done.exit_code == 0 and "4 points" in done.stdout
    rows = pyarrow.parquet.read_table("all.parquet").to_pylist()
    assert [(row["value"], row["subject"], row["ancestors"]) for row in rows] == [
        (10.0 + number, f"Change {number}", number + 1) for number in range(4)
    ]


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["list"], "no history there: `allocphase history add RUN` makes one"),
        (["add", "nowhere"], "no run directory"),
        (["add", "nowhere", "--repo", "."], "add --commit REVISION"),
        (["prune", "--before", "soon", "--db", "there.db"], "is written 2026-01-31"),
        (
            ["prune", "--before", "0001-01-01T00:00:00+05:00", "--db", "there.db"],
            "is written 2026-01-31",
        ),
        (["show", "tim:some:mine", "--db", "there.db"], "did you mean 'time:some:mine'?"),
        (["list", "--branch", "man", "--db", "there.db"], "did you mean 'main'?"),
        (["gate", "--since", "00000", "--db", "there.db"], "begins 3 commits: give more of it"),
    ],
)
def test_what_is_wrong_is_said_in_a_line(world: World, arguments: list[str], words: str) -> None:
    with open_history(world.folder / "there.db", make=True) as history:
        add_commits(history, 3, lambda _: 1.0)
    done = world("history", *arguments)
    assert done.exit_code == 2, done.output
    assert words in done.stderr
    assert done.stderr.count("\n") == 1


def test_a_history_without_a_run_says_how_to_add_one(world: World) -> None:
    (world.folder / "empty").mkdir()
    assert world.add(world.folder / "empty").exit_code == 2
    with open_history(history_path(world.folder), make=True):
        pass
    done = world("history", "show", "x")
    assert done.exit_code == 2
    assert "there are no series yet: `allocphase history add RUN` adds a run's" in done.stderr


def test_the_page_is_written_where_it_is_asked_for(tmp_path: Path) -> None:
    with open_history(history_path(tmp_path), make=True) as history:
        history.add(run_of(1, [value(7.0), value(8.0, metric="latency.malloc.p99")]))
    db = ["--db", str(history_path(tmp_path))]
    target = tmp_path / "page.html"
    done = CliRunner().invoke(main, ["history", "report", *db, "-o", str(target)])
    assert (done.exit_code, done.output) == (0, f"page: {target}\n")
    text = target.read_text(encoding="utf-8")
    assert "1 series; 1 more are in the database" in text
    done = CliRunner().invoke(main, ["history", "report", "nobody's*", *db, "-o", str(target)])
    assert done.exit_code == 2
    assert target.read_text(encoding="utf-8") == text
