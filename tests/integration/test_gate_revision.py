"""`make gate` on a clone of this repository."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.plugins import ROOT

ARGUMENTS = ["--allocator", "phase21", "--scenario", "phase-report", "--limit", "time=off"]
WHO = ["-c", "user.name=Test", "-c", "user.email=test@example.org", "-c", "gc.auto=0"]


def git(folder: Path, *arguments: str) -> None:
    subprocess.run(["git", *WHO, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def tree(tmp_path: Path, needs: Callable[..., None]) -> Path:
    """A repository of what is built, at its first commit, with the one allocator of ARGUMENTS."""
    needs(shutil.which("cmake"), "cmake", install="apt-get install cmake")
    folder = tmp_path / "tree"
    for name in ("driver", "tests", "allocators/phase21"):
        shutil.copytree(ROOT / name, folder / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in (ROOT / "CMakeLists.txt", *(ROOT / "allocators").glob("*.h")):
        shutil.copy(path, folder / path.relative_to(ROOT))
    git(tmp_path, "init", "--initial-branch", "main", str(folder))
    git(folder, "add", ".")
    git(folder, "commit", "-m", "one")
    return folder


def gate(tree: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    """With a cache beside the tree: the revision is built once, for both gates."""
    return subprocess.run(
        [sys.executable, "-m", "tests.gate_revision", *ARGUMENTS, *arguments],
        cwd=tree,
        env={**os.environ, "XDG_CACHE_HOME": str(tree.parent / "cache")},
        capture_output=True,
        text=True,
        check=False,
    )


def test_a_tree_passes_against_its_own_commit_and_fails_for_one_more_system_call(
    tree: Path,
) -> None:
    same = gate(tree)
    assert same.returncode == 0, same.stdout + same.stderr
    source = tree / "allocators" / "phase21" / "phase21.c"
    text = source.read_text(encoding="utf-8")
    head, name, tail = text.partition("static void *phase21_malloc(size_t size) {")
    assert name, "phase21_malloc is not where this test looks for it"
    source.write_text(f"int sched_yield(void);\n{head}{name} sched_yield(); {tail}", "utf-8")
    worse = gate(tree)
    assert worse.returncode == 3, worse.stdout + worse.stderr
    assert ("building" in same.stderr, "building" in worse.stderr) == (True, False)
    assert "syscalls.sched_" in worse.stdout
    listed = subprocess.run(
        ["git", "worktree", "list"], cwd=tree, capture_output=True, text=True, check=True
    )
    assert len(listed.stdout.splitlines()) == 1, "the revision's tree is none of the repository's"
