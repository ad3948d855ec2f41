"""Runs that are killed with SIGKILL at random moments, and gone on with until they are whole."""

from __future__ import annotations

import os
import random
import shutil
import signal
import time
from collections import Counter
from pathlib import Path

import pytest

from allocphase.store.reader import RunFiles
from tests.support.breaking import Kitchen, cells, left_running, no_leftovers

KILLS = 100
MOST_KILLS = 8  # of one run: so that they are spread over many runs, and each of these ends
WHAT = ["-a", "libc", "-a", "phase3", "-s", "phase-report?allocations=500"]
WHAT += ["--quick", "--seed", "5", "-p", "throughput", "-p", "latency", "-p", "syscalls"]
# Of both and the floor under two timed probes; of both one under the one that counts: it is quick.
PROCESSES = 3 * 2 + 2


@pytest.fixture
def kitchen(tmp_path: Path) -> Kitchen:
    return Kitchen(tmp_path)


def whole_lines(folder: Path) -> bytes:
    journal = folder / "processes.jsonl"
    content = journal.read_bytes() if journal.exists() else b""
    return content[: content.rfind(b"\n") + 1]


class Killer:
    """Starts the command, kills it at a drawn moment, and looks at what is left."""

    def __init__(self, kitchen: Kitchen, rng: random.Random, duration_s: float) -> None:
        self.kitchen = kitchen
        self.phases: Counter[str] = Counter()
        self._rng = rng
        self._duration_s = duration_s

    @property
    def kills(self) -> int:
        return self.phases.total()

    def run(self) -> Path:
        """One run, killed some times and then let through; its directory."""
        folder, most = None, self.kills + MOST_KILLS
        while folder is None or RunFiles(folder).unfinished() is not None:
            folder = self._go_on(folder, let_through=self.kills >= most)
        return folder

    def _go_on(self, folder: Path | None, *, let_through: bool) -> Path | None:
        """Until the next kill, or the end; the directory, if it is one to go on with."""
        before = b"" if folder is None else whole_lines(folder)
        words = ["--resume", str(folder)] if folder else [*WHAT, "--out", str(self.kitchen.out)]
        process = self.kitchen.start("run", *words)
        process.join(None if let_through else self._moment_s(before.count(b"\n")))
        process.kill()
        process.join()
        assert process.exitcode in (0, -signal.SIGKILL), self.kitchen.output
        assert left_running(self.kitchen) == []
        folder = folder or next(iter(self.kitchen.out.iterdir()), None)
        self._note(folder, killed=process.exitcode != 0)
        if folder is None or not (folder / "run.json").exists():
            self._nothing_lost(folder)
            return None
        assert whole_lines(folder).startswith(before), "a finished process was lost"
        return folder

    def _moment_s(self, finished: int) -> float:
        """Some time before the end of what is left; a third of a run is not its processes.

        Half of the new runs are hit while their directory is made, which takes a twentieth.
        """
        if finished == 0 and self._rng.random() < 0.5:
            return self._rng.uniform(0.0, self._duration_s / 10.0)
        share = (1.0 + 2.0 * (1.0 - finished / PROCESSES)) / 3.0
        return self._rng.uniform(0.0, self._duration_s * share)

    def _note(self, folder: Path | None, *, killed: bool) -> None:
        if not killed:
            return
        if folder is None or not (folder / "run.json").exists():
            self.phases["before run.json"] += 1
        elif (folder / "traces").exists() and not whole_lines(folder):
            self.phases["before the first process"] += 1
        elif RunFiles(folder).unfinished() is not None:
            self.phases["among the processes"] += 1
        else:
            self.phases["after the last one"] += 1

    def _nothing_lost(self, folder: Path | None) -> None:
        """Killed while the directory was made: it says so, and is begun anew."""
        if folder is None:
            return
        process = self.kitchen.start("run", "--resume", str(folder))
        process.join()
        assert process.exitcode == 2
        assert "nothing that can be continued" in self.kitchen.output
        shutil.rmtree(folder)


def unbroken(kitchen: Kitchen) -> tuple[dict[int, tuple[object, ...]], float]:
    """The cells of a run that nobody breaks off, and how long it takes."""
    start = time.monotonic()
    process = kitchen.start("run", *WHAT, "--out", str(kitchen.folder / "whole"))
    process.join()
    duration_s = time.monotonic() - start
    assert process.exitcode == 0, kitchen.output
    (folder,) = (kitchen.folder / "whole").iterdir()
    found = cells(folder)
    assert sorted(found) == list(range(PROCESSES))
    shutil.rmtree(folder)
    return found, duration_s


def test_a_run_that_is_killed_a_hundred_times_measures_every_cell_once(kitchen: Kitchen) -> None:
    seed = int(os.environ.get("ALLOCPHASE_TEST_SEED") or random.randrange(2**32))
    print(f"moments drawn from ALLOCPHASE_TEST_SEED={seed}")
    unbroken(kitchen)  # the first one waits for the imports
    expected, duration_s = unbroken(kitchen)
    killer = Killer(kitchen, random.Random(seed), duration_s)
    runs = 0
    while killer.kills < KILLS:
        kitchen.out.mkdir(exist_ok=True)
        folder = killer.run()
        runs += 1
        assert cells(folder) == expected
        no_leftovers(folder)
        shutil.rmtree(folder)
    print(f"{killer.kills} kills in {runs} runs of {duration_s:.2f} s: {dict(killer.phases)}")
    assert not any((kitchen.folder / "tmp").iterdir())
