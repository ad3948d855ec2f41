"""The fuzzing starts with the session and runs beside the other tests: they wait a good deal.

Its processes have the lowest priority that there is. test_fuzz.py, which is put last, waits for
what is left of them.
"""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.support.plugins import ROOT

SECONDS = os.environ.get("ALLOCPHASE_FUZZ_SECONDS", "60")


@dataclass(frozen=True, slots=True)
class Fuzzing:
    """What runs, and where each target leaves its log."""

    process: subprocess.Popen[bytes]
    folder: Path


_FUZZING = pytest.StashKey[Fuzzing]()


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Last, whatever the order of the others."""
    items.sort(key=lambda item: _target(item) is not None)


def pytest_collection_finish(session: pytest.Session) -> None:
    """Starts what was selected, nothing else."""
    targets = [target for item in session.items if (target := _target(item))]
    if not targets or session.config.option.collectonly:
        return
    folder = Path(tempfile.mkdtemp(prefix="allocphase-fuzz-"))
    command = [sys.executable, "-m", "tests.fuzz", *targets]
    command += ["--seconds", SECONDS, "--folder", str(folder)]
    with (folder / "output").open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, stdout=output, stderr=output, start_new_session=True
        )
    session.config.stash[_FUZZING] = Fuzzing(process, folder)


def pytest_unconfigure(config: pytest.Config) -> None:
    """An interrupted session takes it all with it."""
    fuzzing = config.stash.get(_FUZZING, None)
    if fuzzing is None:
        return
    if fuzzing.process.poll() is None:
        os.killpg(fuzzing.process.pid, signal.SIGKILL)
        fuzzing.process.wait()
    shutil.rmtree(fuzzing.folder)


@pytest.fixture(scope="session")
def logs(request: pytest.FixtureRequest) -> Path:
    """The folder with a log for each target, when all have ended."""
    fuzzing = request.config.stash[_FUZZING]
    fuzzing.process.wait()
    return fuzzing.folder


def _target(item: pytest.Item) -> str | None:
    """The target that a test of test_fuzz.py is about."""
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    return str(parameters["target"]) if item.path.name == "test_fuzz.py" else None
