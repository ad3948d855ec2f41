"""The plan of a run: which processes, in which order. Pure: nothing is started here.

Timed probes (throughput, latency) run once in every round, one process at a time, in an order
that is drawn anew for each round: first of the blocks, one a scenario and probe, then of the
allocators within each. So drift and neighbours fall on all cells alike, and what is compared is
measured one after the other. So does the memory probe of a trace with threads: what is resident
depends on how far they are apart, and that on the CPUs that they have.

The other probes run first, each process on a CPU of its own: allocators give memory back by the
clock, so a process that counts may not wait for another. A count may differ from process to
process: those that count run in COUNT_PROCESSES, the others once.
"""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from allocphase.process.callgrind import CACHE_SIM
from allocphase.process.driver import Job, TraceJob, padding
from allocphase.process.program import ProgramJob
from allocphase.scenario import Program

__all__ = [
    "CHECK_EVERY",
    "COUNT_PROCESSES",
    "FLOOR",
    "Plan",
    "ProgramWorkload",
    "Workload",
    "process_count",
    "program_workload",
    "round_jobs",
    "untimed_jobs",
]

# The null allocator: what the replay and the clock cost by themselves.
FLOOR = "null"
# The one of the driver's options that is for a single probe's processes.
CHECK_EVERY = "check-every"
# Of each cell that counts, at least. If two allocators count alike, the chance that all 4 processes
# of one lie above all 4 of the other is 1 in 70; of 3 it would be 1 in 20.
COUNT_PROCESSES = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class Workload:
    """A scenario's trace on disk. `paced`: a timed replay takes as long as the program at least,
    whatever the allocator. live_bytes: at its peak.
    """

    name: str
    trace: Path
    threads: int
    paced: bool = False
    live_bytes: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramWorkload:
    """A program with its files in the folder `inputs`; `threads`: how many CPUs it may use."""

    name: str
    program: Program
    inputs: Path
    threads: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """All that decides what is run; `seed` decides the order and the paddings.

    `only`: the (allocator, scenario, probe) triples to run, the floor's aside; None is all of them.
    """

    allocators: Sequence[Allocator]
    workloads: Sequence[Workload | ProgramWorkload]
    probes: Sequence[Probe]
    rounds: int
    seed: int
    timeout_s: float
    cpus: Sequence[int]
    syscall_backend: str = "auto"
    driver_options: dict[str, str] = field(default_factory=dict)
    only: frozenset[tuple[str, str, str]] | None = None
    quick: bool = False

    @property
    def count_processes(self) -> int:
        """How many processes of each cell count, at least: a first look has one."""
        return 1 if self.quick else COUNT_PROCESSES


def program_workload(program: Program, inputs: Path, *, cpus: int) -> ProgramWorkload:
    """With as many CPUs as it asks for; `cpus`: how many there are."""
    threads = program.program.cpus or cpus
    return ProgramWorkload(name=program.name, program=program, inputs=inputs, threads=threads)


def untimed_jobs(plan: Plan) -> list[Job]:
    """The processes that are not timed. Their order does not matter, nor what runs beside them."""
    rng = _rng(plan, "untimed")
    return _jobs(plan, _untimed_places(plan), rng, first_id=0, round_index=0)


def round_jobs(plan: Plan, round_index: int) -> list[Job]:
    """The timed processes of one round, in the order in which to run them.

    The order depends on the seed and the round alone, so that a round can be planned without the
    others: by a gate that does not know how many there will be, or by a run that is resumed.
    """
    rng = _rng(plan, str(round_index))
    blocks = _blocks(plan, round_index)
    rng.shuffle(blocks)
    for block in blocks:
        rng.shuffle(block)
    places = [place for block in blocks for place in block]
    first_id = len(_untimed_places(plan)) + sum(_round_size(plan, i) for i in range(round_index))
    return _jobs(plan, places, rng, first_id=first_id, round_index=round_index)


def process_count(plan: Plan) -> int:
    """How many processes the plan has in all."""
    timed = sum(_round_size(plan, round_index) for round_index in range(plan.rounds))
    return len(_untimed_places(plan)) + timed


_Cell = tuple[Allocator, Workload | ProgramWorkload, Probe]
_Place = tuple[_Cell, int]  # which process of its cell within the round


def _rng(plan: Plan, purpose: str) -> random.Random:
    return random.Random(f"{plan.seed}/{purpose}")  # noqa: S311 (an order, not a secret)


def _untimed_places(plan: Plan) -> list[_Place]:
    """Every cell once, then again those that count: a cell's processes are apart in time."""
    cells = [cell for block in _cells(plan, timed=False) for cell in block]
    return [
        (cell, repeat)
        for repeat in range(plan.count_processes)
        for cell in cells
        if repeat == 0 or cell[2].counts
    ]


def _blocks(plan: Plan, round_index: int) -> list[list[_Place]]:
    """Of what is timed: the allocators of one scenario and probe are one block."""
    return [
        [(cell, repeat) for cell in block]
        for block in _cells(plan, timed=True)
        for repeat in range(_repeats(plan, block[0][2], round_index))
    ]


def _repeats(plan: Plan, probe: Probe, round_index: int) -> int:
    """A plan of few rounds makes up in its first one for what a count would lack."""
    missing = plan.count_processes - plan.rounds
    return 1 + missing if probe.counts and round_index == 0 and missing > 0 else 1


def _round_size(plan: Plan, round_index: int) -> int:
    return sum(len(block) for block in _blocks(plan, round_index))


def _cells(plan: Plan, *, timed: bool) -> list[list[_Cell]]:
    """By scenario and probe, those without a cell left out."""
    blocks = [
        [
            cell
            for allocator in plan.allocators
            if _takes_part(plan, cell := (allocator, load, probe))
        ]
        for load in plan.workloads
        for probe in plan.probes
        if probe.of_programs == isinstance(load, ProgramWorkload)
        and probe.needs_the_machine(load.threads) == timed
    ]
    return [block for block in blocks if block]


def _takes_part(plan: Plan, cell: _Cell) -> bool:
    """The floor is only timed: its blocks overlap, and it needs no memory of its own. A program
    has none: it would not run.
    """
    allocator, workload, probe = cell
    if not allocator.correct:
        return probe.timed and not probe.of_programs
    return plan.only is None or (allocator.name, workload.name, probe.value) in plan.only


def _jobs(
    plan: Plan, places: Sequence[_Place], rng: random.Random, *, first_id: int, round_index: int
) -> list[Job]:
    return [
        _job(
            plan,
            cell,
            process_id=first_id + position,
            round_index=round_index,
            repeat=repeat,
            rng=rng,
        )
        for position, (cell, repeat) in enumerate(places)
    ]


def _job(
    plan: Plan,
    cell: _Cell,
    *,
    process_id: int,
    round_index: int,
    repeat: int,
    rng: random.Random,
) -> Job:
    allocator, workload, probe = cell
    drawn = padding(rng)
    common: dict[str, Any] = {
        "id": process_id,
        "round": round_index,
        "allocator": allocator,
        "scenario": workload.name,
        "probe": probe,
        "cpus": tuple(plan.cpus[: workload.threads]),  # more it cannot use
        "timeout_s": plan.timeout_s,
        "repeat": repeat,
        # Where a stack lies may decide which way an allocator takes: here one way is wanted.
        "padding_bytes": 0 if probe is Probe.INSTRUCTIONS else drawn,
    }
    if isinstance(workload, ProgramWorkload):
        return ProgramJob(**common, program=workload.program, inputs=workload.inputs)
    return TraceJob(**common, trace=workload.trace, options=_options(plan, probe))


def _options(plan: Plan, probe: Probe) -> dict[str, str]:
    options = dict(plan.driver_options)
    if probe is not Probe.VERIFY:
        options.pop(CHECK_EVERY, None)
    if probe is not Probe.INSTRUCTIONS:
        options.pop(CACHE_SIM, None)
    if probe.joined:
        options["fixed-addresses"] = "1"
    if probe is Probe.SYSCALLS:
        options["syscall-backend"] = plan.syscall_backend
    return options
