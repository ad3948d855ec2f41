"""Runs a plan: one process after the other, each on disk before the next one starts."""

from __future__ import annotations

import datetime
import re
import secrets
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allocphase import scenario, trace
from allocphase.allocator import Allocator
from allocphase.driver import Executor, Job, Outcome, Probe
from allocphase.errors import AllocphaseError
from allocphase.layout import Kind, kind_of
from allocphase.machine import environment, timed_cpus
from allocphase.plan import FLOOR, TIMED, Plan, Workload, jobs
from allocphase.result import ProcessRecord, RunWriter, ops_arrays
from allocphase.scenario import Scenario

__all__ = ["Progress", "Request", "draw_seed", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for. `out`: the folder that run directories go into."""

    allocators: Sequence[Allocator]
    scenarios: Sequence[Scenario]
    probes: Sequence[Probe]
    rounds: int
    seed: int
    timeout_s: float
    syscall_backend: str
    out: Path
    label: str
    command: Sequence[str]


# Called before each process with (job, number of jobs done, number of jobs).
Progress = Callable[[Job, int, int], None]


def run(request: Request, executor: Executor, *, progress: Progress) -> Path:
    """Measures everything that was asked for; returns the run directory.

    Raises UsageError for scenarios that make no valid trace, AllocphaseError when out/ cannot be
    written or the driver itself fails. What finished before that stays in the run directory.
    """
    started = datetime.datetime.now(tz=datetime.UTC)
    folder = _new_folder(request, started)
    writer = RunWriter(folder)
    workloads, entries = _generate(request.scenarios, writer)
    plan = Plan(
        allocators=_with_floor(request),
        workloads=workloads,
        probes=request.probes,
        rounds=request.rounds,
        seed=request.seed,
        timeout_s=request.timeout_s,
        cpus=timed_cpus(),
        syscall_backend=request.syscall_backend,
    )
    ordered = jobs(plan)
    writer.write_manifest(_manifest(request, plan, started, entries, ordered))
    for done, job in enumerate(ordered):
        progress(job, done, len(ordered))
        outcome = executor.run(job)
        writer.add(_record(job, outcome), outcome.arrays)
    _remove_traces(folder)
    return folder


def _with_floor(request: Request) -> tuple[Allocator, ...]:
    """Every timed figure has the null allocator's beside it."""
    chosen = tuple(request.allocators)
    if any(not a.correct for a in chosen) or not set(TIMED) & set(request.probes):
        return chosen
    from allocphase.allocator import resolve

    return (*resolve(FLOOR), *chosen)


def _new_folder(request: Request, started: datetime.datetime) -> Path:
    """A folder of its own for each run, also for two that start in one second."""
    stem = started.strftime("%Y%m%d-%H%M%S")
    label = re.sub(r"[^\w.-]+", "-", request.label).strip("-") or "run"
    for attempt in range(100):
        suffix = f"-{attempt}" if attempt else ""
        folder = request.out / f"{stem}-{label}{suffix}"
        try:
            folder.mkdir(parents=True)
        except FileExistsError:
            continue
        except OSError as error:
            raise AllocphaseError(f"{folder}: cannot be made: {error.strerror}") from error
        return folder
    raise AllocphaseError(f"{request.out}: a hundred runs named {stem}-{label} already")


def _generate(
    scenarios: Sequence[Scenario], writer: RunWriter
) -> tuple[list[Workload], list[dict[str, Any]]]:
    traces = writer.path / "traces"
    traces.mkdir()
    workloads: list[Workload] = []
    entries: list[dict[str, Any]] = []
    for index, chosen in enumerate(scenarios):
        made = scenario.generate(chosen)
        path = traces / f"{index}.trace"
        digest = trace.write(made, path)
        writer.write_operations(index, ops_arrays(made.ops, made.threads["op_count"]))
        workloads.append(Workload(name=chosen.name, trace=path, threads=len(made.threads)))
        entries.append(
            {
                "name": chosen.name,
                "title": chosen.title,
                "stands_for": chosen.stands_for,
                "source": chosen.source,
                "does_not_show": chosen.does_not_show,
                "family": chosen.family,
                "seed": chosen.seed,
                "touch": chosen.touch.name.lower(),
                "parameters": dict(chosen.parameters),
                "digest": digest,
                "operations": len(made.ops),
                "operation_counts": made.op_counts,
                "threads": len(made.threads),
                "build_operations": made.build_ops,
                "peak_live_bytes": made.peak_live_bytes,
                "requested_bytes": _requested_bytes(made.ops),
            }
        )
    return workloads, entries


def _requested_bytes(ops: Any) -> int:
    allocates = kind_of(ops) <= Kind.ALIGNED_ALLOC
    return int(np.sum(ops["size"], where=allocates, dtype=np.int64))


def _manifest(
    request: Request,
    plan: Plan,
    started: datetime.datetime,
    scenarios: list[dict[str, Any]],
    ordered: Sequence[Job],
) -> Mapping[str, Any]:
    return {
        "label": request.label,
        "started": started.isoformat(timespec="seconds"),
        "command": list(request.command),
        "environment": environment(),
        "plan": {
            "probes": [probe.value for probe in plan.probes],
            "rounds": plan.rounds,
            "seed": plan.seed,
            "timeout_s": plan.timeout_s,
            "cpus": list(plan.cpus),
            "syscall_backend": plan.syscall_backend,
            "processes": len(ordered),
        },
        "allocators": [_allocator_entry(allocator) for allocator in plan.allocators],
        "scenarios": scenarios,
    }


def _allocator_entry(allocator: Allocator) -> dict[str, Any]:
    return {
        "name": allocator.name,
        "title": allocator.title,
        "summary": allocator.summary,
        "kind": allocator.kind,
        "path": str(allocator.path) if allocator.path else None,
        "sha256": allocator.sha256(),
        "config": dict(allocator.config),
        "floor": not allocator.correct,
    }


def _record(job: Job, outcome: Outcome) -> ProcessRecord:
    return ProcessRecord(
        id=job.id,
        round=job.round,
        allocator=job.allocator.name,
        scenario=job.scenario,
        probe=job.probe.value,
        status=outcome.status,
        message=outcome.message,
        wall_s=round(outcome.wall_s, 6),
        result=outcome.result,
    )


def _remove_traces(folder: Path) -> None:
    """They can be generated again from run.json, and are the bulk of a run's bytes."""
    for path in (folder / "traces").iterdir():
        path.unlink()
    (folder / "traces").rmdir()


def draw_seed() -> int:
    """A seed for the order of processes; it is recorded, so any order can be had again."""
    return secrets.randbelow(2**32)
