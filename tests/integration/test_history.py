"""`allocphase history` over a small allocator that is built and measured here, commit by commit."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.support.repositories import FINE, SLOWER, made_repository

SCENARIO = "phase-report?allocations=50"


@pytest.fixture
def command(
    tmp_path: Path, needs: Callable[..., None]
) -> Callable[..., subprocess.CompletedProcess[str]]:
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")

    def call(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "allocphase.cli", *arguments],
            cwd=tmp_path,
            env={**os.environ, "XDG_CACHE_HOME": str(tmp_path / "cache")},
            capture_output=True,
            text=True,
            check=False,
        )

    return call


def test_the_commit_that_brought_a_system_call_is_found_confirmed_and_fails_the_gate(
    command: Callable[..., subprocess.CompletedProcess[str]], tmp_path: Path
) -> None:
    """Its objects are kept where the run compiled them, so that no recipe is needed."""
    repository = made_repository(tmp_path / "repo")
    texts = {"First": FINE, "Second": f"{FINE}/* as fast */\n", "Slower": SLOWER}
    for message, text in texts.items():
        repository.commit(message, {"mine.c": text})
        arm = f"mine={repository.folder / 'mine.c'}"
        ran = command("run", "-a", arm, "-s", SCENARIO, "-p", "syscalls", "--label", message)
        assert ran.returncode == 0, ran.stderr
        (folder,) = re.findall(r"^run directory: (.+)$", ran.stderr, re.MULTILINE)
        added = command("history", "add", folder)
        assert added.returncode == 0, added.stderr
    shown = command("history", "show", f"syscalls:{SCENARIO}:mine").stdout
    assert "not confirmed yet" in shown
    confirmed = command("history", "confirm", f"syscalls:{SCENARIO}:mine")
    assert confirmed.returncode == 3, confirmed.stdout + confirmed.stderr
    assert "confirmed, worse" in confirmed.stdout
    assert f"{repository.git('rev-parse', 'HEAD')[:12]} Slower, after" in confirmed.stdout
    gated = command("history", "gate", "--since", repository.git("rev-parse", "main~2"))
    assert gated.returncode == 3
