"""`allocphase tune` from the command line to its answer, decided by counts, on real processes."""

from __future__ import annotations

import json
import os
import shlex
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from allocphase.allocator import Allocator

PROGRAM = Path(sys.executable).with_name("allocphase")
TIMEOUT_S = 900
# phase2 makes a system call for each slab, and more of them the fewer objects one has.
SCENARIO = "phase-report?allocations=200"


def tune(folder: Path, *arguments: str, code: int = 0) -> subprocess.CompletedProcess[str]:
    words = [str(PROGRAM), "tune", *arguments, "--out", "out"]
    done = subprocess.run(
        words, cwd=folder, capture_output=True, text=True, timeout=TIMEOUT_S, env=dict(os.environ)
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done


def answer(folder: Path, *arguments: str, code: int = 0) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(tune(folder, *arguments, "--json", "-", code=code).stdout)
    return found


def test_the_setting_with_the_fewest_system_calls_is_found_confirmed_and_shown(
    tmp_path: Path,
) -> None:
    spec = "phase2?objects_per_slab=1,2,4,8,16,64"
    done = tune(
        tmp_path, "-a", spec, "-s", SCENARIO, "--minimize", "syscalls", "--json", "tune.json"
    )
    assert done.stdout.splitlines()[-1] == "-a 'phase2?objects_per_slab=64'"
    found = json.loads((tmp_path / "tune.json").read_text())
    assert (found["answer"], found["winner"]) == ("better", "phase2?objects_per_slab=64")
    assert found["confirmation"]["outcome"] == "improved"
    assert found["confirmation"]["exact"]
    assert [(one["arms"], one["rounds"]) for one in found["stages"]] == [(5, 4)]
    gate = tmp_path / found["confirmation"]["paths"][0] / "gate.json"
    assert json.loads(gate.read_text())["candidate"]["config"] == {"objects_per_slab": "64"}
    report = subprocess.run(
        [str(PROGRAM), "report", found["path"]],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
    )
    assert report.returncode == 0, report.stderr
    assert "phase2?objects_per_slab=16" in (tmp_path / found["path"] / "report.html").read_text()


def test_a_bound_on_memory_leaves_a_smaller_slab(tmp_path: Path) -> None:
    """A slab of many objects asks the system for more at once."""
    words = ["-a", "phase2?objects_per_slab=2,512", "-s", SCENARIO, "--minimize", "syscalls"]
    free = answer(tmp_path, *words)
    assert free["winner"] == "phase2?objects_per_slab=512"
    mapped = answer(tmp_path, *words, "--subject-to", "peak_mapped<=1x")
    dropped = {one["name"]: one["dropped"] for one in mapped["arms"]}
    assert dropped["phase2?objects_per_slab=512"] == "breaks peak_mapped<=1x"
    assert mapped["winner"] == "phase2?objects_per_slab=2"
    assert mapped["confirmation"]["bounds"] == {"peak_mapped<=1x": True}


def test_settings_without_a_difference_are_none_better(tmp_path: Path) -> None:
    spec = "phase21?pool_bytes=16777232,16777248,16777264"
    found = answer(tmp_path, "-a", spec, "-s", SCENARIO, "--minimize", "syscalls")
    assert (found["answer"], found["use"], found["at_most"]) == ("none better", None, 0.02)


def test_a_program_is_tuned_by_its_variables(
    tmp_path: Path, installed: Callable[[str], Allocator]
) -> None:
    """Blocks beyond libc's largest threshold are mapped anew each time; without mappings, and with
    a heap that is not trimmed, their pages are there the second time.
    """
    if installed("libc").with_settings({"mmap_max": "0"}).ignored_settings():
        pytest.skip("this libc has no such tunables")
    code = "for _ in range(4): bytearray(b'x') * (40 << 20)"
    program = shlex.join([sys.executable, "-S", "-c", code])
    spec = "libc?mmap_max=0&trim_threshold=1073741824"
    done = tune(tmp_path, "-a", spec, "--program", program, "--minimize", "page_faults")
    line = "GLIBC_TUNABLES=glibc.malloc.mmap_max=0:glibc.malloc.trim_threshold=1073741824"
    assert done.stdout.splitlines()[-1] == line


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["-a", "phase2?objects_per_slab=8"], "tune wants one of -s SCENARIO and --program"),
        (["-a", "phase2?objects_per_slab=8", "-s", "phase-report*"], "names 2, tune takes one"),
        (["-a", "phase2", "-s", SCENARIO], "as in -a 'phase2?objects_per_slab=VALUE,VALUE'"),
        (
            ["-a", "phase2?objects_per_slab=8", "-s", SCENARIO, "--subject-to", "time<=1.1x"],
            "--subject-to: time is minimised, or bounded, already",
        ),
        (
            ["-a", "phase2?objects_per_slab=8", "-s", SCENARIO, "--subject-to", "rss"],
            "bound 'rss': is written METRIC<=FACTORx or METRIC<=VALUE",
        ),
    ],
)
def test_a_mistake_is_one_line_and_measures_nothing(
    tmp_path: Path, arguments: list[str], words: str
) -> None:
    done = tune(tmp_path, *arguments, code=2)
    assert words in done.stderr
    assert done.stderr.count("\n") == 1
    assert not (tmp_path / "out").exists()
