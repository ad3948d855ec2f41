"""Reads from run.json what was planned: the way back from `describe.describe_run`."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase.allocator import Allocator, Source
from allocphase.errors import UsageError, unknown
from allocphase.files.typed import FieldError, plain, read
from allocphase.operation import TOUCHES
from allocphase.run.plan import Plan, Workload, program_workload
from allocphase.run.traces import inputs_path, trace_path
from allocphase.scenario import AnyScenario, Program, Recorded, Scenario, is_paced
from allocphase.scenario.families import FAMILIES
from allocphase.scenario.program import ProgramTable
from allocphase.store.manifest import (
    AllocatorEntry,
    Manifest,
    ProgramEntry,
    RecordingEntry,
    ScenarioEntry,
    SourceEntry,
)

__all__ = ["Restored", "restore"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Restored:
    """`scenarios` are the plan's workloads, in its order."""

    plan: Plan
    scenarios: tuple[AnyScenario, ...]
    time_budget_s: float


def restore(run: Path, manifest: Manifest) -> Restored:
    """Raises UsageError with the key where run.json names what this version does not have."""
    where = f"{run / 'run.json'}: scenarios"
    scenarios = tuple(
        _scenario(entry, where=f"{where}[{index}]")
        for index, entry in enumerate(manifest.scenarios)
    )
    budget_s = manifest.plan.time_budget_s
    return Restored(
        plan=_plan(run, manifest, scenarios),
        scenarios=scenarios,
        time_budget_s=math.inf if budget_s is None else budget_s,
    )


def _plan(run: Path, manifest: Manifest, scenarios: Sequence[AnyScenario]) -> Plan:
    said = manifest.plan
    allocators = [_allocator(entry) for entry in manifest.allocators]
    workloads = [
        program_workload(found, inputs_path(run, index), cpus=len(said.cpus))
        if isinstance(found, Program)
        else Workload(
            name=entry.name,
            trace=trace_path(run, index),
            threads=entry.threads,
            paced=is_paced(found),
            live_bytes=entry.peak_live_bytes,
        )
        for index, (entry, found) in enumerate(zip(manifest.scenarios, scenarios, strict=True))
    ]
    every = {(a.name, w.name, p.value) for a in allocators for w in workloads for p in said.probes}
    left_out = {(allocator, name, probe) for allocator, name, probe in said.left_out_cells}
    return Plan(
        allocators=allocators,
        workloads=workloads,
        probes=said.probes,
        rounds=said.rounds,
        seed=said.seed,
        timeout_s=said.timeout_s,
        cpus=said.cpus,
        syscall_backend=said.syscall_backend,
        driver_options=dict(said.driver_options),
        only=frozenset(every - left_out) if left_out else None,
        quick=said.quick,
    )


def _allocator(entry: AllocatorEntry) -> Allocator:
    return Allocator(
        name=entry.name,
        title=entry.title,
        summary=entry.summary,
        kind=entry.kind,
        path=None if entry.path is None else Path(entry.path),
        config=entry.config,
        environment=entry.environment,
        correct=not entry.floor,
        source=None if entry.source is None else _source(entry.source),
    )


def _source(entry: SourceEntry) -> Source:
    return Source(path=Path(entry.path), cflags=entry.cflags, folder=Path(entry.folder))


def _scenario(entry: ScenarioEntry, *, where: str) -> AnyScenario:
    if entry.program is not None:
        return _program(entry, entry.program, where=where)
    if entry.touch not in TOUCHES:
        raise UsageError(unknown(f"{where}.touch", entry.touch, TOUCHES))
    if entry.recording is not None:
        return _recorded(entry, entry.recording)
    family = FAMILIES.get(entry.family)
    if family is None:
        raise UsageError(unknown(f"{where}.family", entry.family, FAMILIES))
    try:
        parameters = family.read(entry.parameters)
    except FieldError as error:
        raise UsageError(f"{where}.parameters: {error}") from None
    return Scenario(
        name=entry.name,
        title=entry.title,
        stands_for=entry.stands_for,
        source=entry.source,
        does_not_show=entry.does_not_show,
        family=family.name,
        seed=entry.seed,
        touch=TOUCHES[entry.touch],
        work_ns=entry.work_ns,
        parameters=parameters,
        default=False,
    )


def _recorded(entry: ScenarioEntry, said: RecordingEntry) -> Recorded:
    return Recorded(
        name=entry.name,
        title=entry.title,
        stands_for=entry.stands_for,
        source=entry.source,
        does_not_show=entry.does_not_show,
        path=said.path,
        touch=TOUCHES[entry.touch],
        changed=said.changed,
        paced=said.paced,
        validation=None,
        program=None,
        work_ns=entry.work_ns,
        default=False,
        provenance=None,
    )


def _program(entry: ScenarioEntry, said: ProgramEntry, *, where: str) -> Program:
    try:
        table = read(ProgramTable, plain(said))
    except FieldError as error:
        raise UsageError(str(error.under(f"{where}.program"))) from None
    return Program(
        name=entry.name,
        title=entry.title,
        stands_for=entry.stands_for,
        source=entry.source,
        does_not_show=entry.does_not_show,
        seed=entry.seed,
        default=False,
        program=table,
    )
