"""What run.json says: enough to judge the run without this machine, and to run the same again."""

from __future__ import annotations

import datetime
import hashlib
import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from allocphase.allocator import Allocator
from allocphase.machine.environment import environment
from allocphase.run.plan import Plan, process_count
from allocphase.run.request import Request
from allocphase.scenario import Scenario
from allocphase.trace.records import Kind, Ops, Trace, kind_of

__all__ = ["describe_run", "describe_scenario", "plan_digest"]

_PLANNED = ("plan", "allocators", "scenarios", "driver_sha256")


def describe_run(
    request: Request,
    plan: Plan,
    started: datetime.datetime,
    scenarios: Sequence[dict[str, object]],
    *,
    driver_sha256: str,
) -> dict[str, object]:
    """The manifest of a run that is about to start; `scenarios` by `describe_scenario`."""
    budget_s = request.time_budget_s
    manifest: dict[str, object] = {
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
            "processes": process_count(plan),
            "quick": request.quick,
            "left_out": _left_out(plan),
            "left_out_cells": _left_out_cells(plan),
            "driver_options": dict(plan.driver_options),
            "time_budget_s": budget_s if math.isfinite(budget_s) else None,
            "resumable": request.resumable,
        },
        "allocators": [_describe_allocator(allocator) for allocator in plan.allocators],
        "scenarios": list(scenarios),
        "driver_sha256": driver_sha256,
    }
    return {**manifest, "plan_sha256": plan_digest(manifest)}


def plan_digest(manifest: Mapping[str, Any]) -> str:
    """Of all that decides which processes run, and on what: a resumed run must have the same."""
    planned = {key: manifest[key] for key in _PLANNED}
    text = json.dumps(planned, sort_keys=True, ensure_ascii=False)
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _left_out_cells(plan: Plan) -> list[list[str]]:
    """[allocator, scenario, probe] of what `only` leaves out, the floor's aside."""
    if plan.only is None:
        return []
    every = (
        (allocator.name, workload.name, probe.value)
        for allocator in plan.allocators
        if allocator.correct
        for workload in plan.workloads
        for probe in plan.probes
    )
    return [list(cell) for cell in every if cell not in plan.only]


def _left_out(plan: Plan) -> dict[str, list[str]]:
    """By allocator, the scenarios in which the plan has no cell of it."""
    if plan.only is None:
        return {}
    cells = {(allocator, scenario) for allocator, scenario, _ in plan.only}
    return {
        allocator.name: [w.name for w in plan.workloads if (allocator.name, w.name) not in cells]
        for allocator in plan.allocators
        if allocator.correct
    }


def describe_scenario(scenario: Scenario, trace: Trace, *, digest: str) -> dict[str, object]:
    """What the scenario is, and what its trace came to; sizes in bytes."""
    return {
        "name": scenario.name,
        "title": scenario.title,
        "stands_for": scenario.stands_for,
        "source": scenario.source,
        "does_not_show": scenario.does_not_show,
        "family": scenario.family,
        "seed": scenario.seed,
        "touch": scenario.touch.name.lower(),
        "parameters": dict(scenario.parameters),
        "digest": digest,
        "operations": len(trace.ops),
        "operation_counts": trace.op_counts,
        "threads": len(trace.threads),
        "build_operations": trace.build_ops,
        "peak_live_bytes": trace.peak_live_bytes,
        "requested_bytes": _requested_bytes(trace.ops),
    }


def _requested_bytes(ops: Ops) -> int:
    allocates = kind_of(ops) <= Kind.ALIGNED_ALLOC
    return int(np.sum(ops["size"], where=allocates, dtype=np.int64))


def _describe_allocator(allocator: Allocator) -> dict[str, Any]:
    return {
        "name": allocator.name,
        "title": allocator.title,
        "summary": allocator.summary,
        "kind": allocator.kind,
        "path": str(allocator.path) if allocator.path else None,
        "sha256": allocator.sha256(),
        "config": dict(allocator.config),
        "environment": dict(allocator.environment),
        "floor": not allocator.correct,
    }
