"""What tests of the gate share: an executor that makes its figures up, and plain allocators."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.allocator import Allocator
from allocphase.files.typed import read
from allocphase.gate import Arms, GateRequest
from allocphase.judge import Limits
from allocphase.judge.limits import parse_limit
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.process.driver import Job, Outcome
from allocphase.scenario import Scenario
from allocphase.trace import read as read_trace
from tests.support.runs import FakeExecutor, memory_part, no_progress
from tests.support.scenarios import resolve_traced, trace_of

__all__ = [
    "MEMORY",
    "FigureExecutor",
    "arm",
    "gate_request",
    "limits",
    "no_progress",
    "small_scenario",
]

MEMORY = memory_part(peak_rss_bytes=4096, page_faults=5)


@dataclass
class FigureExecutor(FakeExecutor):
    """Answers each job with figures that are functions of the job.

    time_ns: the process's time per operation. calls: system calls in operation, None where
    nobody sees them. memory: the memory probe's figures. latency_ns: of every call in a process, or
    of each, for traces of `ops` operations. status: a status and a message instead of a result, or
    None. alignment: of the arm's functions. instructions: of all calls of a replay together.
    """

    time_ns: Callable[[Job], float] = lambda _: 10.0
    calls: Callable[[Job], Mapping[str, int] | None] = lambda _: {}
    memory: Callable[[Job], Mapping[str, int]] = lambda _: MEMORY
    latency_ns: Callable[[Job], int | npt.NDArray[np.int64]] = lambda _: 30
    status: Callable[[Job], tuple[str, str] | None] = lambda _: None
    alignment: Callable[[Job], int] = lambda _: 64
    instructions: Callable[[Job], int] = lambda _: 900
    ops: int = 100

    def __post_init__(self) -> None:
        super().__init__(self._answer_from_figures)

    def _answer_from_figures(self, job: Job) -> Outcome:
        failed = self.status(job)
        if failed is not None:
            return Outcome(status=Status(failed[0]), message=failed[1], wall_s=0.1)
        result, arrays = self._result(job), self._arrays(job)
        return Outcome(status=Status.OK, message="", wall_s=0.1, result=result, arrays=arrays)

    def _arrays(self, job: Job) -> Arrays:
        if job.probe is not Probe.LATENCY:
            return {}
        made = read_trace(trace_of(job))
        ticks = np.full(len(made.ops), self.latency_ns(job), dtype=np.uint32)
        warm = np.tile(ticks[made.repeated()], made.warm_replays)
        return {
            "call_ticks": ticks,
            "touch_ticks": np.zeros_like(ticks),
            "warm_call_ticks": warm,
            "warm_touch_ticks": np.zeros_like(warm),
        }

    def _result(self, job: Job) -> Result:
        clock = {"hz": 1e9, "overhead_ns": 18.0, "step_ns": 1.0}
        result: dict[str, Any] = {"operations": self.ops, "clock": clock}
        result["function_alignment_bytes"] = self.alignment(job)
        if job.probe is Probe.THROUGHPUT:
            time_ns = self.time_ns(job)
            result["throughput"] = {"cold_ns_per_op": 2 * time_ns, "warm_ns_per_op": [time_ns]}
        if job.probe is Probe.SYSCALLS:
            calls = self.calls(job)
            seen = {"init": {}, "operation": calls and dict(calls), "teardown": {}}
            result["syscalls"] = {"backend": "mark"} if calls is None else seen
        if job.probe is Probe.MEMORY:
            result["memory"] = dict(self.memory(job))
        if job.probe is Probe.FOOTPRINT:
            result["footprint"] = {"pass_ns": 1000}
        if job.probe is Probe.FAULTS:
            result["faults"] = {"call_faults": 2, "touch_faults": 3, "pass_ns": 1000}
        if job.probe is Probe.INSTRUCTIONS:
            count = self.instructions(job)
            result["repeated_operations"] = self.ops
            result["instructions"] = {
                "calls": {"malloc": self.ops},
                "counted": {"malloc": count},
                "functions": functions_of(count),
            }
        if job.probe is Probe.VERIFY:
            result["verify"] = {}
        if job.probe is Probe.LATENCY:
            result["latency"] = {"warm_replays": read_trace(trace_of(job)).warm_replays}
        return read(Result, result)


def functions_of(count: int) -> list[dict[str, Any]]:
    """Twelve of an allocator's, the first one with a source, the others without a name."""
    rest = [(f"0x{at:016x}", "") for at in range(11)]
    named = [("mine_malloc", "mine.c:7"), *rest]
    each = [count - 11 * (count // 20), *[count // 20] * 11]
    return [
        {"name": name, "object": "mine.so", "instructions": n, "source": source}
        for (name, source), n in zip(named, each, strict=True)
    ]


def arm(name: str, path: Path | None = None) -> Allocator:
    """A plug-in at `path`; libc without one."""
    return Allocator(
        name=name,
        title=name,
        summary="of a test",
        kind="plugin" if path else "libc",
        path=path,
        config={"key": "value"} if path else {},
        environment={},
    )


def limits(*lines: str) -> Limits:
    """Limits with these lines."""
    return Limits(lines=tuple(parse_limit(line) for line in lines))


def small_scenario(spec: str = "phase-report?allocations=50") -> Scenario:
    """A scenario whose trace is made in no time; its name is `spec`."""
    return resolve_traced(spec)[0]


def gate_request(out: Path, *lines: str, **changes: Any) -> GateRequest:
    """A gate of two plug-ins on one small scenario, with those limits."""
    out.mkdir(exist_ok=True)
    paths = [out / "old.so", out / "new.so"]
    for path in paths:
        path.write_bytes(path.name.encode())
    values: dict[str, Any] = {
        "arms": Arms(arm("old", paths[0]), arm("new", paths[1])),
        "scenarios": [small_scenario()],
        "limits": limits(*lines),
        "seed": 7,
        "out": out / "runs",
    }
    return GateRequest(**{**values, **changes})
