"""The golden run, written once a session, and the comparison with golden files."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase.analysis import frames
from tests.golden.synthetic import write_near, write_programs, write_run, write_swept
from tests.support.scaling import write_scaling

HERE = Path(__file__).parent
# ALLOCPHASE_UPDATE_GOLDEN=1 writes the golden files anew: look at the difference before committing.
UPDATE = os.environ.get("ALLOCPHASE_UPDATE_GOLDEN") == "1"


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    return frames.load(write_run(tmp_path_factory.mktemp("golden") / "run"))


@pytest.fixture(scope="session")
def near(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    """A run of allocators that are near the floor."""
    return frames.load(write_near(tmp_path_factory.mktemp("golden") / "near"))


@pytest.fixture(scope="session")
def programs(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    """A run of a trace and two programs."""
    return frames.load(write_programs(tmp_path_factory.mktemp("golden") / "programs"))


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares a text with the golden file of that name."""

    def compare(name: str, text: str) -> None:
        path = HERE / name
        if UPDATE:
            path.write_text(text, encoding="utf-8")
        assert text == path.read_text(encoding="utf-8")

    return compare


@pytest.fixture(scope="session")
def scaled(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    """A run of a sweep over threads, on two CPUs."""
    return write_scaling(tmp_path_factory.mktemp("golden") / "scaled")


@pytest.fixture(scope="session")
def swept(tmp_path_factory: pytest.TempPathFactory) -> frames.Run:
    """A run with a sweep, threads and claims."""
    return frames.load(write_swept(tmp_path_factory.mktemp("golden") / "swept"))
