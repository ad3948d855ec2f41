"""What does the driver's own work add to a call's latency? The free that does nothing tells."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import scenario, trace
from allocphase.allocator import resolve
from allocphase.probe.probe import Probe
from allocphase.probe.result import Clock
from allocphase.process.driver import DriverExecutor, TraceJob
from allocphase.scenario import Scenario
from allocphase.trace.records import Kind, kind_of
from tests.benchmarks.conftest import Say
from tests.support.driving import clock_of
from tests.support.scenarios import resolve_traced

CPUS = tuple(sorted(os.sched_getaffinity(0), reverse=True))


def _null_frees(chosen: Scenario, path: Path) -> tuple[npt.NDArray[np.float64], Clock]:
    """The latency of each of null's frees in ns, and what the driver says of its clock."""
    trace.write(scenario.generate(chosen), path)
    job = TraceJob(
        id=0,
        round=0,
        allocator=resolve("null")[0],
        scenario=chosen.name,
        trace=path,
        probe=Probe.LATENCY,
        cpus=CPUS,
        timeout_s=60.0,
    )
    outcome = DriverExecutor().run(job)
    assert outcome.status == "ok", outcome.message
    clock = clock_of(outcome)
    frees = kind_of(trace.read(path).ops) == Kind.FREE
    return outcome.arrays["call_ticks"][frees] * 1e9 / clock.hz, clock


def test_a_free_that_does_nothing_takes_what_reading_the_clock_takes(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    chosen = resolve_traced("default") if full else resolve_traced("phase-report")

    def measure() -> None:
        for one in chosen:
            ns, clock = _null_frees(one, tmp_path / "bench.trace")
            p50, p99 = np.percentile(ns, [50, 99])
            assert clock.overhead_p99_ns is not None
            ratio = p99 / clock.overhead_p99_ns
            say(
                f"{one.name:20} null's free: p50 {p50:.0f}, p99 {p99:.0f} ns; an empty pair of"
                f" readings: p50 {clock.overhead_ns:.0f}, p99 {clock.overhead_p99_ns:.0f} ns;"
                f" p99 / p99 {ratio:.2f}"
            )

    benchmark.pedantic(measure, rounds=1, iterations=1)
