"""`allocphase profile` from end to end: by callgrind, by perf, of a program; what it refuses."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind
from tests.support.plugins import ROOT

SCENARIO = "random-churn?live=50&operations=2000"
Needs = Callable[..., None]


def profile(*arguments: str | Path, **variables: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "allocphase.cli", "profile", *map(str, arguments)]
    environment = {**os.environ, **variables}
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=ROOT, env=environment
    )


def labels(page: Path) -> list[str]:
    return re.findall(r'role="treeitem"[^>]* aria-label="([^"]*)"', page.read_text("utf-8"))


def test_two_allocators_by_callgrind_and_nothing_is_overwritten(
    tmp_path: Path, needs: Needs
) -> None:
    needs(find_valgrind(), "valgrind", install=NOT_INSTALLED.partition(": ")[2])
    page = tmp_path / "where.html"
    arguments = ("-a", "phase3", "-a", "libc", "-s", SCENARIO, "--tool", "callgrind")
    done = profile(*arguments, "--output", page)
    assert (done.returncode, done.stdout) == (0, f"{page}\n")
    found = labels(page)
    assert any(re.match(r"phase3_malloc: \d+% of .*; phase3\.c:\d+", label) for label in found)
    assert any(label.startswith("malloc: ") for label in found)
    assert not any(label.startswith(("counted_", "replay")) for label in found)
    before = page.read_bytes()
    again = profile(*arguments, "--output", page)
    assert (again.returncode, page.read_bytes()) == (2, before)
    assert again.stderr == f"allocphase: {page}: is there already: remove it or name another one\n"


def _may_sample(folder: Path) -> bool:
    """As the kernel says when it is asked."""
    command = ["perf", "record", "-q", "-e", "cpu-clock:u", "-o", str(folder / "asked"), "true"]
    return subprocess.run(command, capture_output=True).returncode == 0


def test_a_replay_and_a_program_by_perf(tmp_path: Path, needs: Needs) -> None:
    needs(shutil.which("perf"), "perf", install="apt-get install linux-perf")
    if not _may_sample(tmp_path):
        pytest.skip("perf may not sample here: kernel.perf_event_paranoid, or a container's filter")
    page = tmp_path / "replay.html"
    done = profile("-a", "phase3", "-s", SCENARIO, "--tool", "perf", "--output", page)
    assert done.returncode == 0, done.stderr
    assert any(label.startswith("phase3_free: ") for label in labels(page))
    assert "the replay itself <b>" in page.read_text("utf-8")
    whole = tmp_path / "program.html"
    program = f"{sys.executable} -c 'for i in range(9): x = [str(n) * 99 for n in range(30000)]'"
    done = profile("-a", "phase3", "--program", program, "--output", whole)
    assert done.returncode == 0, done.stderr
    assert any(label.endswith("; phase3.so") for label in labels(whole))
    assert "the program itself <b>" in whole.read_text("utf-8")


def test_without_perf_a_program_is_refused_in_one_line(tmp_path: Path) -> None:
    page = tmp_path / "none.html"
    done = profile("-a", "libc", "--program", "/bin/true", "--output", page, PATH=str(tmp_path))
    assert (done.returncode, page.exists()) == (2, False)
    assert done.stderr.count("\n") == 1
    assert "the profile of a program needs perf: perf is not installed: apt-get" in done.stderr
