"""Runs without processes: a fake executor, and run directories written by hand."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

import numpy as np

from allocphase.allocator import Allocator
from allocphase.analysis.frames import Run
from allocphase.errors import AllocphaseError
from allocphase.files.typed import read
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.process.driver import Job, Outcome
from allocphase.run.request import Request
from allocphase.scenario import Scenario
from allocphase.store.manifest import Manifest
from allocphase.store.record import ProcessRecord
from allocphase.store.writer import RunWriter
from allocphase.trace.records import Kind
from tests.support.manifests import allocator_entry, manifest_of, scenario_entry
from tests.support.replays import with_warm_replays
from tests.support.scenarios import resolve_traced

__all__ = [
    "FakeExecutor",
    "fake_allocator",
    "good",
    "manifest",
    "memory_part",
    "no_progress",
    "process",
    "request_of",
    "result_of",
    "small_scenario",
    "write_run",
]

HZ = 2e9  # of the fake clock: two ticks a nanosecond


def fake_allocator(name: str, *, correct: bool = True) -> Allocator:
    return Allocator(
        name=name,
        title=name.upper(),
        summary=f"{name} of a test",
        kind="libc",
        config={},
        environment={},
        correct=correct,
    )


def small_scenario(name: str = "phase-report") -> Scenario:
    """A batch of few operations."""
    (found,) = resolve_traced(f"{name}?allocations=5")
    return found


def memory_part(**changes: int) -> dict[str, int]:
    """What a memory process says; 0 where nothing else is given."""
    names = (
        "lazily_freed_bytes",
        "rss_after_free_bytes",
        "mapped_after_free_bytes",
        "base_rss_bytes",
        "pass_ns",
    )
    usual = {"peak_live_bytes": 1000, "run_peak_live_bytes": 1000, "peak_mapped_bytes": 8192}
    return {**dict.fromkeys(names, 0), **usual, "peak_rss_bytes": 1500, "page_faults": 2, **changes}


def good(job: Job) -> Outcome:
    """What a process that ends well says; its one number is 10 ns more in each round."""
    time_ns = 100.0 + 10.0 * job.round
    result: dict[str, Any] = {
        "driver": 1,
        "emulated": [],
        "locked": False,
        "operations": 10,
        "repeated_operations": 10,
        "clock": {"hz": HZ, "overhead_ns": 20.0, "step_ns": 10.0},
        "usage": {"involuntary_switches": 0},
        "allocator_stats": {},
    }
    parts: dict[Probe, dict[str, Any]] = {
        Probe.THROUGHPUT: {"cold_ns_per_op": 2 * time_ns, "warm_ns_per_op": [time_ns] * 5},
        Probe.LATENCY: {"samples": "raw"},
        Probe.SYSCALLS: {"init": {}, "operation": {}, "teardown": {}, "backend": "dispatch"},
        Probe.MEMORY: memory_part(),
        Probe.FOOTPRINT: {"pass_ns": 1000},
        Probe.FAULTS: {"call_faults": 1, "touch_faults": 1, "pass_ns": 1000},
        Probe.VERIFY: {"operations": 10},
    }
    result[job.probe.value] = parts[job.probe]
    arrays: Arrays = {}
    if job.probe is Probe.LATENCY:
        ticks = np.full(10, 200, dtype=np.uint32)
        arrays = with_warm_replays({"call_ticks": ticks, "touch_ticks": ticks // 2}, operations=10)
    return Outcome(
        status=Status.OK,
        message="",
        wall_s=0.125,
        result=read(Result, result),
        arrays=arrays,
    )


class FakeExecutor:
    """Answers each job by a function, and remembers the jobs in the order of their coming."""

    def __init__(self, answer: Callable[[Job], Outcome] = good) -> None:
        self.jobs: list[Job] = []
        self._answer = answer

    def run(self, job: Job) -> Outcome:
        with job.turn or nullcontext():  # of those that take turns it starts one after the other
            self.jobs.append(job)
            return self._answer(job)

    def stop(self, reason: AllocphaseError) -> None:
        """Nothing of it runs on: a job is answered before the next begins."""

    @property
    def timed(self) -> list[Job]:
        """The jobs that run alone."""
        return [job for job in self.jobs if job.probe in (Probe.THROUGHPUT, Probe.LATENCY)]


def no_progress(job: Job, done: int, total: int) -> None:
    """For those who do not look."""


def request_of(out: Path, **changes: Any) -> Request:
    """Two allocators on one small scenario, throughput and verify, three rounds."""
    values: dict[str, Any] = {
        "allocators": [fake_allocator("one"), fake_allocator("two")],
        "scenarios": [small_scenario()],
        "probes": [Probe.THROUGHPUT, Probe.VERIFY],
        "rounds": 3,
        "seed": 7,
        "timeout_s": 5.0,
        "out": out,
        "label": "test",
        "command": ["allocphase", "run"],
    }
    return Request(**{**values, **changes})


# ---- Run directories by hand -------------------------------------------------------------


def process(probe: str, part: Mapping[str, Any], **changes: Any) -> ProcessRecord:
    """A process of the allocator `one` on the scenario `some`, whose result has `part`."""
    values: dict[str, Any] = {
        "id": 0,
        "round": 0,
        "allocator": "one",
        "scenario": "some",
        "probe": Probe(probe),
        "status": Status.OK,
        "message": "",
        "wall_s": 0.125,
        "result": result_of(probe, part, **changes.pop("more", {})),
    }
    changed = {**values, **changes}
    return ProcessRecord(**{**changed, "status": Status(changed["status"])})


# What a part must have, where a test does not say.
_LEAST: dict[str, dict[str, Any]] = {
    "throughput": {"cold_ns_per_op": 0.0, "warm_ns_per_op": []},
    "memory": memory_part(),
    "footprint": {"pass_ns": 0},
    "faults": {"call_faults": 0, "touch_faults": 0, "pass_ns": 0},
}


def result_of(probe: str, part: Mapping[str, Any], **more: Any) -> Result:
    """What a process of that probe says of six operations."""
    usual = {"operations": 6, "clock": {"hz": HZ, "overhead_ns": 20.0, "step_ns": 10.0}}
    return read(Result, {**usual, probe: {**_LEAST.get(probe, {}), **part}, **more})


def manifest(*allocators: str, operations: int = 6) -> Manifest:
    """The floor, the allocators, and the scenario `some`."""
    entries = [allocator_entry(name) for name in ("null", *allocators)]
    return manifest_of(entries, [scenario_entry("some", operations)])


KINDS = (Kind.MALLOC, Kind.CALLOC, Kind.MALLOC, Kind.FREE, Kind.FREE, Kind.FREE)


def write_run(
    path: Path,
    processes: Sequence[tuple[ProcessRecord, Arrays]],
    *,
    threads: Sequence[int] = (6,),
    allocators: Sequence[str] = ("one",),
    long: Sequence[int] = (),
    operations: int = 6,
    warm: int = 1,
) -> Run:
    """A run whose trace is malloc, calloc, malloc and three frees, in threads of that length.

    long: instead, a trace of threads of that length, of whose operations nothing is kept.
    operations: what run.json says that they are. warm: passes like the first one, after it.
    """
    writer = RunWriter(path)
    writer.write_manifest(manifest(*allocators, operations=operations))
    columns: Arrays = {
        "kind": np.array(KINDS, dtype=np.uint8),
        "size": np.array([16, 32, 48, 0, 0, 0], dtype=np.uint32),
        "thread": np.repeat(np.arange(len(threads), dtype=np.uint16), threads),
        "op": np.concatenate([np.arange(count, dtype=np.uint32) for count in threads]),
    }
    parts = dict.fromkeys(("thread_build", "thread_drain"), np.zeros(len(long or threads), int))
    if long:
        columns = {name: array[:0] for name, array in columns.items()}
        columns["thread_ops"] = np.array(long, dtype=np.int64)
    writer.write_operations(0, {**columns, **parts})
    count = sum(long or threads)
    for record, arrays in processes:
        writer.add(record, with_warm_replays(arrays, operations=count, warm=warm))
    return Run(path)
