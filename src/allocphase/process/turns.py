"""Processes that take turns: timed a pass at a time, in an order that is drawn for each turn.

What disturbs a machine lasts: a neighbour on the same core has it for seconds, and a processor its
clock rate. Whole processes that follow each other have it in one and not in the next, however
close they are. Where each has a pass of a few milliseconds, and then the next one, all have it.

Place in the pipeline: between a session and its executor. Each process runs in a thread of its own,
as those do that run side by side; of all of them one is awake. driver/turn.h has the other end.
"""

from __future__ import annotations

import random
import select
import socket
import struct
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from allocphase.process.driver import Job, Outcome

__all__ = ["PASSES", "PASS_NS", "Turn", "run_in_turns"]

# In all as long as the passes of a process that is timed alone.
PASSES, PASS_NS = 40, 2_500_000
# driver/turn.h: struct turn
_TURN = struct.Struct("=QQ")


@dataclass(slots=True)
class _Group:
    """How many of the processes have not ended."""

    missing: int
    changed: threading.Condition = field(default_factory=threading.Condition)


class Turn:
    """One process's place among those that take turns: a context for whoever runs it; `start`,
    `give`, `asked` and `end` are for who gives the turns.
    """

    def __init__(self, group: _Group) -> None:
        self._group = group
        self._ours, self._theirs = socket.socketpair()
        self._may_start = threading.Event()
        self._left = False

    @property
    def stdin(self) -> int:
        """What the process's stdin has to be, a file descriptor."""
        return self._theirs.fileno()

    def __enter__(self) -> Turn:
        """Waits until the process may start."""
        self._may_start.wait()
        return self

    def __exit__(self, *_: object) -> None:
        self.leave()

    def leave(self) -> None:
        """Its process has ended, or was never there. May be called again."""
        with self._group.changed:
            if not self._left:
                self._left = True
                self._theirs.close()
                self._group.missing -= 1
                self._group.changed.notify_all()

    def wait_for_all(self) -> None:
        """Leaves, and waits until all have."""
        self.leave()
        with self._group.changed:
            self._group.changed.wait_for(lambda: self._group.missing == 0)

    def start(self) -> None:
        """The process may start: that is its first turn, up to its first pass."""
        self._may_start.set()

    def give(self, replays: int, passes: int) -> None:
        """A turn, to a process that has asked for one."""
        with suppress(BrokenPipeError):  # it has ended meanwhile, as `asked` will say
            self._ours.send(_TURN.pack(replays, passes))

    def asked(self, patience_s: float) -> tuple[int, int] | None:
        """Waits until the process's turn is over; gives the replays and passes that it thinks
        best for the next one, None where it has ended, or had its time.
        """
        poll = select.poll()
        poll.register(self._ours, select.POLLIN)
        said = self._ours.recv(_TURN.size) if poll.poll(patience_s * 1e3) else b""
        return _TURN.unpack(said) if len(said) == _TURN.size else None

    def end(self) -> None:
        """Whoever still waits, for a start or a turn, goes on without."""
        self._may_start.set()
        self._ours.close()


def run_in_turns(
    run: Callable[[Job], Outcome], jobs: Sequence[Job], rng: random.Random
) -> list[Outcome]:
    """Runs these, each to its end; what became of them, in their order. Raises as `run`.

    Who has a turn for longer than a job may take is not waited for any more; it is killed when the
    time of all is over.
    """
    group = _Group(len(jobs))
    turns = [Turn(group) for _ in jobs]
    all_s = sum(job.timeout_s for job in jobs)

    def run_one(job: Job, turn: Turn) -> Outcome:
        try:
            return run(replace(job, turn=turn, timeout_s=all_s))
        finally:
            turn.leave()

    with ThreadPoolExecutor(max_workers=len(jobs)) as pool:
        running = [pool.submit(run_one, job, turn) for job, turn in zip(jobs, turns, strict=True)]
        try:
            _give(turns, rng, patience_s=max(job.timeout_s for job in jobs))
        finally:
            for turn in turns:
                turn.end()
        return [future.result() for future in running]


def _give(turns: Sequence[Turn], rng: random.Random, *, patience_s: float) -> None:
    """Starts one after the other; then all have a turn each, again and again, until none asks."""
    asked: dict[Turn, tuple[int, int]] = {}
    for turn in turns:
        turn.start()
        if (wish := turn.asked(patience_s)) is not None:
            asked[turn] = wish
    waiting = list(asked)
    # Nobody's pass is shorter than it thinks best, where it is not much slower than the others.
    replays = max((replays for replays, _ in asked.values()), default=0)
    passes = min((passes for _, passes in asked.values()), default=0)
    while waiting:
        rng.shuffle(waiting)
        for turn in tuple(waiting):
            turn.give(replays, passes)
            if turn.asked(patience_s) is None:
                waiting.remove(turn)
