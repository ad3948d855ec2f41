"""How much slower one turn of the toll's loop makes an allocator on this machine.

Time per operation is t0 + slope * iterations: the toll is fenced, so it adds up. The slope is the
median, over rounds in which both take turns, of the difference between a dear toll and none; a toll
that adds about a fifth is dear enough for noise of a few per cent to move the slope by a few per
cent of itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from allocphase.allocator import Allocator
from allocphase.errors import NothingMeasuredError
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.process.driver import Executor
from allocphase.run.plan import round_jobs
from allocphase.run.prepare import begin
from allocphase.run.progress_bar import Progress
from allocphase.run.request import Request
from allocphase.run.session import Session
from allocphase.scenario import Traced
from allocphase.selftest.injected import with_toll
from allocphase.stats import matched
from allocphase.store.record import ProcessRecord

__all__ = ["Calibration", "calibrate"]

ROUNDS = 7
# A first guess: a turn takes about a cycle, so that 600 on every 64th call add some 4 ns to each.
FIRST_ITERATIONS = 600
DEAR = 0.2
FREE, PAID = "free", "paid"


@dataclass(frozen=True, slots=True)
class Calibration:
    """free_ns: time per operation without a toll; turn_ns: what one iteration adds to it."""

    free_ns: float
    turn_ns: float

    def iterations(self, effect: float) -> int:
        """The toll for a slowdown of `effect`, such as 0.05; at least one turn for any."""
        turns = round(effect * self.free_ns / self.turn_ns)
        return max(1, turns) if effect > 0.0 else 0

    def effect(self, iterations: int) -> float:
        """The slowdown that a toll makes: what a rounded number of turns comes to."""
        return iterations * self.turn_ns / self.free_ns


def calibrate(
    subject: Allocator, scenario: Traced, executor: Executor, *, out: Path, progress: Progress
) -> Calibration:
    """Measures `subject`, which is behind the toll. Raises NothingMeasuredError if it cannot."""
    request = Request(
        allocators=(),
        scenarios=[scenario],
        probes=[Probe.THROUGHPUT],
        rounds=ROUNDS,
        seed=1,
        out=out,
        label="calibrate",
        command=["allocphase", "selftest"],
    )
    first = _slope(subject, FIRST_ITERATIONS, request, executor, progress)
    return _slope(subject, first.iterations(DEAR), request, executor, progress)


def _slope(
    subject: Allocator, iterations: int, request: Request, executor: Executor, progress: Progress
) -> Calibration:
    arms = [
        replace(subject, name=FREE),
        replace(with_toll(subject, iterations=iterations), name=PAID),
    ]
    begun = begin(replace(request, allocators=arms))
    with Session(begun, executor, progress=progress, arms_share_replays=True) as session:
        plan = session.plan
        rounds = [session.run_compared(round_jobs(plan, index)) for index in range(ROUNDS)]
    times = np.array(
        [matched([_passes(records, arm) for arm in (FREE, PAID)]) for records in rounds]
    )
    turn_ns = float(np.median(times[:, 1] - times[:, 0])) / iterations
    if not turn_ns > 0.0:
        raise NothingMeasuredError("the toll makes no difference here: the machine is too busy")
    return Calibration(float(np.median(times[:, 0])), turn_ns)


def _passes(records: Sequence[ProcessRecord], arm: str) -> Sequence[float]:
    """Of an arm's one process of a round."""
    record = next(record for record in records if record.allocator == arm)
    if not record.ok:
        raise NothingMeasuredError(f"{arm}: {record.status}: {record.message}")
    return record.part(Throughput).warm_ns_per_op
