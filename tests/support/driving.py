"""Starts the driver: as the runner does, or bare with options of the test's own."""

from __future__ import annotations

import os
import subprocess
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocphase import resources
from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from allocphase.probe.result import Clock, Syscalls, Usage
from allocphase.process.driver import DriverExecutor, Outcome, TraceJob

__all__ = [
    "FULL_SPEED",
    "Driver",
    "calls_by_op",
    "clock_of",
    "operation_calls",
    "trace_job",
    "usage_of",
]

TIMEOUT_S = 60.0
# Replays as fast as they can be: the driver does not note which operation it is at.
FULL_SPEED = (Probe.THROUGHPUT, Probe.LATENCY, Probe.MEMORY)


def trace_job(
    probe: Probe,
    trace: Path,
    allocator: Allocator,
    *,
    timeout_s: float,
    cpus: Sequence[int] = (),
    **options: str | int,
) -> TraceJob:
    """One process. `options` are the driver's, _ for -.

    Without `cpus` it has one CPU, whatever the number of threads.
    """
    return TraceJob(
        id=0,
        round=0,
        allocator=allocator,
        scenario="test",
        trace=trace,
        probe=probe,
        cpus=tuple(cpus) or (min(os.sched_getaffinity(0)),),
        timeout_s=timeout_s,
        options={key.replace("_", "-"): str(value) for key, value in options.items()},
    )


@dataclass(frozen=True, slots=True)
class Driver:
    """The driver with a folder for its files. executor: None is the package's own driver."""

    folder: Path
    executor: DriverExecutor | None = None

    def run(
        self,
        probe: Probe,
        trace: Path,
        allocator: Allocator,
        *,
        timeout_s: float = TIMEOUT_S,
        cpus: Sequence[int] = (),
        **options: str | int,
    ) -> Outcome:
        """Whatever became of the process; the rest is as of `trace_job`."""
        job = trace_job(probe, trace, allocator, timeout_s=timeout_s, cpus=cpus, **options)
        return (self.executor or DriverExecutor()).run(job)

    def measure(
        self,
        probe: Probe,
        trace: Path,
        allocator: Allocator,
        *,
        cpus: Sequence[int] = (),
        **options: str | int,
    ) -> Outcome:
        """The outcome of a process that must end well."""
        outcome = self.run(probe, trace, allocator, timeout_s=TIMEOUT_S, cpus=cpus, **options)
        assert outcome.status == "ok", outcome.message
        return outcome

    def bare(
        self,
        arguments: Sequence[str | Path],
        *,
        before: Sequence[str] = (),
        variables: dict[str, str] | None = None,
        timeout_s: float = TIMEOUT_S,
    ) -> subprocess.CompletedProcess[str]:
        """The binary itself with these arguments and --out; `before` goes in front of it."""
        binary = resources.find("driver/allocphase-driver")
        command = [*before, str(binary), "--out", str(self.folder), *map(str, arguments)]
        return subprocess.run(
            command,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=timeout_s,
            env={**os.environ, **(variables or {})},
        )


def operation_calls(outcome: Outcome) -> Mapping[str, int]:
    """System calls in operation, by name, of a backend that counts."""
    counts = outcome.result.part(Syscalls).operation
    assert counts is not None
    return counts


def clock_of(outcome: Outcome) -> Clock:
    """The clock of a process that read it."""
    assert outcome.result.clock is not None
    return outcome.result.clock


def usage_of(outcome: Outcome) -> Usage:
    """What a process that ended well used."""
    assert outcome.result.usage is not None
    return outcome.result.usage


def calls_by_op(outcome: Outcome) -> dict[int, Counter[str]]:
    """What each operation of a syscalls probe called, by name; silent operations are absent."""
    names = outcome.result.part(Syscalls).numbers
    found: dict[int, Counter[str]] = {}
    events: Any = outcome.arrays["syscalls"]
    for op, number in zip(events["op"].tolist(), events["number"].tolist(), strict=True):
        found.setdefault(op, Counter())[names[str(number)]] += 1
    return found
