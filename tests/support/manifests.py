"""run.json of runs that tests write: the types that a run writes it with, filled plausibly."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from allocphase.probe.probe import TRACE_PROBES
from allocphase.store.manifest import AllocatorEntry, Manifest, PlanEntry, ScenarioEntry

__all__ = ["allocator_entry", "manifest_of", "plan_entry", "scenario_entry"]


def allocator_entry(name: str, **changes: Any) -> AllocatorEntry:
    """A plug-in of that name; the floor is called null."""
    entry = AllocatorEntry(
        name=name,
        title=name,
        summary=f"What {name} is.",
        kind="plugin",
        path=f"/opt/{name}.so",
        sha256="0" * 64,
        config={},
        environment={},
        floor=name == "null",
    )
    return replace(entry, **changes)


def scenario_entry(name: str, operations: int, **changes: Any) -> ScenarioEntry:
    """A scenario of one thread."""
    entry = ScenarioEntry(
        name=name,
        title=f"Title of {name}",
        stands_for="A program.",
        source="Ours.",
        does_not_show="Anything else.",
        family="batch",
        seed=1,
        touch="first",
        work_ns=0,
        parameters={},
        digest="1" * 64,
        operations=operations,
        operation_counts={},
        threads=1,
        build_operations=0,
        drain_operations=0,
        peak_live_bytes=100 * operations,
        requested_bytes=1,
    )
    return replace(entry, **changes)


def plan_entry(**changes: Any) -> PlanEntry:
    """One round of every probe, which cannot be resumed."""
    entry = PlanEntry(
        probes=TRACE_PROBES,
        rounds=1,
        seed=7,
        timeout_s=60.0,
        cpus=(0,),
        syscall_backend="auto",
        processes=0,
        quick=False,
        left_out={},
        left_out_cells=(),
        driver_options={},
        time_budget_s=None,
        resumable=False,
    )
    return replace(entry, **changes)


def manifest_of(
    allocators: Sequence[AllocatorEntry], scenarios: Sequence[ScenarioEntry], **changes: Any
) -> Manifest:
    """A run of them."""
    manifest = Manifest(
        label="test",
        started="2026-01-02T03:04:05+00:00",
        command=("allocphase", "run"),
        environment={"cpu": "of a test"},
        plan=plan_entry(),
        allocators=tuple(allocators),
        scenarios=tuple(scenarios),
        driver_sha256="2" * 64,
        plan_sha256="",
    )
    changed = replace(manifest, **changes)
    return replace(changed, plan_sha256=changed.digest_of_plan())
