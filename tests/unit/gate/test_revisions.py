"""Revisions of a repository: names to commits, copies, builds and their cache, objects."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase.allocator.shared_object import inspect_object
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.files.folder_lock import FolderLock
from allocphase.gate import builds
from allocphase.gate.builds import BuildError, Tree, build_revision
from allocphase.gate.repository import Repository
from allocphase.gate.revisions import Recipe, Revisions
from allocphase.interruption import InterruptionError
from tests.support.processes import nothing_left
from tests.support.repositories import FINE, GitRepository, made_repository

NOTHING: Callable[[str], None] = lambda _: None  # noqa: E731
COPY = "cp {source}/mine.c {build}/out.txt"


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty one."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "a cache"))
    return tmp_path / "a cache" / "allocphase" / "revisions"


@pytest.fixture
def made(tmp_path: Path, cache: Path) -> GitRepository:
    """A repository of one commit on `main`."""
    assert not cache.exists()
    repository = made_repository(tmp_path / "repo")
    repository.commit("First", {"mine.c": FINE})
    return repository


def build(made: GitRepository, command: str, revision: str = "HEAD") -> Tree:
    repository = Repository.at(made.folder)
    return build_revision(repository, repository.commit(revision), command, say=NOTHING)


def revisions(made: GitRepository, command: str | None, text: str) -> Revisions:
    return Revisions(Repository.at(made.folder), Recipe.read(command, text), NOTHING)


# ---- Names --------------------------------------------------------------------------------


def test_a_branch_a_tag_and_the_beginning_of_an_id_are_revisions(made: GitRepository) -> None:
    first = made.git("rev-parse", "HEAD")
    made.git("tag", "-m", "annotated", "v1")
    second = made.commit("Second line\n\nand a body")
    repository = Repository.at(made.folder)
    assert repository.commit("v1").id == repository.commit(first[:8]).id == first
    assert repository.commit("main") == repository.commit("HEAD")
    assert (repository.commit("main").id, repository.commit("main").subject) == (
        second,
        "Second line",
    )


@pytest.mark.parametrize("name", ["nosuch", "", "--all", "-x", "HEAD:mine.c", "a\0b", "main~9"])
def test_what_is_no_commit_is_refused(made: GitRepository, name: str) -> None:
    with pytest.raises(UsageError, match="has no commit"):
        Repository.at(made.folder).commit(name)


def test_the_nearest_name_is_told(made: GitRepository) -> None:
    made.git("branch", "faster-free-lists")
    with pytest.raises(UsageError, match="did you mean 'faster-free-lists'"):
        Repository.at(made.folder).commit("faster-freelists")


def test_a_folder_without_a_repository_is_refused(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match=r"--repo: .*: no such folder"):
        Repository.at(tmp_path / "nothing")
    with pytest.raises(UsageError, match=r"--repo: .*: fatal: not a git repository"):
        Repository.at(tmp_path)


def test_without_git_that_is_said(made: GitRepository, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(made.folder))
    with pytest.raises(UsageError, match="no git: install it"):
        Repository.at(made.folder)


def test_a_subject_is_one_line_that_commands_no_terminal(made: GitRepository) -> None:
    made.commit("red \x1b[31m subject")
    assert Repository.at(made.folder).commit("HEAD").subject == "red ?[31m subject"


# ---- Copies -------------------------------------------------------------------------------


def test_the_working_tree_the_index_and_the_refs_stay_as_they_are(made: GitRepository) -> None:
    made.commit("Second", {"other.c": "int other;\n"})
    (made.folder / "mine.c").write_text("changed, not staged\n")
    (made.folder / "new.c").write_text("staged\n")
    made.git("add", "new.c")
    before = made.state()
    tree = build(made, COPY, "HEAD~1")
    assert (tree.build / "out.txt").read_text() == FINE
    assert not (tree.source / "other.c").exists()
    assert Repository.at(made.folder).has_changes()
    assert made.state() == before


def test_no_hook_runs(made: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Neither the repository's own, nor one of the user's template or configuration."""
    ran = tmp_path / "ran"
    hooks = made.folder / ".git" / "hooks"
    hooks.mkdir(exist_ok=True)
    template = tmp_path / "template" / "hooks"
    template.mkdir(parents=True)
    for folder in (hooks, template):
        for name in ("post-checkout", "reference-transaction", "post-index-change", "fsmonitor"):
            hook = folder / name
            hook.write_text(f"#!/bin/sh\necho {name} >> {ran}\n")
            hook.chmod(0o755)
    made.git("config", "core.fsmonitor", str(hooks / "fsmonitor"))
    configuration = tmp_path / "gitconfig"
    configuration.write_text(f"[init]\ntemplateDir={template.parent}\n[core]\nhooksPath={hooks}\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(configuration))
    ran.unlink(missing_ok=True)
    build(made, COPY)
    assert not Repository.at(made.folder).has_changes()
    assert not ran.exists()


def test_variables_that_name_another_repository_change_nothing(
    made: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As in a hook, a rebase or a bisection of another repository."""
    other = made_repository(tmp_path / "other")
    other.commit("Elsewhere", {"mine.c": "elsewhere"})
    before = other.state()
    for name, value in {
        "GIT_DIR": ".git",
        "GIT_WORK_TREE": ".",
        "GIT_INDEX_FILE": ".git/index",
        "GIT_OBJECT_DIRECTORY": ".git/objects",
    }.items():
        monkeypatch.setenv(name, str(other.folder / value))
    tree = build(made, "git log --format=%s > {build}/log && " + COPY)
    assert (tree.build / "out.txt").read_text() == FINE
    assert (tree.build / "log").read_text() == "First\n"
    assert not Repository.at(made.folder).has_changes()
    for name in ("GIT_DIR", "GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_OBJECT_DIRECTORY"):
        monkeypatch.delenv(name)
    assert other.state() == before


def test_a_build_that_asks_git_for_a_version_gets_the_revisions(made: GitRepository) -> None:
    made.git("tag", "v1.2")
    made.commit("Second")
    made.git("tag", "v1.3")
    made.commit("Third")
    tree = build(made, "git describe --tags > {build}/version", "HEAD~1")
    assert (tree.build / "version").read_text() == "v1.3\n"


def test_files_that_an_archive_would_leave_out_are_there(made: GitRepository) -> None:
    made.commit("Two", {".gitattributes": "build.sh export-ignore\n", "build.sh": 'touch "$1/x"\n'})
    assert (build(made, "sh build.sh {build}").build / "x").exists()


@pytest.mark.parametrize("form", ["bare", "worktree", "subfolder", "shallow"])
def test_every_form_of_repository_has_revisions(
    made: GitRepository, tmp_path: Path, form: str
) -> None:
    made.commit("Second", {"sub/mine.c": FINE})
    folder = tmp_path / form
    if form == "worktree":
        made.git("worktree", "add", "--quiet", "--detach", str(folder), "HEAD~1")
    elif form == "subfolder":
        folder = made.folder / "sub"
    else:
        how = ["--bare"] if form == "bare" else ["--depth=1"]
        made.git("clone", "--quiet", *how, f"file://{made.folder}", str(folder))
    tree = build(GitRepository(folder), COPY, "main")
    assert (tree.build / "out.txt").read_text() == FINE
    assert not Repository.at(folder).has_changes()


def test_a_submodule_that_is_not_there_is_named_when_the_build_fails(
    made: GitRepository, tmp_path: Path
) -> None:
    library = made_repository(tmp_path / "library")
    library.commit("Library", {"library.h": "int library;\n"})
    allowed = ("-c", "protocol.file.allow=always")
    made.git(*allowed, "submodule", "add", "--quiet", str(library.folder), "deps/library")
    made.commit("With a submodule")
    command = "cat deps/library/library.h > {build}/out.txt"
    with pytest.raises(BuildError, match="deps/library is a submodule, and empty: begin --build"):
        build(made, command)
    update = "git -c protocol.file.allow=always submodule --quiet update --init --recursive && "
    assert (build(made, update + command).build / "out.txt").read_text() == "int library;\n"


# ---- Builds -------------------------------------------------------------------------------


def test_a_revision_is_built_once_for_each_command_and_compiler(
    made: GitRepository, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    count = tmp_path / "count"
    command = f"echo once >> {count} && {COPY}"
    first = build(made, command)
    made.git("branch", "same")
    assert build(made, command, "same") == first
    assert count.read_text() == "once\n"
    assert build(made, command + " ") != first
    made.commit("Second")
    assert build(made, command) != first
    monkeypatch.setenv("CFLAGS", "-O3")
    assert build(made, command, "same") != first
    assert count.read_text() == 4 * "once\n"


def test_folders_with_blanks_need_no_quotes(made: GitRepository, cache: Path) -> None:
    tree = build(made, "cd {build} && touch here")
    assert (tree.build / "here").exists()
    assert cache in tree.build.parents


def test_a_build_that_fails_shows_its_last_lines_and_is_tried_again(
    made: GitRepository, tmp_path: Path
) -> None:
    flag = tmp_path / "flag"
    command = f"seq 100; echo no \x1b[1m such header >&2; cp {flag} {{build}}"
    with pytest.raises(BuildError) as failed:
        build(made, command)
    first, *lines = str(failed.value).splitlines()
    assert "First: does not build: exit code 1; all it said is in " in first
    assert lines[0] == "  83"
    assert lines[-2] == "  no ?[1m such header"
    assert "cannot stat" in lines[-1]
    assert len(lines) == 20
    log = Path(first.rpartition(" is in ")[2])
    assert log.read_text().startswith("1\n2\n")
    assert failed.value.exit_code == 2
    flag.touch()
    assert (build(made, command).build / "flag").exists()


def test_a_build_that_was_killed_names_the_signal(made: GitRepository) -> None:
    with pytest.raises(BuildError, match="does not build: killed by SIGSEGV"):
        build(made, "kill -SEGV $$")


def test_a_build_that_hangs_is_ended_with_all_that_it_started(
    made: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(builds, "BUILD_S", 0.3)
    with (
        nothing_left("hangs", monkeypatch),
        pytest.raises(BuildError, match=r"not ended after 0\.3 s"),
    ):
        build(made, "sleep 1000 & sleep 1000")


def test_what_a_build_leaves_running_is_ended(
    made: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    with nothing_left("leaves", monkeypatch):
        build(made, "sleep 1000 &")


def test_a_signal_ends_a_build_and_what_it_started(
    made: GitRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    with (
        nothing_left("signal", monkeypatch),
        pytest.raises(InterruptionError, match="SIGTERM"),
    ):
        build(made, "kill -TERM $PPID; sleep 1000")
    assert build(made, "true").build.is_dir()


def test_two_do_not_build_the_same_at_once(made: GitRepository) -> None:
    tree = build(made, COPY)
    lock = FolderLock(tree.folder)
    with pytest.raises(UsageError, match="another process is filling it"):
        build(made, COPY)
    lock.release()
    assert build(made, COPY) == tree


def test_what_a_kill_left_half_built_is_built_anew(made: GitRepository) -> None:
    tree = build(made, COPY)
    (tree.folder / "built").unlink()
    (tree.build / "out.txt").write_text("half")
    (tree.source / "mine.c").write_text("half")
    assert build(made, COPY) == tree
    assert (tree.build / "out.txt").read_text() == FINE


def test_without_a_cache_that_can_be_written_a_temporary_folder_is_used(
    made: GitRepository, cache: Path
) -> None:
    cache.parent.parent.write_text("no folder")
    tree = build(made, COPY)
    assert (tree.build / "out.txt").read_text() == FINE
    shutil.rmtree(tree.folder)


# ---- Recipes ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("command", "text", "message"),
    [
        ("make", None, r"--object wants \[NAME=\]FILE"),
        ("make", "lib.so", "the same file of every revision"),
        ("make", "mine=/usr/lib/libmine.so", "the same file of every revision"),
        (None, "{build}/lib.so", "nothing is built without --build"),
        ("make -C {buidl}", "{build}/lib.so", r"--build: \{buidl\} .* did you mean \{build\}\?"),
        ("make", "{sorce}/lib.so", r"--object: \{sorce\} .* did you mean \{source\}\?"),
        ("make", "{build}/lib.so?x", "--object: allocator .*'x' has no value"),
        ("make", "mine=", "--object: allocator 'mine=': there is no file"),
    ],
)
def test_a_recipe_that_cannot_be_meant_is_refused(
    command: str | None, text: str | None, message: str
) -> None:
    with pytest.raises(UsageError, match=message):
        Recipe.read(command, text)


def test_braces_of_the_shell_are_the_shells() -> None:
    Recipe.read("echo ${build} {a,b} | awk '{print}'; {source}/x", "{build}/x.so")


@pytest.mark.parametrize(
    ("text", "name"),
    [
        ("{source}/mine.c", "mine@{}"),
        ("other={source}/mine.c", "other@{}"),
        ("{source}/mine.c?level=2", "mine@{}?level=2"),
        ("{source}/folder", "folder@{}"),
    ],
)
def test_an_arm_is_called_by_its_object_and_its_commit(
    made: GitRepository, text: str, name: str
) -> None:
    description = 'title = "F"\nsummary = "f"\nkind = "plugin"\n'
    made.commit("Two", {"folder/allocator.toml": description, "folder/folder.c": FINE})
    arm = revisions(made, None, text).arms(None, "HEAD").candidate
    assert arm.name == name.format(made.git("rev-parse", "HEAD")[:12])
    assert arm.path is not None
    assert inspect_object(arm.path).is_plugin


def test_an_arm_with_a_name_of_the_collection_has_its_settings(made: GitRepository) -> None:
    arms = revisions(made, None, "phase21={source}/mine.c").arms("main", "HEAD")
    assert arms.candidate.config == {"pool_bytes": "16777216"}
    assert arms.baseline is not None
    assert arms.baseline.config == arms.candidate.config


def test_an_object_that_the_build_did_not_make_is_told_with_those_it_made(
    made: GitRepository,
) -> None:
    command = "mkdir {build}/lib && touch {build}/lib/libmine.so.2"
    with pytest.raises(
        BuildError, match=r"build/libmine\.so is not there, but there is build/lib/"
    ):
        revisions(made, command, "{build}/libmine.so").arms(None, "HEAD")


def test_a_revision_whose_source_does_not_compile_is_one_that_does_not_build(
    made: GitRepository,
) -> None:
    good = made.git("rev-parse", "HEAD")
    made.commit("Broken", {"mine.c": FINE.replace("return", "retrun")})
    opened = revisions(made, None, "{source}/mine.c")
    with pytest.raises(BuildError, match=r"Broken: .*mine\.c: does not compile"):
        opened.arms(good, "HEAD")
    with pytest.raises(UsageError, match=r"baseline: .*Broken: .*does not compile") as of_baseline:
        opened.arms("HEAD", good)
    assert not isinstance(of_baseline.value, BuildError), "no other candidate would help"


def test_an_unknown_baseline_is_none_and_an_unknown_candidate_a_mistake(
    made: GitRepository,
) -> None:
    opened = revisions(made, None, "{source}/mine.c")
    with pytest.raises(NothingMeasuredError, match=r"baseline: .* has no commit 'v9'"):
        opened.arms("v9", "HEAD")
    with pytest.raises(UsageError, match=r"candidate: .* has no commit 'v9'"):
        opened.arms("HEAD", "v9")


def test_changes_that_are_not_committed_are_noted(made: GitRepository) -> None:
    opened = revisions(made, None, "{source}/mine.c")
    (made.folder / "untracked").touch()
    assert opened.notes() == ()
    (made.folder / "mine.c").write_text("changed")
    assert opened.notes() == (
        f"{made.folder} has changes that are not committed: they are in no revision",
    )
