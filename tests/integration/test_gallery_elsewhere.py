"""The gallery of faulty allocators again, where there are fewer rights than a test as root has.

An ordinary user, with a home and a temporary folder of its own; a container whose root is
read-only, where only one folder can be written; that user in that container. Each fault gets there
what it gets everywhere, and harms nobody.

A run of the tests has one probe of each; with ALLOCPHASE_GALLERY=all it has all of them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from allocphase.probe.probe import TRACE_PROBES, Probe
from tests.support.gallery import check, faults, landlock
from tests.support.gallery_elsewhere import NEIGHBOUR, read_outcomes
from tests.support.plugins import ROOT
from tests.support.restricted import read_only_prefix

Needs = Callable[..., None]

TIMEOUT_S = 1800.0
# Nobody's on any machine that keeps to what distributions give out.
USER = "54321"
AS_USER = ["setpriv", "--reuid", USER, "--regid", USER, "--clear-groups", "--"]
# Of the two groups of probes with words of their own, and what a change of the process shows in.
PROBES = list(TRACE_PROBES) if os.environ.get("ALLOCPHASE_GALLERY") == "all" else [Probe.VERIFY]


@pytest.fixture
def folder() -> Iterator[Path]:
    """Where everybody may go: pytest's own folders are closed to others."""
    with tempfile.TemporaryDirectory(prefix="allocphase-gallery-") as name:
        Path(name).chmod(0o755)
        yield Path(name)


def run_gallery(before: Sequence[str], folder: Path, home: str) -> None:
    """All of them behind `before`; what they make lies in `folder`."""
    keys = {(fault.name, probe) for fault in faults() for probe in PROBES}
    skipped = {fault.name for fault in faults() if not fault.is_kept_in(landlock())}
    command = [sys.executable, "-m", "tests.support.gallery_elsewhere", str(folder), *PROBES]
    variables = {"HOME": home, "TMPDIR": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [*before, *command],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        env={**os.environ, **variables},
        cwd=ROOT,
    )
    assert done.returncode == 0, done.stderr
    found = dict(read_outcomes(done.stdout))
    assert set(found) == {key for key in keys if key[0] not in skipped} | {
        (NEIGHBOUR, probe) for probe in PROBES
    }
    for probe in PROBES:
        neighbour = found[NEIGHBOUR, probe]
        assert (neighbour.status, neighbour.message) == ("ok", "")
        assert (neighbour.result.tampered, neighbour.result.lacks) == ((), ())
    for fault in faults():
        for probe in PROBES:
            if fault.name not in skipped:
                check(fault, probe, found[fault.name, probe])


@pytest.fixture
def as_user(needs: Needs) -> list[str]:
    """Goes in front of a command: an ordinary user's, who can read this Python and these files."""
    if os.geteuid() != 0:
        return []
    needs(shutil.which("setpriv"), "setpriv", install="apt-get install util-linux")
    trial = [*AS_USER, sys.executable, "-c", "import allocphase, tests.support.gallery_elsewhere"]
    possible = subprocess.run(trial, capture_output=True, cwd=ROOT).returncode == 0
    needs(possible, "a Python that other users may run", install="chmod o+rx on its folders")
    return AS_USER


def test_for_an_ordinary_user(as_user: list[str], folder: Path) -> None:
    own = folder / "own"
    for made in (own, own / "home"):
        made.mkdir()
        if as_user:
            os.chown(made, int(USER), int(USER))
    run_gallery(as_user, own, str(own / "home"))


def test_in_a_container_that_is_read_only(folder: Path, needs: Needs) -> None:
    run_gallery([*read_only_prefix(needs, folder), str(folder)], folder, "/nowhere")


def test_for_an_ordinary_user_in_a_container_that_is_read_only(
    as_user: list[str], folder: Path, needs: Needs
) -> None:
    needs(as_user, "root, who becomes an ordinary user", install="run as root")
    before = [*read_only_prefix(needs, folder), str(folder), "sh", "-c"]
    own = f'chmod 1777 {folder}; exec "$@"'
    run_gallery([*before, own, "sh", *as_user], folder, "/nowhere")
