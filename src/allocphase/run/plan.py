"""The plan of a run: which processes, in which order. Pure: nothing is started here.

Timed probes (throughput, latency) run once in every round, one process at a time, in an order
that is drawn anew for each round, so that drift and neighbours fall on all cells alike; the
allocators of one scenario and probe are neighbours in time, since they are compared. So runs the
memory probe of a trace with threads: what is resident depends on how far they are apart, and that
on the CPUs that they have. The other probes run first, each process on a CPU of its own: allocators
give memory back by the clock, so a process that counts may not wait for another. What counts runs
COUNT_PROCESSES times: a count has a distribution like anything else.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from allocphase.process.driver import Job, padding

__all__ = [
    "COUNT_PROCESSES",
    "FLOOR",
    "Plan",
    "Workload",
    "process_count",
    "round_jobs",
    "untimed_jobs",
]

# The null allocator: what the replay and the clock cost by themselves.
FLOOR = "null"
# Of each cell that counts: by chance, 4 of one arm lie apart from 4 of another 1 time in 70.
COUNT_PROCESSES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A scenario's trace on disk."""

    name: str
    trace: Path
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that decides what is run; `seed` decides the order and the paddings.

    `only`: the (allocator, scenario, probe) triples to run, the floor's aside; None is all of them.
    """

    allocators: Sequence[Allocator]
    workloads: Sequence[Workload]
    probes: Sequence[Probe]
    rounds: int
    seed: int
    timeout_s: float
    cpus: Sequence[int]
    syscall_backend: str = "auto"
    driver_options: dict[str, str] = field(default_factory=dict)
    only: frozenset[tuple[str, str, str]] | None = None


def untimed_jobs(plan: Plan) -> list[Job]:
    """The processes that are not timed. Their order does not matter, nor what runs beside them."""
    rng = _rng(plan, "untimed")
    return _jobs(plan, _untimed(plan), rng, first_id=0, round_index=0)


def round_jobs(plan: Plan, round_index: int) -> list[Job]:
    """The timed processes of one round, in the order in which to run them.

    The order depends on the seed and the round alone, so that a round can be planned without the
    others: by a gate that does not know how many there will be, or by a run that is resumed.
    """
    rng = _rng(plan, str(round_index))
    blocks: dict[tuple[str, Probe], list[_Process]] = {}
    for allocator, workload, probe in _cells(plan, timed=True):
        blocks.setdefault((workload.name, probe), []).append((allocator, workload, probe, 0))
    shuffled = list(blocks.values())
    rng.shuffle(shuffled)
    for block in shuffled:
        rng.shuffle(block)
    processes = [process for block in shuffled for process in block]
    first_id = len(_untimed(plan)) + round_index * len(processes)
    return _jobs(plan, processes, rng, first_id=first_id, round_index=round_index)


def process_count(plan: Plan) -> int:
    """How many processes the plan has in all."""
    return len(_untimed(plan)) + plan.rounds * len(_cells(plan, timed=True))


_Cell = tuple[Allocator, Workload, Probe]
_Process = tuple[Allocator, Workload, Probe, int]  # the last: which one of its cell in the round


def _rng(plan: Plan, purpose: str) -> random.Random:
    return random.Random(f"{plan.seed}/{purpose}")  # noqa: S311 (an order, not a secret)


def _cells(plan: Plan, *, timed: bool) -> list[_Cell]:
    return [
        (allocator, workload, probe)
        for allocator in plan.allocators
        for workload in plan.workloads
        for probe in plan.probes
        if probe.needs_the_machine(workload.threads) == timed
        and _takes_part(plan, (allocator, workload, probe))
    ]


def _untimed(plan: Plan) -> list[_Process]:
    return [
        (*cell, repeat)
        for cell in _cells(plan, timed=False)
        for repeat in range(COUNT_PROCESSES if cell[2].counts else 1)
    ]


def _takes_part(plan: Plan, cell: _Cell) -> bool:
    """The floor is only timed: its blocks overlap, and it needs no memory of its own."""
    allocator, workload, probe = cell
    if not allocator.correct:
        return probe.timed
    return plan.only is None or (allocator.name, workload.name, probe.value) in plan.only


def _jobs(
    plan: Plan,
    processes: Sequence[_Process],
    rng: random.Random,
    *,
    first_id: int,
    round_index: int,
) -> list[Job]:
    return [
        Job(
            id=first_id + position,
            round=round_index,
            allocator=allocator,
            scenario=workload.name,
            trace=workload.trace,
            probe=probe,
            cpus=tuple(plan.cpus[: workload.threads]),  # more it cannot use
            timeout_s=plan.timeout_s,
            padding_bytes=padding(rng),
            repeat=repeat,
            options=_options(plan, probe),
        )
        for position, (allocator, workload, probe, repeat) in enumerate(processes)
    ]


def _options(plan: Plan, probe: Probe) -> dict[str, str]:
    options = dict(plan.driver_options)
    if probe.joined:
        options["fixed-addresses"] = "1"
    if probe is Probe.SYSCALLS:
        options["syscall-backend"] = plan.syscall_backend
    return options
