"""Objects from revisions: a commit is checked out and built once, and kept in the cache.

    <cache>/revisions/<key>/source   the commit's files
                            build    an empty folder for what the build makes
                            log      what the build said
                            built    is there once the build has ended well

The key stands for the repository, the commit, the command, and the variables that builds read. A
build that failed is tried again: what it lacked may be there by now.

Place in the pipeline: between repository and the arms of a gate.
"""

from __future__ import annotations

import hashlib
import json
import os
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from allocphase import interruption
from allocphase.errors import UsageError
from allocphase.files.cache import cache_folders
from allocphase.files.durable import named_errors, write_text
from allocphase.files.folder_lock import FolderLock
from allocphase.files.regular import open_regular
from allocphase.files.removal import remove_tree
from allocphase.gate.repository import Commit, Repository, outside_of_repositories
from allocphase.text.line import plain

__all__ = ["SOURCE_AND_BUILD", "BuildError", "Tree", "build_revision"]

SOURCE_AND_BUILD = ("{source}", "{build}")

# A whole compiler is built in less.
BUILD_S = 3600.0
_POLL_S = 0.05
# Of a build's output, when it failed; each line as far as it says something.
_LAST_LINES = 20
_LAST_BYTES = 16384
_LINE_LENGTH = 300
# What make, cmake, meson and autoconf take from the environment: another compiler, another object.
_READ_BY_BUILDS = ("CC", "CXX", "CPPFLAGS", "CFLAGS", "CXXFLAGS", "LDFLAGS", "CMAKE_BUILD_TYPE")
_KEY_LENGTH = 16


class BuildError(UsageError):
    """A revision does not build: another one may. reason: without its name."""

    def __init__(self, commit: Commit, reason: str) -> None:
        super().__init__(f"{commit}: {reason}")
        self.reason = reason


@dataclass(frozen=True, slots=True)
class Tree:
    """A commit's files, and what their build made."""

    folder: Path

    @property
    def source(self) -> Path:
        """The files of the commit."""
        return self.folder / "source"

    @property
    def build(self) -> Path:
        """What is not among them."""
        return self.folder / "build"

    def filled(self, text: str, *, quoted: bool = False) -> str:
        """A text with these folders in the place of {source} and {build}; for a shell `quoted`."""
        for place, folder in zip(SOURCE_AND_BUILD, (self.source, self.build), strict=True):
            text = text.replace(place, shlex.quote(str(folder)) if quoted else str(folder))
        return text


def build_revision(
    repository: Repository, commit: Commit, command: str, *, say: Callable[[str], None]
) -> Tree:
    """The tree of a commit after `command`, which a shell reads; nothing is run for an empty one.

    Built before: as it is; `say` is told where it was not. Raises BuildError with the build's last
    lines, UsageError while another process builds the same, and InterruptionError.
    """
    with _locked_tree(_key(repository, commit, command)) as tree:
        done = tree.folder / "built"
        if not done.is_file():
            for rest in (tree.source, tree.build):
                remove_tree(rest)
            repository.check_out(commit, tree.source)
            with named_errors(tree.build):
                tree.build.mkdir()
            if command:
                say(f"building {commit}")
                _run(tree, command, repository, commit)
            about = {"repository": str(repository.store), "commit": commit.id, "build": command}
            write_text(done, json.dumps(about, indent=2) + "\n")
    return tree


def _key(repository: Repository, commit: Commit, command: str) -> str:
    variables = [f"{name}={os.environ.get(name)}" for name in _READ_BY_BUILDS]
    parts = [str(repository.store), commit.id, command, *variables]
    text = "\0".join(parts).encode("utf-8", "surrogateescape")
    return hashlib.sha256(text).hexdigest()[:_KEY_LENGTH]


@contextmanager
def _locked_tree(key: str) -> Iterator[Tree]:
    """The place of a build in the first cache that can be written."""
    for cache in cache_folders():
        folder = cache.absolute() / "revisions" / key
        try:
            folder.mkdir(parents=True, exist_ok=True)
            if not os.access(folder, os.W_OK):
                continue
        except OSError:
            continue
        lock = FolderLock(folder)
        try:
            yield Tree(folder)
        finally:
            lock.release()
        return
    raise UsageError("no folder to build a revision in can be written: set XDG_CACHE_HOME to one")


def _run(tree: Tree, command: str, repository: Repository, commit: Commit) -> None:
    """Raises BuildError: how it ended, its last lines, and what may be the way out."""
    log = tree.folder / "log"
    with named_errors(log):
        output = open_regular(log, os.O_RDWR | os.O_CREAT | os.O_TRUNC)
        try:
            ending = _ending(tree, command, output)
            last = _last_lines(output)
        finally:
            os.close(output)
    if ending is None:
        return
    words = [f"does not build: {ending}; all it said is in {log}", *last]
    words += [
        f"{plain(path)} is a submodule, and empty: begin --build with "
        "'git submodule update --init --recursive &&'"
        for path in repository.submodules(commit)
        if not _has_entries(tree.source / path)
    ][:1]
    raise BuildError(commit, "\n  ".join(words))


def _ending(tree: Tree, command: str, output: int) -> str | None:
    """Runs a shell and all that it starts, in the commit's files; how that failed.

    Whatever of its process group is there afterwards is killed.
    """
    filled = tree.filled(command, quoted=True)
    with (
        interruption.interruptible(lambda _: None),
        subprocess.Popen(
            ["/bin/sh", "-c", filled],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=outside_of_repositories(),
            cwd=tree.source,
            process_group=0,
        ) as shell,
    ):
        try:
            ended = _waited_for(shell.pid)
        finally:  # it is not reaped yet, so the group is still its own
            os.killpg(shell.pid, signal.SIGKILL)
    if not ended:
        return f"not ended after {BUILD_S:g} s"
    status = shell.returncode
    if status < 0:
        return f"killed by {signal.Signals(-status).name}"
    return f"exit code {status}" if status else None


def _waited_for(pid: int) -> bool:
    """Whether it ended in time; it stays to be reaped. Raises InterruptionError."""
    until = time.monotonic() + BUILD_S
    while time.monotonic() < until:
        interruption.check()
        if os.waitid(os.P_PID, pid, os.WEXITED | os.WNOHANG | os.WNOWAIT):
            return True
        time.sleep(_POLL_S)
    return False


def _last_lines(log: int) -> list[str]:
    start = max(0, os.fstat(log).st_size - _LAST_BYTES)
    text = os.pread(log, _LAST_BYTES, start).decode("utf-8", "replace")
    lines = [plain(line)[:_LINE_LENGTH] for line in text.splitlines() if line.strip()]
    return lines[-_LAST_LINES:]


def _has_entries(folder: Path) -> bool:
    return folder.is_dir() and any(folder.iterdir())
