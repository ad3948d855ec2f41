"""A machine that is not quiet, for real: what others do while a process is timed is noticed."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.allocator import resolve
from allocphase.analysis.warnings import LEAST_S, cell_warnings
from allocphase.probe.probe import Probe
from allocphase.process.driver import DriverExecutor, Outcome, TraceJob
from allocphase.process.watched import WatchingExecutor
from tests.support.runs import process
from tests.support.traces import batch, write_trace

BUSY = """
import os, sys
os.sched_setaffinity(0, [int(sys.argv[1])])
print(flush=True)
while True: pass
"""


@pytest.fixture
def job(tmp_path: Path) -> TraceJob:
    """A timed process of half a second, in passes of 100 ms."""
    return TraceJob(
        id=0,
        round=0,
        allocator=resolve("libc")[0],
        scenario="some",
        trace=write_trace(tmp_path / "t", batch(100)),
        probe=Probe.THROUGHPUT,
        cpus=(max(os.sched_getaffinity(0)),),
        timeout_s=60.0,
        options={"pass-ns": "100000000"},
    )


@contextmanager
def company(cpu: int) -> Iterator[None]:
    """A process that never rests, on that CPU."""
    command = [sys.executable, "-c", BUSY, str(cpu)]
    busy = subprocess.Popen(command, stdout=subprocess.PIPE)
    assert busy.stdout is not None
    busy.stdout.readline()  # it has started
    try:
        yield
    finally:
        busy.kill()
        busy.wait()
        busy.stdout.close()


def warnings(outcome: Outcome) -> list[str]:
    record = replace(process("throughput", {}), result=outcome.result)
    return [warning.text for warning in cell_warnings([record], {})]


def test_a_busy_neighbour_is_named_beside_the_figures(job: TraceJob) -> None:
    with company(job.cpus[0]):
        outcome = WatchingExecutor(DriverExecutor()).run(job)
    assert outcome.status == "ok", outcome.message
    found = outcome.result.disturbance
    assert found is not None
    assert found.others_s is not None
    assert found.others_s > LEAST_S
    assert any(line.startswith("load: other processes used up to") for line in warnings(outcome))


def test_a_tracer_is_seen_and_named(job: TraceJob, strace: str, tmp_path: Path) -> None:
    script = tmp_path / "driver"
    driver = resources.find("driver/allocphase-driver")
    script.write_text(f'#!/bin/sh\nexec {strace} -f -o /dev/null {driver} "$@"\n')
    script.chmod(0o755)
    outcome = DriverExecutor(driver=script).run(job)
    assert outcome.status == "ok", outcome.message
    assert outcome.result.tracer_pid > 0
    assert any("a debugger or tracer was attached" in line for line in warnings(outcome))
