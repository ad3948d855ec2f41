"""A sweep over threads on the real thing: who stands in whose way is seen."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from allocphase.analysis.frames import Run, load
from allocphase.analysis.scaling import ScalingPoint, scaling, thread_sweeps
from tests.conftest import Needs
from tests.support.plugins import Plugins

THREADS = (1, 2, 4)
# A thread that nobody else can hold up sleeps once in a thousand calls or so all the same: the
# kernel waits for a page, or the host does.
SELDOM = 0.01
# Longer than what the driver does between two calls, so that threads meet.
SPINS = "malloc_ns=20000&free_ns=20000"


@pytest.fixture(scope="module")
def swept(
    plugins: Plugins, tmp_path_factory: pytest.TempPathFactory, needs: Needs
) -> tuple[Run, str]:
    """Plug-ins that spin behind the driver's lock, behind one of their own, and behind none."""
    cpus = os.sched_getaffinity(0)
    needs(len(cpus) >= 2, "two CPUs", install="a machine with two CPUs")
    folder = tmp_path_factory.mktemp("scaling")
    arms = {"locked": ["LOCKED"], "mutex": ["MUTEX"], "apart": []}
    command = [str(Path(sys.executable).with_name("allocphase")), "run", "--quick", "--report"]
    for name, defines in arms.items():
        command += ["-a", f"{name}={plugins('spin', *defines)}?{SPINS}"]
    for probe in ("throughput", "latency", "syscalls", "memory"):
        command += ["-p", probe]
    command += ["-s", "glibc-thread?replacements=50", "--sweep", "threads=1,2,4"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300)
    assert done.returncode == 0, done.stderr
    (path,) = (folder / "out").iterdir()
    return load(path), done.stdout


def points(run: Run, allocator: str) -> list[ScalingPoint]:
    (sweep,) = thread_sweeps(run)
    return scaling(run, sweep, allocator)


def test_threads_behind_the_driver_s_lock_wait_for_each_other(swept: tuple[Run, str]) -> None:
    """Its futex calls are the driver's own, and are not counted as the allocator's."""
    alone, *several = points(swept[0], "locked")
    assert alone.waited is not None and alone.waited < SELDOM
    assert all(point.waited is not None and point.waited > SELDOM for point in several)
    assert {point.futex_per_op for point in (alone, *several)} == {0.0}


def test_a_lock_of_the_allocator_s_own_makes_futex_calls(swept: tuple[Run, str]) -> None:
    alone, *several = points(swept[0], "mutex")
    assert alone.futex_per_op == 0.0
    assert alone.waited is not None and alone.waited < SELDOM
    assert all(point.futex_per_op is not None and point.futex_per_op > 0.01 for point in several)


def test_threads_that_share_no_lock_make_no_futex_calls(swept: tuple[Run, str]) -> None:
    assert {point.futex_per_op for point in points(swept[0], "apart")} == {0.0}


def test_levels_beyond_the_cpus_are_told(swept: tuple[Run, str]) -> None:
    run, stdout = swept
    cpus = len(run.manifest.plan.cpus)
    levels = [point.level for point in points(run, "apart")]
    assert [level.threads for level in levels] == list(THREADS)
    assert [level.shared for level in levels] == [threads > cpus for threads in THREADS]
    assert [level.at_once for level in levels] == pytest.approx(
        [threads / -(-threads // cpus) for threads in THREADS], rel=0.01
    )
    assert "glibc-thread  by threads" in stdout
    assert ("More threads than CPUs" in stdout) == (cpus < THREADS[-1])
    assert (run.path / "figures" / "scaling-glibc-thread-by-threads.png").exists()
