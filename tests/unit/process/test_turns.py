"""Who gives the turns, with processes that are threads of the test's."""

from __future__ import annotations

import os
import random
import struct
import threading
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.probe.probe import Probe
from allocphase.probe.status import Status
from allocphase.process.driver import Job, Outcome, TraceJob
from allocphase.process.turns import run_in_turns
from tests.support.driving import trace_job
from tests.support.runs import fake_allocator

TURN = struct.Struct("=QQ")
OK = Outcome(status=Status.OK, message="", wall_s=0.0)


def jobs(count: int, *, timeout_s: float = 20.0) -> list[TraceJob]:
    job = trace_job(Probe.THROUGHPUT, Path("none"), fake_allocator("one"), timeout_s=timeout_s)
    return [replace(job, id=number) for number in range(count)]


class Processes:
    """Each asks for `passes[id]` turns, and notes that it had one; at most one may be awake."""

    def __init__(self, passes: list[int]) -> None:
        self.passes = passes
        self.had: list[int] = []
        self.told: set[tuple[int, int]] = set()
        self._awake = threading.Lock()

    def run(self, job: Job) -> Outcome:
        assert job.turn is not None
        with job.turn:
            self._wake()
            for number in range(self.passes[job.id]):
                self._awake.release()
                os.write(job.turn.stdin, TURN.pack(10 + job.id, self.passes[job.id]))
                told = TURN.unpack(os.read(job.turn.stdin, TURN.size))
                self._wake()
                if number == 0:
                    self.told.add(told)
                self.had.append(job.id)
            self._awake.release()
        return OK

    def _wake(self) -> None:
        assert self._awake.acquire(blocking=False), "two are awake"


def test_each_has_a_turn_before_any_has_the_next() -> None:
    processes = Processes([20, 20, 20])
    assert run_in_turns(processes.run, jobs(3), random.Random(1)) == [OK] * 3
    turns = [processes.had[at : at + 3] for at in range(0, 60, 3)]
    assert all(sorted(turn) == [0, 1, 2] for turn in turns)
    assert len({tuple(turn) for turn in turns}) == 6, "every order"


def test_all_are_told_the_most_replays_and_the_fewest_passes() -> None:
    processes = Processes([7, 5, 9])
    run_in_turns(processes.run, jobs(3), random.Random(1))
    assert processes.told == {(12, 5)}


def test_who_has_ended_is_waited_for_no_longer() -> None:
    processes = Processes([2, 6])
    run_in_turns(processes.run, jobs(2), random.Random(1))
    assert sorted(processes.had) == [0] * 2 + [1] * 6
    assert processes.had[-4:] == [1] * 4


def test_who_never_asks_has_run_in_its_place() -> None:
    seen: list[int] = []

    def run(job: Job) -> Outcome:
        seen.append(job.id)
        return OK

    assert run_in_turns(run, jobs(3), random.Random(1)) == [OK] * 3
    assert sorted(seen) == [0, 1, 2]


def test_an_error_of_one_comes_after_the_others_have_ended() -> None:
    processes = Processes([3, 3])

    def run(job: Job) -> Outcome:
        if job.id == 0:
            raise OSError("no such driver")
        return processes.run(job)

    with pytest.raises(OSError, match="no such driver"):
        run_in_turns(run, jobs(2), random.Random(1))
    assert processes.had == [1, 1, 1]


def test_what_takes_longer_than_it_may_is_not_waited_for() -> None:
    processes, hangs = Processes([0, 3]), threading.Event()

    def run(job: Job) -> Outcome:
        if job.id == 1:
            outcome = processes.run(job)
            hangs.set()
            return outcome
        assert job.turn is not None
        with job.turn:
            assert hangs.wait(20.0)
        return OK

    assert run_in_turns(run, jobs(2, timeout_s=0.2), random.Random(1)) == [OK, OK]


def test_all_wait_for_the_last_where_they_want_to() -> None:
    ended: list[int] = []

    def waiting(inner: Callable[[Job], Outcome]) -> Callable[[Job], Outcome]:
        def run(job: Job) -> Outcome:
            outcome = inner(job)
            ended.append(job.id)
            assert job.turn is not None
            job.turn.wait_for_all()
            assert len(ended) == 3
            return outcome

        return run

    run_in_turns(waiting(Processes([1, 4, 2]).run), jobs(3), random.Random(1))
    assert sorted(ended) == [0, 1, 2]
