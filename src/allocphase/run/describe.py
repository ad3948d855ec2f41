"""What run.json says: enough to judge the run without this machine, and to run the same again."""

from __future__ import annotations

import datetime
import math
from collections.abc import Sequence
from dataclasses import asdict, replace

import numpy as np

from allocphase.allocator import Allocator, Source
from allocphase.machine.environment import environment
from allocphase.run.plan import Plan, process_count
from allocphase.run.request import Request
from allocphase.scenario import Program, Recorded, Traced
from allocphase.store.manifest import (
    AllocatorEntry,
    Manifest,
    PlanEntry,
    ProgramEntry,
    RecordingEntry,
    ScenarioEntry,
    SourceEntry,
)
from allocphase.trace.provenance import Provenance
from allocphase.trace.records import Kind, Ops, Part, Trace, kind_of
from allocphase.trace.span import lane_loads, span

__all__ = ["describe_program", "describe_run", "describe_scenario"]

# The span of a longer trace would take gigabytes to find: it stays unknown.
MAX_SPANNED = 1 << 26


def describe_run(
    request: Request,
    plan: Plan,
    started: datetime.datetime,
    scenarios: Sequence[ScenarioEntry],
    *,
    driver_sha256: str,
) -> Manifest:
    """The manifest of a run that is about to start; `scenarios` by `describe_scenario`."""
    budget_s = request.time_budget_s
    manifest = Manifest(
        label=request.label,
        started=started.isoformat(timespec="seconds"),
        command=tuple(request.command),
        environment=environment(
            tuning=request.kept_variables, simulated_caches=request.simulated_caches or None
        ),
        plan=PlanEntry(
            probes=tuple(plan.probes),
            rounds=plan.rounds,
            seed=plan.seed,
            timeout_s=plan.timeout_s,
            cpus=tuple(plan.cpus),
            syscall_backend=plan.syscall_backend,
            processes=process_count(plan),
            quick=request.quick,
            left_out=_left_out(plan),
            left_out_cells=_left_out_cells(plan),
            driver_options=dict(plan.driver_options),
            time_budget_s=budget_s if math.isfinite(budget_s) else None,
            resumable=request.resumable,
            keep_failed=request.keep_failed,
            keep_profiles=request.keep_profiles,
        ),
        allocators=tuple(_describe_allocator(allocator) for allocator in plan.allocators),
        scenarios=tuple(scenarios),
        driver_sha256=driver_sha256,
        plan_sha256="",
    )
    return replace(manifest, plan_sha256=manifest.digest_of_plan())


def _left_out_cells(plan: Plan) -> tuple[tuple[str, ...], ...]:
    """[allocator, scenario, probe] of what `only` leaves out, the floor's aside."""
    if plan.only is None:
        return ()
    every = (
        (allocator.name, workload.name, probe.value)
        for allocator in plan.allocators
        if allocator.correct
        for workload in plan.workloads
        for probe in plan.probes
    )
    return tuple(cell for cell in every if cell not in plan.only)


def _left_out(plan: Plan) -> dict[str, tuple[str, ...]]:
    """By allocator, the scenarios in which the plan has no cell of it."""
    if plan.only is None:
        return {}
    cells = {(allocator, scenario) for allocator, scenario, _ in plan.only}
    return {
        allocator.name: tuple(
            w.name for w in plan.workloads if (allocator.name, w.name) not in cells
        )
        for allocator in plan.allocators
        if allocator.correct
    }


def describe_scenario(scenario: Traced, trace: Trace, *, digest: str) -> ScenarioEntry:
    """What the scenario is, and what its trace came to; sizes in bytes."""
    entry = _described(scenario, trace, digest=digest)
    if isinstance(scenario, Recorded):
        return replace(entry, recording=_recording(scenario))
    return replace(
        entry,
        family=scenario.family,
        seed=scenario.seed,
        parameters=dict(scenario.parameters),
    )


def _recording(scenario: Recorded) -> RecordingEntry:
    said = scenario.provenance or Provenance(origin="")
    return RecordingEntry(
        path=scenario.path,
        changed=scenario.changed,
        paced=scenario.paced,
        labels=scenario.labels,
        origin=said.origin,
        command=said.command,
        recorded=said.recorded,
        allocator=said.allocator,
        threads=said.threads,
        never_freed=said.never_freed,
    )


def _described(scenario: Traced, trace: Trace, *, digest: str) -> ScenarioEntry:
    """What every trace has."""
    return ScenarioEntry(
        name=scenario.name,
        title=scenario.title,
        stands_for=scenario.stands_for,
        source=scenario.source,
        does_not_show=scenario.does_not_show,
        touch=scenario.touch.name.lower(),
        work_ns=scenario.work_ns,
        digest=digest,
        operations=len(trace.ops),
        operation_counts=trace.op_counts,
        threads=len(trace.threads),
        build_operations=trace.part_ops(Part.BUILD),
        drain_operations=trace.part_ops(Part.DRAIN),
        peak_live_bytes=trace.peak_live_bytes,
        requested_bytes=_requested_bytes(trace.ops),
        lane_operations=lane_loads(trace),
        span_operations=span(trace) if len(trace.ops) <= MAX_SPANNED else 0,
    )


def describe_program(program: Program) -> ScenarioEntry:
    """What the program is. Raises UsageError for a file of its that cannot be read."""
    return ScenarioEntry(
        name=program.name,
        title=program.title,
        stands_for=program.stands_for,
        source=program.source,
        does_not_show=program.does_not_show,
        seed=program.seed,
        digest=program.digest,
        program=ProgramEntry(**asdict(program.program)),
    )


def _requested_bytes(ops: Ops) -> int:
    allocates = kind_of(ops) <= Kind.ALIGNED_ALLOC
    return int(np.sum(ops["size"], where=allocates, dtype=np.int64))


def _describe_allocator(allocator: Allocator) -> AllocatorEntry:
    return AllocatorEntry(
        name=allocator.name,
        title=allocator.title,
        summary=allocator.summary,
        kind=allocator.kind,
        path=str(allocator.path) if allocator.path else None,
        sha256=allocator.sha256(),
        config=dict(allocator.config),
        environment=dict(allocator.environment),
        floor=not allocator.correct,
        source=None if allocator.source is None else _describe_source(allocator.source),
        ignored_settings=allocator.ignored_settings(),
    )


def _describe_source(source: Source) -> SourceEntry:
    return SourceEntry(path=str(source.path), cflags=source.cflags, folder=str(source.folder))
