"""Runs a plan: one process after the other, each on disk before the next one starts.

A session is one run directory being filled, a round at a time: `fill` takes all the rounds of the
plan, a gate takes rounds until it has decided.
"""

from __future__ import annotations

import queue
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import TypeAlias

from allocphase import interruption
from allocphase.errors import AllocphaseError
from allocphase.files.durable import named_errors, require_room
from allocphase.files.regular import refuse_linked_folder
from allocphase.interruption import InterruptionError
from allocphase.machine.lock import MachineLock
from allocphase.machine.memory import half_of_memory
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.probe.status import Status
from allocphase.process.driver import Executor, Job, Outcome, TraceJob
from allocphase.process.turns import PASS_NS, PASSES, run_in_turns
from allocphase.run.failed import keep_failed
from allocphase.run.plan import (
    COUNT_PROCESSES,
    FLOOR,
    Workload,
    process_count,
    round_jobs,
    untimed_jobs,
)
from allocphase.run.prepare import Begun, begin
from allocphase.run.progress_bar import Progress
from allocphase.run.request import Request
from allocphase.run.traces import remove_traces
from allocphase.store.reader import resume_command
from allocphase.store.record import Event, ProcessRecord
from allocphase.store.writer import RunWriter
from allocphase.text.units import counted

__all__ = ["PROFILES", "Session", "compared_groups", "fill", "run"]


# What a process leaves at most, but for what grows with the trace and is less than it.
FILES_BYTES = 4 << 20

# Of a run directory, where callgrind's profiles are kept.
PROFILES = "profiles"
# Of what is live, what an allocator may take for it: those that take turns are there at once.
OVER_LIVE = 4

# Of an allocator's or a scenario's name in that of a file.
MOST_LETTERS = 60

_Future: TypeAlias = "Future[tuple[Job, Outcome]]"
# What of a process that has just run goes into the run directory.
Keep: TypeAlias = Callable[[ProcessRecord, Arrays], tuple[ProcessRecord, Arrays]]


def keep_all(record: ProcessRecord, arrays: Arrays) -> tuple[ProcessRecord, Arrays]:
    """What a run keeps: any question may come later."""
    return record, arrays


class Session:
    """A run directory being filled. `path` is the directory, `plan` what is run into it.

    A context: left without an exception, the run has ended as it should; left in any way, its
    traces are gone and its locks are free. What finished stays in the run directory.

    All processes of a cell time as many replays a pass as its first one found that it takes;
    `arms_share_replays`: those of a scenario do, where allocators hardly differ. All of a paced
    scenario do as much work between calls as its first one found that it takes. `keep`: what is
    kept of each process.

    Every method raises AllocphaseError when the directory cannot be written or the driver itself
    fails, and InterruptionError.
    """

    def __init__(
        self,
        begun: Begun,
        executor: Executor,
        *,
        progress: Progress,
        arms_share_replays: bool = False,
        keep: Keep = keep_all,
    ) -> None:
        self.path = begun.path
        self.plan = begun.plan
        self._executor = executor
        self._progress = progress
        self._writer = RunWriter(begun.path)
        self._lock = begun.lock
        self._machine = MachineLock(begun.path)
        self._finished = {record.id: record for record in begun.finished}
        self._done = len(begun.finished)
        self._total = process_count(begun.plan)
        self._slow: set[tuple[str, str]] = set()
        self._paced = {w.name for w in begun.plan.workloads if isinstance(w, Workload) and w.paced}
        self._arms_share_replays = arms_share_replays
        self._what_to_keep = keep
        self._keep_failed = begun.keep_failed
        self._keep_profiles = begun.keep_profiles
        self._replays: dict[tuple[str, str], int] = {}
        self._work_iterations: dict[str, int] = {}
        for record in begun.finished:
            self._learn(record)

    def __enter__(self) -> Session:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if kind is None:
                remove_traces(self.path)  # first: nobody comes back to a run that has ended
                self._writer.tell(Event.ENDED, counted(self._done, "process"))
        finally:
            self.close()

    @property
    def waited_s(self) -> float:
        """How long other runs had the machine, while this one waited to time."""
        return self._machine.waited_s

    def run_round(self, round_index: int) -> list[ProcessRecord]:
        """Runs one round to its end; returns its new records, which are in the journal by then.

        The first round begins with what is not timed, as many processes at once as there are
        CPUs. Timed processes have the machine to themselves. A slow cell is left out of later
        rounds: what is a hundred times slower than the others needs no interval, and would take
        the time that they do need. Its counts are not, as long as they are of too few processes.
        What an earlier part of the run has finished is not run again, and decides the same.
        """
        records = self.run_untimed() if round_index == 0 else []
        for job in round_jobs(self.plan, round_index):
            cell = (job.allocator.name, job.scenario)
            record = self._finished.get(job.id)
            counts = job.probe.counts and round_index < COUNT_PROCESSES
            if record is None and cell in self._slow and round_index > 0 and not counts:
                self._total -= 1
                continue
            if record is None:
                record = self._measure(job)
                records.append(record)
            if record.result.is_slow and job.scenario not in self._paced:
                self._slow.add(cell)
        return records

    def run_untimed(self) -> list[ProcessRecord]:
        """What the plan has that is not timed, and that no earlier part of the run has finished."""
        jobs = [job for job in untimed_jobs(self.plan) if job.id not in self._finished]
        return self.run_beside(jobs)

    def run_jobs(self, jobs: Sequence[Job]) -> list[ProcessRecord]:
        """Runs these, one at a time, whatever the plan says of them; their ids must be new."""
        self._total = max(self._total, self._done + len(jobs))  # the plan may not know of them
        return [self._measure(job) for job in jobs]

    def run_compared(self, jobs: Sequence[Job]) -> list[ProcessRecord]:
        """The same; but the allocators that are timed on one trace take turns, as those do that
        are compared (`process.turns`), where their memory is enough for all of them at once.
        """
        self._total = max(self._total, self._done + len(jobs))
        return [
            record
            for group in compared_groups(jobs)
            for record in (
                self._measure_in_turns(group) if self._take_turns(group) else self.run_jobs(group)
            )
        ]

    def run_beside(self, jobs: Sequence[Job]) -> list[ProcessRecord]:
        """The same of what is not timed, as many at once as there are CPUs.

        Each worker has a CPU of its own; the journal is written by this thread alone.
        """
        self._total = max(self._total, self._done + len(jobs))
        idle = queue.SimpleQueue[int]()
        for cpu in self.plan.cpus:
            idle.put(cpu)

        def run_on_idle_cpu(job: Job) -> tuple[Job, Outcome]:
            first = idle.get()
            others = [cpu for cpu in job.cpus if cpu != first]
            try:
                placed = replace(job, cpus=(first, *others)[: len(job.cpus)])
                return placed, self._run(placed)
            finally:
                idle.put(first)

        with ThreadPoolExecutor(max_workers=len(self.plan.cpus)) as pool:
            waiting = [pool.submit(run_on_idle_cpu, job) for job in jobs]
            try:
                return [self._keep(*finished) for finished in _finished(waiting)]
            except BaseException:
                pool.shutdown(cancel_futures=True)
                raise

    def close(self) -> None:
        """Removes the traces, and lets others have the machine. May be called again."""
        remove_traces(self.path)
        self._machine.release()
        self._lock.release()

    def _measure(self, job: Job) -> ProcessRecord:
        if job.probe.needs_the_machine(len(job.cpus)):
            self._have_the_machine()
        asked = self._as_before(job)
        return self._keep(asked, self._run(asked))

    def _take_turns(self, jobs: Sequence[Job]) -> bool:
        live = {w.name: w.live_bytes for w in self.plan.workloads if isinstance(w, Workload)}
        needed = sum(OVER_LIVE * live.get(job.scenario, 0) for job in jobs)
        return len(jobs) > 1 and needed <= half_of_memory()

    def _measure_in_turns(self, jobs: Sequence[Job]) -> list[ProcessRecord]:
        self._have_the_machine()
        asked = []
        for job in map(self._as_before, jobs):
            options = {**job.options, "passes": str(PASSES), "pass-ns": str(PASS_NS)}
            asked.append(replace(job, options=options))
        rng = random.Random(f"{self.plan.seed}/turns/{jobs[0].id}")  # noqa: S311 (an order)
        outcomes = run_in_turns(self._run, asked, rng)
        return [self._keep(job, outcome) for job, outcome in zip(asked, outcomes, strict=True)]

    def _as_before(self, job: Job) -> Job:
        """With as many replays as its cell has, and as much work between calls as its scenario
        has, once these are known.
        """
        if not isinstance(job, TraceJob):
            return job
        options = dict(job.options)
        replays = self._replays.get(self._sharing(job.allocator.name, job.scenario))
        if job.probe is Probe.THROUGHPUT and replays:
            options["replays"] = str(replays)
        iterations = self._work_iterations.get(job.scenario)
        if job.probe.timed and iterations:
            options["work-iterations"] = str(iterations)
        return replace(job, options=options)

    def _learn(self, record: ProcessRecord) -> None:
        if record.ok and record.probe is Probe.THROUGHPUT:
            sharing = self._sharing(record.allocator, record.scenario)
            self._replays.setdefault(sharing, record.part(Throughput).replays_per_pass)
        if record.result.work is not None:
            iterations = record.result.work.iterations_per_op
            self._work_iterations.setdefault(record.scenario, iterations)

    def _sharing(self, allocator: str, scenario: str) -> tuple[str, str]:
        """Whose replays are as many. The floor is no arm."""
        shared = self._arms_share_replays and allocator != FLOOR
        return ("", scenario) if shared else (allocator, scenario)

    def _have_the_machine(self) -> None:
        before = self._machine.problem
        self._machine.acquire()
        if self._machine.problem is not None and before is None:
            reason = f"another run may have disturbed this one: {self._machine.problem}"
            self._writer.tell(Event.UNLOCKED, reason)

    def _run(self, job: Job) -> Outcome:
        """On a full disk a process fails, and cannot even say why: the allocator is not blamed."""
        interruption.check()
        if self._keep_profiles and isinstance(job, TraceJob) and job.probe is Probe.INSTRUCTIONS:
            job = replace(job, profile=profile_path(self.path, job))
        beside = self.path / "traces"  # where an executor has its own files
        with named_errors(beside):
            outcome = self._executor.run(job)
            if outcome.status is not Status.OK:
                trace_bytes = job.trace.stat().st_size if isinstance(job, TraceJob) else 0
                require_room(beside, trace_bytes + FILES_BYTES)
        return outcome

    def _keep(self, job: Job, outcome: Outcome) -> ProcessRecord:
        record, arrays = self._what_to_keep(_record(job, outcome), outcome.arrays)
        if self._keep_failed and outcome.failure is not None:
            keep_failed(self.path, job, outcome, outcome.failure)
            record = replace(record, kept=True)
        self._writer.add(record, arrays)
        self._learn(record)
        self._done += 1
        self._progress(job, self._done, self._total)
        return record


def compared_groups(jobs: Iterable[Job]) -> list[list[Job]]:
    """The jobs in their order; those that are timed on one trace together, where the first is. The
    floor is compared with nobody.
    """
    groups: dict[object, list[Job]] = {}
    for job in jobs:
        compared = isinstance(job, TraceJob) and job.probe is Probe.THROUGHPUT
        key = (job.scenario, job.round) if compared and job.allocator.correct else job.id
        groups.setdefault(key, []).append(job)
    return list(groups.values())


def profile_path(run: Path, job: Job) -> Path:
    """ "profiles/callgrind.out.libc.random-churn.12": as KCachegrind looks for them."""
    folder = run / PROFILES
    with named_errors(folder):
        folder.mkdir(exist_ok=True)
    refuse_linked_folder(folder)
    names = (re.sub(r"[^\w+-]+", "-", name) for name in (job.allocator.name, job.scenario))
    parts = ".".join(name.strip("-")[:MOST_LETTERS] for name in names)
    return folder / f"callgrind.out.{parts}.{job.id}"


def run(request: Request, executor: Executor, *, progress: Progress) -> Path:
    """Measures everything that was asked for; returns the run directory. Raises as begin, fill."""
    begun = begin(request)
    fill(begun, executor, progress=progress)
    return begun.path


def fill(begun: Begun, executor: Executor, *, progress: Progress) -> None:
    """Measures what a run directory lacks, all of it or until the time budget is spent.

    Raises as Session; the message of an error says how to go on from what was finished.
    """
    if begun.ended:
        begun.lock.release()
        return
    try:
        with Session(begun, executor, progress=progress) as session:
            _run_rounds(begun, session)
    except InterruptionError:
        raise
    except AllocphaseError as error:
        way_out = f"what is finished is kept, go on with `{resume_command(begun.path)}`"
        raise AllocphaseError(f"{error}; {way_out}") from error


def _run_rounds(begun: Begun, session: Session) -> None:
    """An unbroken run stops where the next round would pass the budget; so does a resumed one."""
    rounds_s = _spent_s(begun)
    start_s = time.monotonic() - sum(rounds_s.values())
    last_begun = max(rounds_s, default=0)
    for round_index in range(begun.plan.rounds):
        round_start_s = time.monotonic() - session.waited_s
        session.run_round(round_index)
        now_s = time.monotonic() - session.waited_s
        round_s = now_s - round_start_s + rounds_s.get(round_index, 0.0)
        over = now_s - start_s + round_s > begun.time_budget_s
        if over and round_index >= last_begun:
            break


def _spent_s(begun: Begun) -> dict[int, float]:
    """By round, how long its finished processes took, as far as the journal knows."""
    spent: dict[int, float] = {}
    threads_of = {workload.name: workload.threads for workload in begun.plan.workloads}
    for record in begun.finished:
        threads = threads_of[record.scenario]
        alone = record.probe.needs_the_machine(threads)
        side_by_side = 1 if alone else len(begun.plan.cpus)
        spent[record.round] = spent.get(record.round, 0.0) + record.wall_s / side_by_side
    return spent


def _finished(waiting: Sequence[_Future]) -> Iterator[tuple[Job, Outcome]]:
    """What comes of the futures; after the first error only what was under way, then the error."""
    failed: AllocphaseError | None = None
    for future in as_completed(waiting):
        if future.cancelled():
            continue
        try:
            yield future.result()
        except AllocphaseError as error:
            failed = failed or error
            for other in waiting:
                other.cancel()
    if failed is not None:
        raise failed


def _record(job: Job, outcome: Outcome) -> ProcessRecord:
    return ProcessRecord(
        id=job.id,
        round=job.round,
        repeat=job.repeat,
        allocator=job.allocator.name,
        scenario=job.scenario,
        probe=job.probe,
        status=outcome.status,
        message=outcome.message,
        wall_s=round(outcome.wall_s, 6),
        result=outcome.result,
    )
