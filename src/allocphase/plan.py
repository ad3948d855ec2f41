"""The plan of a run: which processes, in which order. Pure: nothing is started here.

Timed probes (throughput, latency) run once in every round, the others in the first round only:
what they count does not vary. Within a round the order is drawn at random from the recorded
seed, so that drift and neighbours fall on all cells alike.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.driver import Job, Probe, padding

__all__ = ["FLOOR", "TIMED", "Plan", "Workload", "process_count", "round_jobs"]

TIMED = (Probe.THROUGHPUT, Probe.LATENCY)
# The null allocator: what the replay and the clock cost by themselves.
FLOOR = "null"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A scenario's trace on disk."""

    name: str
    trace: Path
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that decides what is run; `seed` decides the order and the paddings."""

    allocators: Sequence[Allocator]
    workloads: Sequence[Workload]
    probes: Sequence[Probe]
    rounds: int
    seed: int
    timeout_s: float
    cpus: Sequence[int]
    syscall_backend: str = "auto"
    driver_options: dict[str, str] = field(default_factory=dict)


def round_jobs(plan: Plan, round_index: int) -> list[Job]:
    """The processes of one round, in the order in which to run them.

    The order depends on the seed and the round alone, so that a round can be planned without the
    others: by a gate that does not know how many there will be, or by a run that is resumed.
    """
    rng = random.Random(f"{plan.seed}/{round_index}")  # noqa: S311 (an order, not a secret)
    cells = _cells(plan, round_index)
    rng.shuffle(cells)
    first_id = _processes_before(plan, round_index)
    return [
        Job(
            id=first_id + position,
            round=round_index,
            allocator=allocator,
            scenario=workload.name,
            trace=workload.trace,
            probe=probe,
            cpus=tuple(plan.cpus),
            timeout_s=plan.timeout_s,
            padding_bytes=padding(rng),
            options=_options(plan, probe),
        )
        for position, (allocator, workload, probe) in enumerate(cells)
    ]


def process_count(plan: Plan) -> int:
    """How many processes the plan's rounds have in all."""
    return _processes_before(plan, plan.rounds)


def _processes_before(plan: Plan, round_index: int) -> int:
    if round_index == 0:
        return 0
    return len(_cells(plan, 0)) + (round_index - 1) * len(_cells(plan, 1))


def _cells(plan: Plan, round_index: int) -> list[tuple[Allocator, Workload, Probe]]:
    return [
        (allocator, workload, probe)
        for allocator in plan.allocators
        for workload in plan.workloads
        for probe in plan.probes
        if _takes_part(allocator, probe, round_index)
    ]


def _takes_part(allocator: Allocator, probe: Probe, round_index: int) -> bool:
    """The floor is only timed: its blocks overlap, and it needs no memory of its own."""
    if not allocator.correct:
        return probe in TIMED
    return probe in TIMED or round_index == 0


def _options(plan: Plan, probe: Probe) -> dict[str, str]:
    if probe is Probe.SYSCALLS:
        return {**plan.driver_options, "syscall-backend": plan.syscall_backend}
    return dict(plan.driver_options)
