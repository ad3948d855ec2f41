"""One driver process: from a job to an outcome. The boundary that tests replace with a fake.

A process that crashes, hangs or is killed costs its own outcome only, with its status, the
signal by name and the end of its stderr.
"""

from __future__ import annotations

import contextlib
import json
import os
import random
import resource
import signal
import subprocess
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Protocol

from allocphase import data
from allocphase.allocator import Allocator
from allocphase.errors import AllocphaseError
from allocphase.samples import Arrays, read_driver_files

__all__ = ["DriverExecutor", "Executor", "Job", "Outcome", "Probe"]

STDERR_BYTES = 4000
# The length of the environment moves the stack, and with it what shares a cache line (Mytkowicz
# et al., "Producing wrong data without doing anything obviously wrong", 2009): so it is drawn.
PADDING_VARIABLE = "ALLOCPHASE_PADDING"
PADDING_BYTES = 4096


class Probe(StrEnum):
    """What one process measures."""

    THROUGHPUT = "throughput"
    LATENCY = "latency"
    SYSCALLS = "syscalls"
    MEMORY = "memory"
    VERIFY = "verify"


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One process to run. `padding_bytes`: length of an environment variable that says nothing."""

    id: int
    round: int
    allocator: Allocator
    scenario: str
    trace: Path
    probe: Probe
    cpus: tuple[int, ...]
    timeout_s: float
    padding_bytes: int = 0
    options: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job. `result` is the driver's own JSON, empty when it wrote none."""

    status: str
    message: str
    wall_s: float
    result: Mapping[str, Any] = field(default_factory=dict)
    arrays: Arrays = field(default_factory=dict)


class Executor(Protocol):
    """Runs one job to its end, whatever that is."""

    def run(self, job: Job) -> Outcome: ...


def padding(rng: random.Random) -> int:
    """A length in bytes for `Job.padding_bytes`."""
    return rng.randrange(PADDING_BYTES)


class DriverExecutor:
    """Runs jobs in fresh driver processes."""

    def __init__(self) -> None:
        self._driver = data.find("driver/allocphase-driver")

    def run(self, job: Job) -> Outcome:
        """Raises AllocphaseError when the driver itself fails: that is no fault of a subject."""
        with tempfile.TemporaryDirectory(prefix="allocphase-") as scratch:
            folder = Path(scratch)
            command = [str(self._driver), *_arguments(job, folder)]
            with (folder / "stderr").open("w+b") as stderr:
                start = time.monotonic()
                code = _run_contained(command, _environment(job), stderr.fileno(), job.timeout_s)
                wall_s = time.monotonic() - start
            return _outcome(job, folder, code=code, wall_s=wall_s)


def _arguments(job: Job, folder: Path) -> list[str]:
    arguments = ["--trace", str(job.trace), "--out", str(folder), "--probe", job.probe.value]
    if job.allocator.kind == "plugin":
        arguments += ["--plugin", str(job.allocator.path)]
    elif job.allocator.kind == "preload":
        arguments += ["--preloaded", str(job.allocator.path)]
    for key, value in job.allocator.config.items():
        arguments += ["--set", f"{key}={value}"]
    for cpu in job.cpus:
        arguments += ["--cpu", str(cpu)]
    for option, value in job.options.items():
        arguments += [f"--{option}", value]
    return arguments


def _environment(job: Job) -> dict[str, str]:
    variables = {k: v for k, v in os.environ.items() if k not in ("LD_PRELOAD", PADDING_VARIABLE)}
    variables.update(job.allocator.environment)
    if job.allocator.kind == "preload":
        variables["LD_PRELOAD"] = str(job.allocator.path)
    variables[PADDING_VARIABLE] = "x" * job.padding_bytes
    return variables


def _run_contained(
    command: list[str], variables: dict[str, str], stderr: int, timeout_s: float
) -> int | None:
    """The exit code, negative for a signal, None for a timeout; nothing of its group survives."""
    process = subprocess.Popen(
        command,
        env=variables,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=stderr,
        start_new_session=True,
    )
    with contextlib.suppress(ProcessLookupError):  # it may have ended already
        resource.prlimit(process.pid, resource.RLIMIT_CORE, (0, 0))
    try:
        return process.wait(timeout_s)
    except subprocess.TimeoutExpired:
        return None
    finally:
        _kill_group(process)


def _kill_group(process: subprocess.Popen[bytes]) -> None:
    with contextlib.suppress(ProcessLookupError):  # the usual case: nobody is left
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()


def _outcome(job: Job, folder: Path, *, code: int | None, wall_s: float) -> Outcome:
    words = _last_words(folder / "stderr")
    if code is None:
        message = f"still running after {job.timeout_s:g} s: killed. {words}".strip()
        return Outcome(status="timeout", message=message, wall_s=wall_s)
    if code < 0:
        message = f"killed by {signal.Signals(-code).name}. {words}".strip()
        return Outcome(status="crashed", message=message, wall_s=wall_s)
    if code in (1, 2) and words.startswith("allocphase-driver: "):
        raise AllocphaseError(f"{job.allocator.name} on {job.scenario} ({job.probe}): {words}")
    result = _read_result(folder / "result.json")
    if result is None:
        message = f"ended with exit code {code} in the middle of the trace. {words}".strip()
        return Outcome(status="crashed", message=message, wall_s=wall_s)
    return Outcome(
        status=result.pop("status"),
        message=result.pop("message"),
        wall_s=wall_s,
        result=result,
        arrays=read_driver_files(folder),
    )


def _last_words(path: Path) -> str:
    content = path.read_bytes()[-STDERR_BYTES:]
    return content.decode("utf-8", errors="replace").strip()


def _read_result(path: Path) -> dict[str, Any] | None:
    try:
        result = json.loads(path.read_bytes().decode("utf-8", errors="replace"))
    except (OSError, ValueError):
        return None
    return result if isinstance(result, dict) and "status" in result else None
