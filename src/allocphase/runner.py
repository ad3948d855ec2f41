"""Runs a plan: one process after the other, each on disk before the next one starts.

A session is one run directory being filled, a round at a time: `run` takes all the rounds of the
plan, a gate takes rounds until it has decided.
"""

from __future__ import annotations

import datetime
import math
import queue
import re
import secrets
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.allocator import Allocator, resolve
from allocphase.driver import Executor, Job, Outcome, Probe
from allocphase.errors import AllocphaseError, UsageError
from allocphase.machine import timed_cpus
from allocphase.manifest import describe_run, describe_scenario
from allocphase.plan import FLOOR, TIMED, Plan, Workload, process_count, round_jobs, untimed_jobs
from allocphase.result import ProcessRecord, RunWriter, is_slow, ops_arrays
from allocphase.scenario import Scenario, generate
from allocphase.trace import write

__all__ = ["Progress", "Request", "Session", "draw_seed", "run"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Request:
    """What the user asked for. `out`: the folder that run directories go into.

    `quick`: short passes, for a first look; such a run is marked and never gated. A run that would
    pass `time_budget_s` ends after a whole round, the first at the earliest. `only`: as in Plan.
    """

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
    quick: bool = False
    only: frozenset[tuple[str, str, str]] | None = None
    time_budget_s: float = math.inf


# One warm pass of 4 ms instead of five of 20: a process is short, and its figure less steady.
QUICK_OPTIONS = {"pass-ns": "4000000", "passes": "1"}

# Called after each process with (job, number of jobs done, number of jobs).
Progress = Callable[[Job, int, int], None]


class Session:
    """A run directory being filled. `path` is the directory, `plan` what is run into it.

    Raises UsageError for scenarios that make no valid trace, AllocphaseError when out/ cannot be
    written or the driver itself fails. What finished before that stays in the run directory.
    """

    def __init__(self, request: Request, executor: Executor, *, progress: Progress) -> None:
        started = datetime.datetime.now(tz=datetime.UTC)
        allocators = _with_floor(request)
        self.path = _new_folder(request, started)
        self._executor = executor
        self._progress = progress
        self._writer = RunWriter(self.path)
        self._done = 0
        self._slow: set[tuple[str, str]] = set()
        workloads, entries = _write_traces(request.scenarios, self._writer)
        self.plan = Plan(
            allocators=allocators,
            workloads=workloads,
            probes=request.probes,
            rounds=request.rounds,
            seed=request.seed,
            timeout_s=request.timeout_s,
            cpus=timed_cpus(),
            syscall_backend=request.syscall_backend,
            driver_options=QUICK_OPTIONS if request.quick else {},
            only=request.only,
        )
        self._total = process_count(self.plan)
        self._writer.write_manifest(
            describe_run(
                self.plan,
                started,
                entries,
                label=request.label,
                command=request.command,
                quick=request.quick,
            )
        )

    def run_round(self, round_index: int) -> list[ProcessRecord]:
        """Runs one round to its end; returns its records, which are in the journal by then.

        The first round begins with what is not timed, as many processes at once as there are
        CPUs. Timed processes have the machine to themselves. A slow cell is left out of later
        rounds: what is a hundred times slower than the others needs no interval, and would take
        the time that they do need.
        """
        records = self._run_untimed() if round_index == 0 else []
        for job in round_jobs(self.plan, round_index):
            cell = (job.allocator.name, job.scenario)
            if cell in self._slow and round_index > 0:
                self._total -= 1
                continue
            outcome = self._executor.run(job)
            records.append(self._keep(job, outcome))
            if is_slow(outcome.result):
                self._slow.add(cell)
        return records

    def _run_untimed(self) -> list[ProcessRecord]:
        """Each worker has a CPU of its own; the journal is written by this thread alone."""
        idle = queue.SimpleQueue[int]()
        for cpu in self.plan.cpus:
            idle.put(cpu)

        def run_on_idle_cpu(job: Job) -> tuple[Job, Outcome]:
            first = idle.get()
            others = [cpu for cpu in job.cpus if cpu != first]
            try:
                return job, self._executor.run(replace(job, cpus=(first, *others)))
            finally:
                idle.put(first)

        with ThreadPoolExecutor(max_workers=len(self.plan.cpus)) as pool:
            waiting = [pool.submit(run_on_idle_cpu, job) for job in untimed_jobs(self.plan)]
            return [self._keep(*future.result()) for future in as_completed(waiting)]

    def _keep(self, job: Job, outcome: Outcome) -> ProcessRecord:
        record = _record(job, outcome)
        self._writer.add(record, outcome.arrays)
        self._done += 1
        self._progress(job, self._done, self._total)
        return record

    def close(self) -> None:
        """Removes the traces: run.json can make them again, and they are the bulk of a run."""
        for path in (self.path / "traces").iterdir():
            path.unlink()
        (self.path / "traces").rmdir()


def run(request: Request, executor: Executor, *, progress: Progress) -> Path:
    """Measures everything that was asked for; returns the run directory. Raises as Session."""
    start = time.monotonic()
    session = Session(request, executor, progress=progress)
    for round_index in range(request.rounds):
        round_start = time.monotonic()
        session.run_round(round_index)
        now = time.monotonic()
        if now - start + (now - round_start) > request.time_budget_s:
            break
    session.close()
    return session.path


def draw_seed() -> int:
    """A seed for the order of processes; it is recorded, so any order can be had again."""
    return secrets.randbelow(2**32)


def _with_floor(request: Request) -> tuple[Allocator, ...]:
    """Every timed figure has the null allocator's beside it."""
    chosen = tuple(request.allocators)
    if any(not a.correct for a in chosen) or not set(TIMED) & set(request.probes):
        return chosen
    if any(a.name == FLOOR for a in chosen):
        raise UsageError(f"allocator {FLOOR!r} is the floor: give yours another NAME")
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


def _write_traces(
    scenarios: Sequence[Scenario], writer: RunWriter
) -> tuple[list[Workload], list[dict[str, object]]]:
    traces = writer.path / "traces"
    traces.mkdir()
    workloads: list[Workload] = []
    entries: list[dict[str, object]] = []
    for index, chosen in enumerate(scenarios):
        made = generate(chosen)
        path = traces / f"{index}.trace"
        digest = write(made, path)
        writer.write_operations(index, ops_arrays(made.ops, made.threads["op_count"]))
        workloads.append(Workload(name=chosen.name, trace=path, threads=len(made.threads)))
        entries.append(describe_scenario(chosen, made, digest=digest))
    return workloads, entries


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
