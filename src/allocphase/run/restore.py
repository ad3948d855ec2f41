"""Reads from run.json what was planned: the way back from `manifest.describe_run`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocphase.allocator import Allocator
from allocphase.errors import UsageError
from allocphase.files.checks import (
    COUNT,
    FLAG,
    NAME,
    NUMBER,
    POSITIVE,
    TEXT,
    anything,
    entries,
    listing,
    nullable,
    one_of,
    table,
)
from allocphase.probe.probe import Probe
from allocphase.run.plan import Plan, Workload
from allocphase.run.traces import trace_path
from allocphase.scenario import Scenario
from allocphase.scenario.families import FAMILIES, ParameterError
from allocphase.trace.records import Touch

__all__ = ["Recalled", "recall"]

Manifest = Mapping[str, Any]

_TOUCHES = {touch.name.lower(): touch for touch in Touch}
_PLAN = table(
    {
        "probes": listing(one_of(tuple(Probe))),
        "rounds": COUNT,
        "seed": COUNT,
        "timeout_s": POSITIVE,
        "cpus": listing(COUNT, at_least=1),
        "syscall_backend": TEXT,
        "driver_options": entries(TEXT),
        "left_out_cells": listing(listing(TEXT, length=3)),
        "time_budget_s": nullable(NUMBER),
    }
)
_ALLOCATOR = table(
    {
        **dict.fromkeys(("title", "summary"), TEXT),
        "name": NAME,
        "kind": one_of(("plugin", "preload", "libc")),
        **dict.fromkeys(("path", "sha256"), nullable(TEXT)),
        **dict.fromkeys(("config", "environment"), entries(TEXT)),
        "floor": FLAG,
    }
)
_SCENARIO = table(
    {
        **dict.fromkeys(("title", "stands_for", "source", "does_not_show", "digest"), TEXT),
        "name": NAME,
        "family": one_of(FAMILIES),
        "seed": COUNT,
        "touch": one_of(_TOUCHES),
        "parameters": entries(anything),
        "threads": COUNT,
    }
)
_RESUMABLE = table(
    {
        "plan": _PLAN,
        "allocators": listing(_ALLOCATOR),
        "scenarios": listing(_SCENARIO),
        **dict.fromkeys(("driver_sha256", "plan_sha256"), TEXT),
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Recalled:
    """`scenarios` are the plan's workloads, in its order."""

    plan: Plan
    scenarios: tuple[Scenario, ...]
    time_budget_s: float


def recall(run: Path, manifest: Manifest) -> Recalled:
    """Raises UsageError with the key where run.json is not what this version wrote."""
    if fault := _RESUMABLE(manifest):
        raise UsageError(f"{run / 'run.json'}: {fault[1:]}")
    try:
        scenarios = tuple(_scenario(entry) for entry in manifest["scenarios"])
    except ParameterError as error:
        raise UsageError(f"{run / 'run.json'}: scenarios: parameters: {error}") from None
    budget_s = manifest["plan"]["time_budget_s"]
    return Recalled(
        plan=_plan(run, manifest),
        scenarios=scenarios,
        time_budget_s=math.inf if budget_s is None else budget_s,
    )


def _plan(run: Path, manifest: Manifest) -> Plan:
    said = manifest["plan"]
    allocators = [_allocator(entry) for entry in manifest["allocators"]]
    workloads = [
        Workload(name=entry["name"], trace=trace_path(run, index), threads=entry["threads"])
        for index, entry in enumerate(manifest["scenarios"])
    ]
    every = {(a.name, w.name, p) for a in allocators for w in workloads for p in said["probes"]}
    left_out = {tuple(cell) for cell in said["left_out_cells"]}
    return Plan(
        allocators=allocators,
        workloads=workloads,
        probes=[Probe(name) for name in said["probes"]],
        rounds=said["rounds"],
        seed=said["seed"],
        timeout_s=said["timeout_s"],
        cpus=said["cpus"],
        syscall_backend=said["syscall_backend"],
        driver_options=said["driver_options"],
        only=frozenset(every - left_out) if left_out else None,
    )


def _allocator(entry: Manifest) -> Allocator:
    return Allocator(
        **{key: entry[key] for key in ("name", "title", "summary", "kind")},
        path=None if entry["path"] is None else Path(entry["path"]),
        config=entry["config"],
        environment=entry["environment"],
        correct=not entry["floor"],
    )


def _scenario(entry: Manifest) -> Scenario:
    family = FAMILIES[entry["family"]]
    return Scenario(
        **{key: entry[key] for key in ("name", "title", "stands_for", "source", "does_not_show")},
        family=family.name,
        seed=entry["seed"],
        touch=_TOUCHES[entry["touch"]],
        parameters=family.read(entry["parameters"]),
        default=False,
    )
