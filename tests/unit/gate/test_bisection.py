"""Bisections over real repositories, by gates of which the test makes the figures up."""

from __future__ import annotations

from collections.abc import Callable, Collection
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.gate import run_gate
from allocphase.gate.bisection import Bisection, bisect, read_range
from allocphase.gate.bisection_text import bisection_lines
from allocphase.gate.builds import BuildError
from allocphase.gate.repository import Commit, Repository
from allocphase.judge import GateVerdict
from tests.support.gates import FigureExecutor, gate_request, no_progress
from tests.support.repositories import GitRepository, made_repository

UNTOLD, BROKEN, UNMEASURED = "untold", "does not build: exit code 1", "nothing was measured"


@pytest.fixture
def made(tmp_path: Path) -> GitRepository:
    """Eight commits on `main`, C0 to C7."""
    repository = made_repository(tmp_path / "repo")
    for number in range(8):
        repository.commit(f"C{number}")
    return repository


@dataclass(frozen=True)
class Gates:
    """Gates commits by their subjects: those in `worse` make more system calls than C0."""

    folder: Path
    worse: Collection[str]
    skipped: dict[str, str] = field(default_factory=dict)
    seen: list[str] = field(default_factory=list)

    def __call__(self, commit: Commit) -> GateVerdict:
        self.seen.append(commit.subject)
        why = self.skipped.get(commit.subject)
        if why == BROKEN:
            raise BuildError(commit, f"{BROKEN}\n  its last line")
        if why == UNMEASURED:
            raise NothingMeasuredError(UNMEASURED)
        request = gate_request(self.folder, "*=off", "syscalls=exact")
        more = 3 + (commit.subject in self.worse)
        executor = FigureExecutor(
            calls=lambda job: {"mmap": more if job.allocator.name == "candidate" else 3},
            status=lambda _: ("crashed", "") if why == UNTOLD else None,
        )
        return run_gate(replace(request, verify=False), executor, progress=no_progress)


Walk = Callable[..., Bisection]


@pytest.fixture
def walk(made: GitRepository) -> Walk:
    """walk(gates): from C0 to HEAD."""

    def run(gates: Gates, text: str = "HEAD~7..HEAD") -> Bisection:
        repository = Repository.at(made.folder)
        return bisect(repository, *read_range(text, repository), gates, say=lambda _: None)

    return run


@pytest.mark.parametrize("first", range(1, 8))
def test_the_first_worse_commit_is_found_wherever_it_is(
    walk: Walk, tmp_path: Path, first: int
) -> None:
    gates = Gates(tmp_path / "gates", {f"C{number}" for number in range(first, 8)})
    found = walk(gates)
    assert found.worse is not None
    assert (found.worse.subject, found.skipped, found.suspects) == (f"C{first}", (), ())
    assert found.verdict.exit_code == 3
    assert gates.seen[0] == "C7"
    assert len(gates.seen) == len(set(gates.seen)) <= 4


def test_the_answer_has_the_commit_its_subject_and_the_row(walk: Walk, tmp_path: Path) -> None:
    found = walk(Gates(tmp_path / "gates", {"C5", "C6", "C7"}))
    assert found.worse is not None
    assert bisection_lines(found) == [
        f"{found.worse.id} is the first that is worse than {found.good}",
        "  C5",
        "  syscalls:phase-report?allocations=50: 3 -> 4 (+33%, again +33%), limit exact",
        "  syscalls.mmap:phase-report?allocations=50: 3 -> 4 (+33%, again +33%), limit exact",
    ]


@pytest.mark.parametrize("why", [UNTOLD, BROKEN, UNMEASURED])
def test_what_cannot_be_built_told_or_measured_is_skipped_and_told(
    walk: Walk, tmp_path: Path, why: str
) -> None:
    gates = Gates(tmp_path / "gates", {"C6", "C7"}, dict.fromkeys(("C3", "C4", "C2"), why))
    found = walk(gates)
    assert found.worse is not None
    assert (found.worse.subject, found.suspects) == ("C6", ())
    assert {one.commit.subject for one in found.skipped} <= {"C2", "C3", "C4"}
    reason = "not measured: " if why == UNTOLD else why
    assert all(one.reason.startswith(reason) for one in found.skipped)
    (line, *_) = bisection_lines(found)
    assert line.startswith(f"skipped {found.skipped[0].commit}: {reason}")
    assert "\n" not in line


def test_where_only_skipped_commits_are_left_any_of_them_may_have_brought_it(
    walk: Walk, tmp_path: Path
) -> None:
    found = walk(Gates(tmp_path / "gates", {"C6", "C7"}, {"C4": BROKEN, "C5": BROKEN}))
    assert found.worse is not None
    assert found.worse.subject == "C6"
    assert {commit.subject for commit in found.suspects} == {"C4", "C5"}
    lines = bisection_lines(found)
    assert f"one of these is the first that is worse than {found.good}:" in lines
    assert f"  {found.worse}" in lines


def test_where_the_last_commit_is_not_worse_there_is_nothing_to_find(
    walk: Walk, tmp_path: Path
) -> None:
    gates = Gates(tmp_path / "gates", {"C3"})
    found = walk(gates)
    assert (found.worse, gates.seen, found.verdict.exit_code) == (None, ["C7"], 0)
    (line,) = bisection_lines(found)
    assert line == f"{found.bad} against {found.good}: passed: 2 rows. Nothing is worse."


def test_a_last_commit_that_does_not_build_ends_it(walk: Walk, tmp_path: Path) -> None:
    with pytest.raises(BuildError, match="C7: does not build"):
        walk(Gates(tmp_path / "gates", {}, {"C7": BROKEN}))


def test_a_commit_of_a_branch_that_was_merged_is_found(
    made: GitRepository, walk: Walk, tmp_path: Path
) -> None:
    """By the graph: in the order of a log it may stand between commits that are not worse."""
    made.git("checkout", "--quiet", "-b", "side", "HEAD~5")
    for name in ("S1", "S2", "S3"):
        made.commit(name)
    made.git("checkout", "--quiet", "main")
    made.git("merge", "--quiet", "--no-ff", "-m", "Merged", "side")
    made.commit("Last")
    found = walk(Gates(tmp_path / "gates", {"S2", "S3", "Merged", "Last"}), "main~9..main")
    assert found.worse is not None
    assert found.worse.subject == "S2"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("main", r"it is written GOOD\.\.BAD"),
        ("..main", r"it is written GOOD\.\.BAD"),
        ("main~3...main", r"it is written GOOD\.\.BAD"),
        ("main~3..nosuch", "has no commit 'nosuch'"),
        ("main..HEAD", "both are "),
        ("main..main~3", "main does not come before main~3"),
    ],
)
def test_a_range_that_is_none_is_refused(made: GitRepository, text: str, message: str) -> None:
    with pytest.raises(UsageError, match=f"--bisect '{text}': .*{message}"):
        read_range(text, Repository.at(made.folder))


def test_a_range_without_an_end_goes_up_to_the_newest(made: GitRepository) -> None:
    good, bad = read_range("main~2..", Repository.at(made.folder))
    assert (good.subject, bad.subject) == ("C5", "C7")


def test_the_repository_is_as_before(made: GitRepository, walk: Walk, tmp_path: Path) -> None:
    before = made.state()
    walk(Gates(tmp_path / "gates", {"C4", "C5", "C6", "C7"}))
    assert made.state() == before
