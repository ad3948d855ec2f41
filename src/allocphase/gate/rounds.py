"""One session: the first round measures everything, the next ones what is still undecided."""

from __future__ import annotations

import itertools
import math
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.analysis.measures import MEASURES
from allocphase.analysis.warnings import is_disturbed
from allocphase.errors import UsageError
from allocphase.gate.arms import Copies
from allocphase.judge import Evidence, Judge, SessionResult
from allocphase.judge.counted import AGREEING
from allocphase.judge.judge import COUNT_BUDGET, Need, TooFewRoundsError
from allocphase.judge.rows import call_measures
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.status import Status
from allocphase.process.driver import Executor, Job, Outcome, TraceJob
from allocphase.run.plan import Plan, process_count, round_jobs, untimed_jobs
from allocphase.run.prepare import begin
from allocphase.run.progress_bar import Progress
from allocphase.run.request import Request
from allocphase.run.session import Session, compared_groups
from allocphase.stats.values import agree
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord

__all__ = [
    "FIRST_SHARE",
    "Clock",
    "Finished",
    "TooLittleTimeError",
    "measure_alone",
    "probes_of",
    "randomised",
    "run_session",
]

Clock = Callable[[], float]  # seconds, from anywhere, never backwards

# The first session may take this share of the time budget; the rest is for the confirmation.
FIRST_SHARE = 2 / 3
# Over the time that rounds will take by the pace of the first.
_SPARE = 1.1
# What one process of a shared machine may say once by accident: it is asked again.
_REPEATED = (Status.TIMEOUT, Status.OUT_OF_MEMORY)
# Where more of the first round's processes are disturbed, that is how the machine is.
_EXCEPTIONAL = 0.25


class TooLittleTimeError(UsageError):
    """The budget has no room for the rounds that could decide; one of `budget_s` would have."""

    def __init__(self, message: str, budget_s: int) -> None:
        super().__init__(f"{message}: --time-budget {budget_s}, or fewer scenarios")
        self.message = message
        self.budget_s = budget_s


@dataclass(frozen=True, slots=True)
class Finished:
    """A session that has ended: where it lies, what it says, and how long it took.

    planned: the rounds that its times could have had. repeated: processes that ran once more.
    """

    path: Path
    result: SessionResult
    evidence: Evidence
    planned: int
    repeated: int
    seconds: float


def randomised(job: Job) -> Job:
    """The job with address randomisation on, where it is timed.

    A run fixes addresses in order to join latencies with their causes; who compares latencies
    would have one layout, and its accidents, in all rounds.
    """
    if not (isinstance(job, TraceJob) and job.probe is Probe.LATENCY):
        return job
    kept = {k: v for k, v in job.options.items() if k != "fixed-addresses"}
    return replace(job, options=kept)


class _GateExecutor:
    """Runs a job on this round's copy of its arm, and leaves address randomisation on."""

    def __init__(self, executor: Executor, copies: Copies) -> None:
        self._executor = executor
        self._copies = copies

    def run(self, job: Job) -> Outcome:
        """See Executor."""
        job = replace(job, allocator=self._copies.current(job.allocator))
        return self._executor.run(randomised(job))


class _Rounds:
    """The rounds of one session, each on fresh copies; what was disturbed runs once more."""

    def __init__(self, session: Session, copies: Copies) -> None:
        self._session = session
        self._copies = copies
        # What the plan does not know of has ids after its own.
        self._ids = itertools.count(process_count(session.plan))
        self._repeats_disturbed = True
        self._failed: set[tuple[str, str]] = set()
        self.repeated = 0

    def untimed(self) -> list[ProcessRecord]:
        """What has no order, once."""
        return self._settled(untimed_jobs(self._session.plan), self._session.run_untimed())

    def first(self) -> list[ProcessRecord]:
        """The first round of what is timed, the floor too."""
        jobs = round_jobs(self._session.plan, 0)
        records = self._session.run_compared(jobs)
        disturbed = sum(is_disturbed(record) for record in records)
        self._repeats_disturbed = disturbed <= _EXCEPTIONAL * len(records)
        return self._settled(jobs, records)

    @property
    def share_of_later(self) -> float:
        """Of the processes of the first round, those that later ones have too: the floor's and what
        makes up for few rounds are not among them.
        """
        first, later = (round_jobs(self._session.plan, index) for index in (0, 1))
        return sum(job.allocator.correct for job in later) / len(first) if first else 1.0

    def later(self, round_index: int, wanted: set[Need]) -> list[ProcessRecord]:
        """The processes of a later round that are wanted; those that count go side by side."""
        self._copies.renew()
        plan = self._session.plan
        counts = [
            replace(job, id=next(self._ids), round=round_index)
            for job in _chosen(untimed_jobs(plan), wanted)
            if job.probe is not Probe.VERIFY
        ]
        timed = list(_chosen(self._timed_jobs(plan, round_index), wanted))
        records = self._session.run_beside(counts) + self._session.run_compared(timed)
        return self._settled([*counts, *timed], records)

    def _timed_jobs(self, plan: Plan, round_index: int) -> Iterator[Job]:
        """In the order that the plan has for this round, with ids of their own."""
        return (replace(job, id=next(self._ids)) for job in round_jobs(plan, round_index))

    def _settled(
        self, jobs: Sequence[Job], records: Sequence[ProcessRecord]
    ) -> list[ProcessRecord]:
        """With a second process for each that the machine spoiled, as far as can be told without
        looking at its time or its arm; and for those that took turns with it.
        """
        spoiled = {record.id for record in records if self._is_spoiled(record)}
        again = [
            replace(job, id=next(self._ids))
            for group in compared_groups(jobs)
            if any(job.id in spoiled for job in group)
            for job in group
        ]
        self.repeated += len(again)
        return [*records, *self._session.run_compared(again)]

    def _is_spoiled(self, record: ProcessRecord) -> bool:
        """Of processes that do not end the first one of a cell only: it may not end again."""
        if record.status in _REPEATED:
            cell = (record.allocator, record.scenario)
            known = cell in self._failed
            self._failed.add(cell)
            return not known
        return record.probe.timed and self._repeats_disturbed and is_disturbed(record)


def run_session(
    request: Request,
    judge: Judge,
    evidence: Evidence,
    executor: Executor,
    copies: Copies,
    *,
    progress: Progress,
    budget_s: float,
    stretch: float = 1.0,
    clock: Clock = time.monotonic,
) -> Finished:
    """Runs rounds until the judge wants nothing more or the budget is spent; so many times the
    budget, where fewer rounds can never decide anything (`stretch`).

    `evidence`: empty but for what was saved; it is filled. The first round says how long one
    takes: for as many as fit, the boundary is made. No round starts that would, at the pace of the
    longest one so far, end beyond the budget. Raises as Session, and UsageError where the rounds
    that fit can never decide the times of a first session.
    """
    start = clock()
    with _started(request, executor, copies, evidence, progress=progress) as session:
        rounds = _Rounds(session, copies)
        evidence.add(rounds.untimed())
        began_s = clock() - session.waited_s
        evidence.add(rounds.first())
        now_s = clock() - session.waited_s
        spent_s, pace_s = now_s - start, (now_s - began_s) * rounds.share_of_later
        judge, budget_s = _fitting(
            judge, spent_s=spent_s, pace_s=pace_s, budget_s=budget_s, stretch=stretch
        )
        longest_s = pace_s
        for round_index in range(1, max(judge.max_rounds, COUNT_BUDGET)):
            wanted = judge.wanted(evidence)
            round_start = clock()
            if not wanted or round_start - session.waited_s - start + longest_s > budget_s:
                break
            evidence.add(rounds.later(round_index, wanted))
            longest_s = max(longest_s, clock() - round_start)
    return Finished(
        path=session.path,
        result=judge.result(evidence),
        evidence=evidence,
        planned=judge.max_rounds,
        repeated=rounds.repeated,
        seconds=clock() - start,
    )


def _fitting(
    judge: Judge, *, spent_s: float, pace_s: float, budget_s: float, stretch: float
) -> tuple[Judge, float]:
    """For as many rounds as there is time for, with that time. Raises UsageError if they decide
    nothing.
    """
    left_s = max(0.0, budget_s - spent_s)
    rounds = 1 + int(left_s / pace_s) if pace_s > 0.0 else judge.max_rounds
    try:
        return judge.within(rounds), budget_s
    except TooFewRoundsError as error:
        if judge.confirms:
            return judge, budget_s  # what was flagged then stays open: nothing is lost
        needed_s = spent_s + (error.needed - 1) * pace_s
        spared_s = math.ceil(_SPARE * needed_s)
        if spared_s <= stretch * budget_s:
            return judge.within(error.needed), spared_s
        message = (
            f"{error}; they take {needed_s:.0f} s here, and the first session has {budget_s:.0f}"
        )
        # The first session has its share of the whole.
        raise TooLittleTimeError(message, math.ceil(spared_s / FIRST_SHARE)) from None


def measure_alone(
    request: Request, executor: Executor, copies: Copies, *, progress: Progress
) -> Evidence:
    """Every round of one allocator; of counts as many processes as a gate may want of them, which
    is COUNT_BUDGET where they differ. Raises as Session.
    """
    request = replace(request, rounds=max(request.rounds, 2 * AGREEING))
    timed = {(x.name, probe) for x in request.scenarios for probe in request.probes if probe.timed}
    evidence = Evidence()
    with _started(request, executor, copies, evidence, progress=progress) as session:
        rounds = _Rounds(session, copies)
        evidence.add(rounds.untimed())
        evidence.add(rounds.first())
        for round_index in range(1, request.rounds):
            wanted = timed | _varying(evidence, request)
            evidence.add(rounds.later(round_index, wanted))
    return evidence


def _varying(evidence: Evidence, request: Request) -> set[Need]:
    """The counts that are no single number yet."""
    wanted = set()
    for scenario in request.scenarios:
        for one in (*MEASURES.values(), *call_measures(evidence, scenario.name)):
            values = evidence.values(one, scenario.name).candidate
            told = values.size >= 2 * AGREEING and agree(values)
            if not one.timed and not told and values.size < COUNT_BUDGET:
                wanted.add((scenario.name, one.probe))
    return wanted


def probes_of(judge: Judge, *extra: Probe) -> Sequence[Probe]:
    """The probes that the judge's rows need, in the order of the enumeration."""
    needed = {row.measure.probe for row in judge.rows} | set(extra)
    return [probe for probe in Probe if probe in needed]


def _started(
    request: Request, executor: Executor, copies: Copies, evidence: Evidence, *, progress: Progress
) -> Session:
    """A session whose files `evidence` reads. The first round's samples are for a report of it."""
    begun = begin(replace(request, resumable=False))
    processes = evidence.processes
    processes.files = RunFiles(begun.path)

    def keep(record: ProcessRecord, arrays: Arrays) -> tuple[ProcessRecord, Arrays]:
        return (record, arrays) if record.round == 0 else processes.condensed(record, arrays)

    inner = _GateExecutor(executor, copies)
    return Session(begun, inner, progress=progress, arms_share_replays=True, keep=keep)


def _chosen(jobs: Iterable[Job], wanted: set[Need]) -> Iterator[Job]:
    """Those of the arms that are wanted: the floor is none."""
    for job in jobs:
        if job.allocator.correct and (job.scenario, job.probe) in wanted:
            yield job
