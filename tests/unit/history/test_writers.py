"""Two processes write one history at once, and are killed: nothing is lost, nothing is twice."""

from __future__ import annotations

import itertools
import multiprocessing
import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path

from allocphase.history import Measured, open_history
from tests.support.histories import run_of, value

RUNS = 50
METRICS = 60


def run_with_values(number: int, content: str) -> Measured:
    values = [value(1.0 + number, metric=f"m{one}") for one in range(METRICS)]
    return run_of(number, values, content=content)


def write(path: Path, numbers: list[int], content: str, said: Connection) -> None:
    """Adds these runs one by one, and says of each that it is there once it is."""
    for number in numbers:
        with open_history(path, make=True) as history:
            history.add(run_with_values(number, content))
        said.send(number)


class Writer:
    """One of the two processes, and what it has said so far."""

    def __init__(self, path: Path, numbers: list[int], content: str) -> None:
        # Forked off a process that has imported all of it: kills fall into the writing.
        context = multiprocessing.get_context("forkserver")
        context.set_forkserver_preload([__name__])
        self._said, said = context.Pipe(duplex=False)
        self.process = context.Process(target=write, args=(path, numbers, content, said))
        self.process.start()
        said.close()

    def heard(self) -> Iterator[int]:
        """All that it has said by now."""
        try:
            while self._said.poll():
                yield self._said.recv()
        except EOFError:
            return


def test_two_processes_add_and_are_killed_fifty_times_and_every_run_is_there_once(
    tmp_path: Path,
) -> None:
    """Each adds every run in an order of its own. One is killed in the middle, the other one goes
    on for a while, and then another pair begins, whose runs have something new in them.
    """
    path, rng = tmp_path / "h.db", random.Random(1)
    said: set[int] = set()
    kills = 0
    for pair in itertools.count():
        orders = [rng.sample(range(RUNS), RUNS) for _ in range(2)]
        writers = [Writer(path, order, f"pair {pair}") for order in orders]
        for writer in writers:
            time.sleep(rng.uniform(0.0, 0.1))
            with suppress(ProcessLookupError):  # it has added all of them
                os.kill(writer.process.pid or 0, signal.SIGKILL)
        for writer in writers:
            writer.process.join()
            kills += writer.process.exitcode == -signal.SIGKILL
            said |= set(writer.heard())
        require_whole(path, said)
        if kills >= 50:
            break
    last = Writer(path, list(range(RUNS)), "last")
    last.process.join()
    require_whole(path, set(range(RUNS)))


def require_whole(path: Path, said: set[int]) -> None:
    """Every run that a writer said it had added is there, once, and all that are have all their
    values.
    """
    with open_history(path, make=True) as history:
        numbers = [int(run.path.rpartition("/")[2]) for run in history.runs()]
        assert len(set(numbers)) == len(numbers)
        assert said <= set(numbers)
        series = history.series()
        assert len(series) == (METRICS if numbers else 0)
        for entry in series:
            values = [point.value for point in history.load(entry).points]
            assert sorted(values) == sorted(1.0 + number for number in numbers)
