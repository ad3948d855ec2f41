"""A git repository, which is read and left as it is: names to commits, and a copy of one.

No working tree, index or ref of it changes, and none of its hooks runs. A copy is a repository of
its own that borrows the objects, so that builds which ask git for a version get the right answer.
An archive would leave out what .gitattributes says, and a worktree would be entered in the
repository.

Place in the pipeline: below builds, which makes objects of such copies, and bisection.
"""

from __future__ import annotations

import datetime
import difflib
import os
import subprocess
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase.errors import AllocphaseError, UsageError, shown
from allocphase.files.durable import copy_whole, named_errors, write_whole
from allocphase.text.line import plain

__all__ = ["Commit", "Repository", "outside_of_repositories"]

# Which repository git works on, for whoever runs it from a hook, a rebase or a bisection. What git
# may do, and who the user is, stays.
_NAMES_A_REPOSITORY = frozenset(
    {
        "GIT_ALTERNATE_OBJECT_DIRECTORIES",
        "GIT_COMMON_DIR",
        "GIT_DIR",
        "GIT_GRAFT_FILE",
        "GIT_IMPLICIT_WORK_TREE",
        "GIT_INDEX_FILE",
        "GIT_NAMESPACE",
        "GIT_OBJECT_DIRECTORY",
        "GIT_PREFIX",
        "GIT_SHALLOW_FILE",
        "GIT_WORK_TREE",
    }
)
# The optional locks are for refreshing an index; core.fsmonitor may be a program.
_GIT = ("git", "--no-optional-locks", "-c", "core.hooksPath=/dev/null", "-c", "core.fsmonitor=")
_SUBMODULE = b"160000"


def outside_of_repositories() -> dict[str, str]:
    """The environment without the variables that name a repository."""
    return {key: value for key, value in os.environ.items() if key not in _NAMES_A_REPOSITORY}


@dataclass(frozen=True, slots=True)
class Commit:
    """One commit. subject: the first paragraph of its message, as one line."""

    id: str
    subject: str

    @property
    def short(self) -> str:
        """Enough of the id for any repository, and of one length for all of them."""
        return self.id[:12]

    def __str__(self) -> str:
        return f"{self.short} {self.subject}".rstrip()


@dataclass(frozen=True, slots=True)
class Repository:
    """folder: as it was named, the working tree or a folder in it, or a bare repository; store: the
    folder of objects and refs, which all its working trees share.
    """

    folder: Path
    store: Path

    @classmethod
    def at(cls, folder: Path) -> Repository:
        """Raises UsageError where there is none, or git is not installed."""
        if not folder.is_dir():
            raise UsageError(f"--repo: {folder}: no such folder")
        try:
            said = _git(folder, "rev-parse", "--git-common-dir")
        except _GitError as error:
            raise UsageError(f"--repo: {folder}: {error.words}") from None
        return cls(folder, (folder / said.rstrip("\n")).resolve())

    @classmethod
    def around(cls, path: Path) -> Repository | None:
        """The one that a file or folder lies in, None where it lies in none, or there is no git."""
        folder = path if path.is_dir() else path.parent
        try:
            return cls.at(folder)
        except UsageError:
            return None

    def branch(self) -> str:
        """What is checked out, empty where that is no branch."""
        try:
            return _git(self.folder, "symbolic-ref", "--quiet", "--short", "HEAD").strip()
        except _GitError:
            return ""

    def committed(self, commit: Commit) -> datetime.datetime:
        """When its committer made it, in UTC."""
        form = ["--max-count=1", "--no-show-signature", "--format=%ct"]
        seconds = int(_git(self.folder, "log", *form, commit.id))
        return datetime.datetime.fromtimestamp(seconds, datetime.UTC)

    def ancestors(self, commit: Commit) -> int | None:
        """How many commits a commit came from, itself counted: more than of any of these. None in a
        repository that does not have all of them.
        """
        if _git(self.folder, "rev-parse", "--is-shallow-repository").strip() == "true":
            return None
        return int(_git(self.folder, "rev-list", "--count", commit.id))

    def commit(self, revision: str) -> Commit:
        """What a name, a tag or an id comes to. Raises UsageError."""
        wanted = f"{revision}^{{commit}}"
        try:
            found = _git(
                self.folder, "rev-parse", "--verify", "--quiet", "--end-of-options", wanted
            )
        except (_GitError, ValueError):  # ValueError: a null byte
            raise UsageError(self._no_commit(revision)) from None
        return self._described(found.strip())

    def halving(self, good: Iterable[Commit], bad: Commit) -> list[str]:
        """The ids of the commits that `bad` has and none of `good`, without itself; those first
        that halve them best. Source: git-rev-list(1), --bisect-all.
        """
        known = [commit.id for commit in good]
        said = _git(self.folder, "rev-list", "--bisect-all", bad.id, "--not", *known)
        ids = [line.split(" ", 1)[0] for line in said.splitlines()]
        return [each for each in ids if each != bad.id]

    def is_ancestor(self, old: Commit, new: Commit) -> bool:
        """Whether `new` came from `old`, or is it."""
        return not _git(self.folder, "rev-list", "--max-count=1", old.id, "--not", new.id)

    def has_changes(self) -> bool:
        """Whether files that git knows differ from what is committed. A bare one has none."""
        try:
            return bool(_git(self.folder, "status", "--porcelain", "--untracked-files=no"))
        except _GitError:
            return False

    def submodules(self, commit: Commit) -> list[str]:
        """Their folders; a copy has them empty."""
        said = _git_bytes(self.folder, "ls-tree", "-r", "-z", commit.id)
        entries = [entry.partition(b"\t") for entry in said.split(b"\0") if entry]
        return [os.fsdecode(path) for mode, _, path in entries if mode.startswith(_SUBMODULE)]

    def check_out(self, commit: Commit, folder: Path) -> None:
        """All files of a commit into a new folder, with the tags. Raises AllocphaseError."""
        object_format = _git(self.folder, "rev-parse", "--show-object-format").strip()
        kind = f"--object-format={object_format}"
        _git(folder.parent, "init", "--quiet", "--template=", kind, str(folder))
        with named_errors(folder):
            information = folder / ".git" / "objects" / "info"
            information.mkdir(exist_ok=True)
            borrowed = os.fsencode(self.store / "objects") + b"\n"
            write_whole(information / "alternates", lambda file: file.write(borrowed), synced=False)
            if (self.store / "shallow").is_file():
                copy_whole(self.store / "shallow", folder / ".git" / "shallow")
        tags = "--format=create %(refname) %(objectname)"
        _git(
            folder,
            "update-ref",
            "--stdin",
            given=_git(self.folder, "for-each-ref", tags, "refs/tags"),
        )
        if origin := self._origin():
            _git(folder, "config", "remote.origin.url", origin)
        _git(folder, "checkout", "--quiet", "--detach", commit.id)

    def _origin(self) -> str | None:
        """What the addresses of submodules may be relative to."""
        try:
            return _git(self.folder, "config", "--get", "remote.origin.url").rstrip("\n")
        except _GitError:
            return None

    def _described(self, commit_id: str) -> Commit:
        form = ["--max-count=1", "--no-show-signature", "--encoding=UTF-8", "--format=%s"]
        return Commit(commit_id, plain(_git(self.folder, "log", *form, commit_id)))

    def _no_commit(self, revision: str) -> str:
        names = _git(self.folder, "for-each-ref", "--format=%(refname:short)").splitlines()
        near = difflib.get_close_matches(revision, names, n=1, cutoff=0.5)
        advice = f": did you mean {near[0]!r}?" if near else ""
        return f"{self.folder} has no commit {shown(revision)}{advice}"


class _GitError(AllocphaseError):
    """git said no. words: its own, as one line."""

    def __init__(self, arguments: Sequence[str], words: str) -> None:
        super().__init__(f"git {arguments[0]}: {words}")
        self.words = words


def _git(folder: Path, *arguments: str, given: str = "") -> str:
    return _git_bytes(folder, *arguments, given=given).decode("utf-8", "surrogateescape")


def _git_bytes(folder: Path, *arguments: str, given: str = "") -> bytes:
    """What git writes. Raises _GitError, and UsageError where there is no git."""
    environment: Mapping[str, str] = {**outside_of_repositories(), "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [*_GIT, "-C", str(folder), *arguments],
            input=given.encode("utf-8", "surrogateescape"),
            capture_output=True,
            env=environment,
            check=False,
        )
    except FileNotFoundError:
        raise UsageError("--repo: no git: install it, or name the objects themselves") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", "replace").strip()
        raise _GitError(arguments, plain(words) or f"ended with exit code {done.returncode}")
    return done.stdout
