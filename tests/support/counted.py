"""A run whose instructions were counted, by an executor that makes its figures up."""

from __future__ import annotations

from pathlib import Path

from allocphase.probe.probe import Probe
from allocphase.process.driver import Job
from allocphase.run.request import Request
from allocphase.run.session import run
from tests.support.gates import MEMORY, FigureExecutor, arm, no_progress, small_scenario

__all__ = ["write_counted"]

TIMES_NS = {"libc": 10.0, "lean": 10.0, "faulty": 12.0}


def write_counted(path: Path, *, counted: bool = True) -> Path:
    """`lean` runs as long as libc with a third of its instructions; `faulty` longer, with as many,
    and more page faults. Returns the run's own folder, beside `path`.
    """

    def time_ns(job: Job) -> float:
        return TIMES_NS.get(job.allocator.name, 3.0) * (1 + 0.001 * (job.round % 3))

    executor = FigureExecutor(
        time_ns=time_ns,
        memory=lambda job: {**MEMORY, "page_faults": 50 if job.allocator.name == "faulty" else 5},
        instructions=lambda job: 3000 if job.allocator.name == "lean" else 9000,
    )
    request = Request(
        allocators=[arm(name) for name in TIMES_NS],
        scenarios=[small_scenario()],
        probes=[Probe.THROUGHPUT, Probe.MEMORY, *([Probe.INSTRUCTIONS] if counted else [])],
        rounds=8,
        seed=1,
        out=path.parent,
        label="counted",
        command=[],
    )
    return run(request, executor, progress=no_progress)
