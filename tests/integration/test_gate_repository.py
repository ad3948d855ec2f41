"""`allocphase gate --repo` and `--bisect` on real processes, of a repository made here."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.plugins import ROOT
from tests.support.repositories import FINE, SLOWER, GitRepository, made_repository

Gate = Callable[..., subprocess.CompletedProcess[str]]

SMALL = ["-s", "phase-report?allocations=200", "--limit", "*=off"]
BUILD = (
    "cc -O2 -falign-functions=64 -shared -fPIC -I"
    f"'{ROOT / 'driver'}' -o {{build}}/libmine.so mine.c"
)
BUILT = ["--build", BUILD, "--object", "{build}/libmine.so"]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> GitRepository:
    """fine, fine, slower, one that does not build, fine again but for what is slow."""
    repository = made_repository(tmp_path_factory.mktemp("repository") / "repo")
    texts = {
        "First": FINE,
        "Second": FINE + "\n/* as fast */\n",
        "Slower": SLOWER,
        "Broken": "no C",
        "Last": SLOWER + "\n/* as slow */\n",
    }
    for message, text in texts.items():
        repository.commit(message, {"mine.c": text})
    return repository


@pytest.fixture
def gate(made: GitRepository, tmp_path: Path, needs: Callable[..., None]) -> Gate:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        environment = {k: v for k, v in os.environ.items() if not k.startswith("GITHUB_")}
        repository = ["--repo", str(made.folder)]
        return subprocess.run(
            [sys.executable, "-m", "allocphase.cli", "gate", *repository, *arguments],
            cwd=tmp_path,
            env={**environment, "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_a_revision_that_is_as_good_passes_and_both_are_built_once(gate: Gate) -> None:
    arguments = ["--baseline", "main~4", "--candidate", "main~3", *BUILT, *SMALL]
    counts = ["--limit", "syscalls=exact", "--limit", "peak_live=exact", "--json", "-"]
    first = gate(*arguments, *counts)
    assert first.returncode == 0, first.stdout + first.stderr
    assert first.stderr.count("building ") == 2
    again = gate(*arguments, *counts)
    assert again.returncode == 0, again.stdout + again.stderr
    assert "building " not in again.stderr
    digests = [json.loads(found.stdout)["candidate"]["sha256"] for found in (first, again)]
    assert digests[0] == digests[1]


def test_a_bisection_finds_the_commit_with_the_planted_work(
    made: GitRepository, gate: Gate
) -> None:
    before = made.state()
    found = gate("--bisect", "main~4..main", *BUILT, *SMALL, "--limit", "syscalls=exact")
    assert found.returncode == 3, found.stdout + found.stderr
    answer, subject, row, _ = found.stdout.splitlines()[-4:]
    assert answer.startswith(f"{made.git('rev-parse', 'main~2')} is the first that is worse than")
    assert subject == "  Slower"
    assert row.startswith("  syscalls:phase-report?allocations=200: 0 -> 200 (new")
    assert made.state() == before
