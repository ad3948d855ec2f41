"""One session: the first round measures everything, the next ones what is still undecided."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.judge import Evidence, Judge, SessionResult
from allocphase.judge.counted import COUNT_ROUNDS
from allocphase.probe.probe import Probe
from allocphase.process.driver import Executor, Job, Outcome
from allocphase.run.plan import Plan, process_count, round_jobs, untimed_jobs
from allocphase.run.prepare import begin
from allocphase.run.progress_bar import Progress
from allocphase.run.request import Request
from allocphase.run.session import Session
from allocphase.store.reader import RunFiles

__all__ = ["Clock", "Finished", "measure_alone", "probes_of", "run_session"]

Clock = Callable[[], float]  # seconds, from anywhere, never backwards


@dataclass(frozen=True, slots=True)
class Finished:
    """A session that has ended: where it lies, what it says, and how long it took."""

    path: Path
    result: SessionResult
    evidence: Evidence
    seconds: float


class _Spread:
    """An executor that leaves address randomisation on for latencies too.

    A run fixes addresses in order to join latencies with their causes; a gate compares them, and
    one layout for all rounds would be one accident repeated.
    """

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, job: Job) -> Outcome:
        """See Executor."""
        if job.probe is Probe.LATENCY:
            kept = {k: v for k, v in job.options.items() if k != "fixed-addresses"}
            job = replace(job, options=kept)
        return self._executor.run(job)


def _started(request: Request, executor: Executor, *, progress: Progress) -> Session:
    begun = begin(replace(request, resumable=False))
    return Session(begun, _Spread(executor), progress=progress)


def _wanted_jobs(plan: Plan, round_index: int, wanted: set[tuple[str, Probe]]) -> list[Job]:
    """The jobs of one later round that are wanted; counts may be wanted again too."""
    return [
        job
        for job in (*_recounts(plan, round_index), *round_jobs(plan, round_index))
        if job.allocator.correct and (job.scenario, job.probe) in wanted
    ]


def _recounts(plan: Plan, round_index: int) -> list[Job]:
    """The plan counts once; another time needs ids of its own."""
    jobs = untimed_jobs(plan)
    first_id = process_count(plan) + (round_index - 1) * len(jobs)
    return [replace(job, id=first_id + job.id, round=round_index) for job in jobs]


def run_session(
    request: Request,
    judge: Judge,
    evidence: Evidence,
    executor: Executor,
    *,
    progress: Progress,
    budget_s: float,
    clock: Clock = time.monotonic,
) -> Finished:
    """Runs rounds until the judge wants nothing more or the budget is spent.

    `evidence`: empty but for what was saved; it is filled. No round starts that would, at the pace
    of the longest one so far, end beyond the budget. Raises as Session.
    """
    start = clock()
    with _started(request, executor, progress=progress) as session:
        evidence.processes.files = RunFiles(session.path)
        evidence.add(session.run_round(0))
        longest = 0.0
        for round_index in range(1, judge.max_rounds):
            wanted = judge.wanted(evidence)
            round_start = clock()
            if not wanted or round_start - session.waited_s - start + longest > budget_s:
                break
            evidence.add(session.run_jobs(_wanted_jobs(session.plan, round_index, wanted)))
            longest = max(longest, clock() - round_start)
    return Finished(session.path, judge.result(evidence), evidence, clock() - start)


def measure_alone(request: Request, executor: Executor, *, progress: Progress) -> Evidence:
    """Every round of one allocator, COUNT_ROUNDS at least: so many count. Raises as Session."""
    rounds = max(request.rounds, COUNT_ROUNDS)
    request = replace(request, rounds=rounds)
    cells = {(one.name, probe) for one in request.scenarios for probe in request.probes}
    timed = {(name, probe) for name, probe in cells if probe.timed}
    with _started(request, executor, progress=progress) as session:
        evidence = Evidence(processes=ProcessMetrics(RunFiles(session.path)))
        evidence.add(session.run_round(0))
        for round_index in range(1, rounds):
            wanted = cells if round_index < COUNT_ROUNDS else timed
            evidence.add(session.run_jobs(_wanted_jobs(session.plan, round_index, wanted)))
    return evidence


def probes_of(judge: Judge, *extra: Probe) -> Sequence[Probe]:
    """The probes that the judge's rows need, in the order of the enumeration."""
    needed = {row.measure.probe for row in judge.rows} | set(extra)
    return [probe for probe in Probe if probe in needed]
