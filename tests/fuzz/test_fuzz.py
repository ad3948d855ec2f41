"""Ten seconds with every parser of files from elsewhere; CI and `make fuzz` take longer."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.worker import CLANG, LOADER, TARGET_NAMES
from tests.support.plugins import ROOT

SECONDS = os.environ.get("ALLOCPHASE_FUZZ_SECONDS", "10")


@pytest.mark.parametrize("target", TARGET_NAMES)
def test_nothing_but_one_clear_error_comes_out_of_hostile_files(
    target: str, tmp_path: Path, needs: Callable[..., None]
) -> None:
    if target == LOADER:
        needs(shutil.which(CLANG), CLANG, install=f"apt-get install {CLANG} libclang-rt-14-dev")
    command = [sys.executable, "-m", "tests.fuzz", target]
    command += ["--seconds", SECONDS, "--folder", str(tmp_path)]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, errors="replace")
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.endswith("nothing found\n"), done.stdout
