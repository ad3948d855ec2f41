"""A smoke of every parser of files from elsewhere; `make fuzz` runs longer."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.fuzz.worker import CLANG, LOADER, TARGET_NAMES


@pytest.mark.parametrize("target", TARGET_NAMES)
def test_nothing_but_one_clear_error_comes_out_of_hostile_files(
    target: str, logs: Path, needs: Callable[..., None]
) -> None:
    if target == LOADER:
        needs(shutil.which(CLANG), CLANG, install=f"apt-get install {CLANG} libclang-rt-14-dev")
    log = (logs / f"{target}.log").read_text("utf-8")
    assert log.endswith("nothing found\n"), log
