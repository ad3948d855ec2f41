"""Trials: gates whose right answer is known, again and again."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.gate import Arms, GateRequest, run_gate
from allocphase.judge import GateVerdict, Limits, Outcome
from allocphase.judge.limits import parse_limit
from allocphase.process.driver import Executor
from allocphase.run.progress_bar import Progress
from allocphase.scenario import Traced
from allocphase.selftest.calibrate import Calibration
from allocphase.selftest.injected import with_toll

__all__ = ["EFFECTS", "Selftest", "Trial", "run_trials"]

EFFECTS = (0.0, 0.01, 0.03, 0.05, 0.10)


@dataclass(frozen=True, slots=True, kw_only=True)
class Selftest:
    """What is tried: `subject` is behind the toll; `sessions` gates of each effect."""

    subject: Allocator
    scenario: Traced
    calibration: Calibration
    sessions: int
    theta: float
    max_rounds: int
    out: Path
    effects: tuple[float, ...] = EFFECTS
    min_rounds: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One gate. injected: the slowdown as calibrated; ratio: what the first session measured.

    paths: the run directories of its sessions.
    """

    effect: float
    injected: float
    outcome: Outcome
    ratio: float
    rounds: int
    seconds: float
    paths: tuple[Path, ...]

    @property
    def alarm(self) -> bool:
        """Whether the gate failed the candidate."""
        return self.outcome is Outcome.REGRESSED


def run_trials(
    selftest: Selftest,
    executor: Executor,
    *,
    progress: Progress,
    clock: Callable[[], float] = time.monotonic,
) -> Iterator[Trial]:
    """One trial after the other, the effects in turn, so that drift falls on all of them."""
    for _ in range(selftest.sessions):
        for effect in selftest.effects:
            start = clock()
            request, injected = _request(selftest, effect)
            verdict = run_gate(request, executor, progress=progress)
            yield _trial(verdict, effect, injected, clock() - start)


def _request(selftest: Selftest, effect: float) -> tuple[GateRequest, float]:
    iterations = selftest.calibration.iterations(effect)
    subject = selftest.subject
    slowed = replace(with_toll(subject, iterations=iterations), name=f"{subject.name}-slowed")
    request = GateRequest(
        arms=Arms(with_toll(subject), slowed),
        scenarios=[selftest.scenario],
        limits=Limits(lines=tuple(parse_limit(x) for x in ("*=off", f"time={selftest.theta}"))),
        out=selftest.out,
        max_rounds=selftest.max_rounds,
        min_rounds=selftest.min_rounds,
        label="selftest",
        command=["allocphase", "selftest"],
        verify=False,
    )
    return request, selftest.calibration.effect(iterations)


def _trial(verdict: GateVerdict, effect: float, injected: float, seconds: float) -> Trial:
    row = verdict.rows[0]
    return Trial(
        effect=effect,
        injected=injected,
        outcome=row.outcome,
        ratio=row.first.ratio.estimate,
        rounds=row.first.rounds,
        seconds=seconds,
        paths=tuple(Path(session.path) for session in verdict.sessions),
    )
