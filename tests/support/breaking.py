"""The real command in processes that are to be broken off, and what is left of them."""

from __future__ import annotations

import importlib
import multiprocessing
import os
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from multiprocessing.context import ForkServerProcess
from pathlib import Path
from typing import Any

from allocphase.store.reader import RunFiles

__all__ = ["PROGRAM", "Kitchen", "cells", "left_running", "no_leftovers"]

PROGRAM = Path(sys.executable).with_name("allocphase")
MARKER = "ALLOCPHASE_TEST_MARKER"
WAIT_S = 20.0
_PRELOADED = (
    "allocphase.cli",
    "allocphase.analysis.frames",
    "allocphase.export.cells",
    "allocphase.run.progress_bar",
    "allocphase.report.text.terminal",
    "allocphase.run.resume",
    "allocphase.run.request",
    "tests.support.breaking",
)


@dataclass(frozen=True, slots=True)
class Kitchen:
    """A folder for one test's runs; its path marks every process that comes of them."""

    folder: Path

    @property
    def out(self) -> Path:
        return self.folder / "out"

    @property
    def environment(self) -> dict[str, str]:
        """Nothing outside the folder is touched."""
        places = {"TMPDIR": "tmp", "XDG_CACHE_HOME": "cache", "ALLOCPHASE_LOCK": "lock"}
        for name in ("tmp", "cache"):
            (self.folder / name).mkdir(exist_ok=True)
        changes = {name: str(self.folder / place) for name, place in places.items()}
        changes["ALLOCPHASE_WRITABLE"] = str(self.folder)  # plug-ins leave their pids there
        return {**os.environ, **changes, MARKER: str(self.folder)}

    def command(self, *arguments: str | Path, **options: Any) -> subprocess.Popen[str]:
        """The installed `allocphase` with these arguments, in this folder."""
        words = [str(PROGRAM), *map(str, arguments)]
        pipes = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
        settings = {"env": self.environment, "cwd": self.folder, "text": True, **pipes, **options}
        return subprocess.Popen(words, **settings)

    def start(self, *arguments: str | Path) -> ForkServerProcess:
        """`allocphase` with these arguments, from a process that has imported it already."""
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload(list(_PRELOADED))
        words = [str(argument) for argument in arguments]
        values = (words, self.environment, self.folder / "output")
        process = context.Process(target=_be_the_command, args=values)
        process.start()
        return process

    @property
    def output(self) -> str:
        """What the started commands have printed."""
        return (self.folder / "output").read_text()


def _be_the_command(words: Sequence[str], environment: Mapping[str, str], output: Path) -> None:
    os.environ.clear()
    os.environ.update(environment)
    os.chdir(output.parent)
    file = os.open(output, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.dup2(file, 1)
    os.dup2(file, 2)
    importlib.import_module("allocphase.cli").main(words)  # a type checker sees it as ./cli.py


def cells(folder: Path) -> dict[int, tuple[Any, ...]]:
    """What a run has measured, by process; the journal has each once, or is refused."""
    return {
        record.id: (record.round, record.allocator, record.scenario, record.probe, record.status)
        for record in RunFiles(folder).processes()
    }


def left_running(kitchen: Kitchen) -> list[str]:
    """The command lines of its processes that are still there after a while; none should be."""
    until = time.monotonic() + WAIT_S
    while (found := _marked(kitchen)) and time.monotonic() < until:
        time.sleep(0.02)
    return found


def _marked(kitchen: Kitchen) -> list[str]:
    mark = f"{MARKER}={kitchen.folder}".encode()
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if mark in (process / "environ").read_bytes().split(b"\0"):
                found.append((process / "cmdline").read_bytes().replace(b"\0", b" ").decode())
        except OSError:  # it has ended meanwhile, or is another user's
            continue
    return found


def no_leftovers(folder: Path) -> None:
    """Of a run that has ended: nothing of it half done, no trace, samples of its processes only."""
    files = RunFiles(folder)
    assert files.unfinished() is None
    # The table is made of a run that has ended: whoever kills it then leaves half of that, at most.
    assert {path.name for path in folder.rglob("*.partial")} <= {"results.csv.partial"}
    assert not (folder / "traces").exists()
    latencies = {f"{r.id}.npz" for r in files.processes() if r.probe == "latency"}
    assert latencies <= {path.name for path in (folder / "samples").iterdir()}
    for record in files.processes():
        files.samples(record.id)
