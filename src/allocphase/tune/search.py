"""One session of a search: rounds of the arms that are left, each beside the default.

Place in the pipeline: as gate.rounds, above run, which starts processes. All arms load one object,
so that there is nothing to copy: they differ in their settings alone.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.gate.rounds import Clock, randomised
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.process.driver import Executor, Job, Outcome
from allocphase.run.plan import process_count, round_jobs, untimed_jobs
from allocphase.run.prepare import begin
from allocphase.run.progress_bar import Progress
from allocphase.run.request import Request
from allocphase.run.session import Session
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord
from allocphase.tune.document import ArmEntry, StageEntry
from allocphase.tune.figures import Figures
from allocphase.tune.halving import cost, fitted, schedule
from allocphase.tune.race import Race
from allocphase.tune.request import TuneRequest

__all__ = ["SEARCH_SHARE", "Found", "search"]

# Of the time budget; the rest is for the gate.
SEARCH_SHARE = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """A search that has ended. winner: None where every arm failed or broke a bound. default: the
    medians of the default, by the name of the measure. cut_short: the budget took
    rounds from it.
    """

    path: Path
    winner: Allocator | None
    default: dict[str, float]
    arms: tuple[ArmEntry, ...]
    stages: tuple[StageEntry, ...]
    cut_short: bool


class _Randomising:
    """Runs every timed job with address randomisation on."""

    def __init__(self, executor: Executor) -> None:
        self._executor = executor

    def run(self, job: Job) -> Outcome:
        """See Executor."""
        return self._executor.run(randomised(job))


class _Rounds:
    """The rounds of the session; what is planned of arms that were dropped is left out."""

    def __init__(self, session: Session) -> None:
        self._session = session
        # Counts are planned once; further processes of theirs have ids after the plan's own.
        self._ids = itertools.count(process_count(session.plan))

    def run(
        self, round_index: int, names: Sequence[str], probes: Sequence[Probe]
    ) -> list[ProcessRecord]:
        """A process of each probe for each of these arms; the floor's too in the first round."""
        plan, wanted = self._session.plan, set(names)

        def takes_part(job: Job) -> bool:
            is_arm = job.allocator.name in wanted and job.probe in probes
            return job.repeat == 0 and (is_arm or (round_index == 0 and not job.allocator.correct))

        counts = [
            replace(job, id=next(self._ids), round=round_index)
            for job in filter(takes_part, untimed_jobs(plan))
        ]
        timed = [
            replace(job, id=next(self._ids))
            for job in filter(takes_part, round_jobs(plan, round_index))
        ]
        return self._session.run_beside(counts) + self._session.run_jobs(timed)


def search(request: TuneRequest, executor: Executor, *, progress: Progress, clock: Clock) -> Found:
    """Halves the arms until few are left, and takes the best of them.

    Raises NothingMeasuredError where the default fails, and as run.session.Session. The first round
    says how long a process takes: where the schedule would end beyond the search's share of the
    budget, every stage has fewer rounds. If time runs out all the same, the arms are compared by
    what they have.
    """
    figures = Figures()
    race = Race(request, figures)
    with _started(request, executor, figures, progress) as session:
        stages = _Stages(request, race, session, clock)
        while stages.run():
            pass
    best = stages.done[-1].best
    return Found(
        path=session.path,
        winner=race.arms[best] if best is not None else None,
        default=race.default_medians(),
        arms=race.entries(),
        stages=tuple(stages.done),
        cut_short=stages.cut_short,
    )


class _Stages:
    """The stages of a search, one after the other, within its share of the budget."""

    def __init__(self, request: TuneRequest, race: Race, session: Session, clock: Clock) -> None:
        self.done: list[StageEntry] = []
        self._over = False
        self._fewer = False
        self._race = race
        self._session = session
        self._rounds = _Rounds(session)
        self._clock = clock
        self._ends_s = self._now_s() + request.time_budget_s * SEARCH_SHARE
        self._pace_s = 0.0  # of an arm in a round, as the last one was
        self._plan = schedule(len(race.alive))

    @property
    def cut_short(self) -> bool:
        """Whether the budget took rounds from it."""
        return self._over or self._fewer

    def run(self) -> bool:
        """The next stage; whether another one follows."""
        race, stage = self._race, len(self.done)
        arms, failed = len(race.alive), 0
        while (
            race.rounds < self._plan[stage] and race.alive and race.open_probes and not self._over
        ):
            running = [race.default, *race.alive]
            self._over = not self._has_time(len(running))
            if not self._over:
                failed += self._round(running)
        broken = race.drop_broken()
        is_last = stage + 1 == len(self._plan)
        ends = is_last or self._over or not race.open_probes or len(race.alive) <= 1
        ahead = next((one for one in race.standings() if one.keeps_bounds), None)
        self.done.append(
            StageEntry(
                arms=arms,
                rounds=race.rounds,
                failed=failed,
                broken=broken,
                worse=0 if ends else race.drop_worse_half(stage + 1),
                best=ahead.arm if ahead else None,
                ratio=ahead.ratio if ahead else None,
            )
        )
        return not ends

    def _round(self, running: Sequence[str]) -> int:
        """Returns how many arms failed in it."""
        start_s, race = self._now_s(), self._race
        failed = race.took(self._rounds.run(race.rounds, running, race.open_probes))
        self._pace_s = (self._now_s() - start_s) / len(running)
        if race.rounds == 1:
            self._fit(len(running) - 1)
        return failed

    def _fit(self, arms: int) -> None:
        """The schedule to the time that is left, by the pace of the first round."""
        if self._pace_s <= 0.0:
            return
        left = (self._ends_s - self._now_s()) / self._pace_s + arms + 1
        fitting = fitted(arms, self._plan, most=left)
        self._fewer = fitting != self._plan
        self._plan = fitting

    def _has_time(self, arms: int) -> bool:
        return not self._race.rounds or self._now_s() + self._pace_s * arms <= self._ends_s

    def _now_s(self) -> float:
        """Without what other runs had of the machine."""
        return self._clock() - self._session.waited_s


@contextmanager
def _started(
    request: TuneRequest, executor: Executor, figures: Figures, progress: Progress
) -> Iterator[Session]:
    """A session whose files `figures` reads."""
    space = request.space
    plan = schedule(len(space.arms))
    begun = begin(
        Request(
            allocators=[space.default, *space.arms],
            scenarios=[request.scenario],
            probes=request.probes,
            rounds=plan[-1],
            seed=request.seed,
            timeout_s=request.timeout_s,
            out=request.out,
            label=request.label,
            command=request.command,
            resumable=False,
            kept_variables=request.kept_variables,
        )
    )
    processes = figures.processes
    processes.files = RunFiles(begun.path)
    expected = cost(len(space.arms), plan) * len(request.probes)

    def shown(job: Job, done: int, _: int) -> None:
        progress(job, done, max(done, expected))

    def keep(record: ProcessRecord, arrays: Arrays) -> tuple[ProcessRecord, Arrays]:
        return processes.condensed(record, arrays)

    with Session(
        begun, _Randomising(executor), progress=shown, arms_share_replays=True, keep=keep
    ) as session:
        yield session
