"""An executor that looks at the machine while another one runs a timed process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace

from allocphase.machine.disturbance import Watch
from allocphase.probe.status import Status
from allocphase.process.driver import Executor, Job, Outcome

__all__ = ["WatchingExecutor"]


class WatchingExecutor:
    """Adds what disturbed a timed process to its result, under "disturbance".

    Processes that are not timed run several at once: there is nothing to be told apart, and no
    figure of theirs rests on time.
    """

    def __init__(self, inner: Executor, *, watch: Callable[[Sequence[int]], Watch] = Watch) -> None:
        self._inner = inner
        self._watch = watch

    def run(self, job: Job) -> Outcome:
        """As the inner one's."""
        if not job.probe.timed:
            return self._inner.run(job)
        watch = self._watch(job.cpus)
        before = watch.started()
        outcome = self._inner.run(job)
        if job.turn is not None:  # what the others of its group do is no disturbance
            job.turn.wait_for_all()
        if outcome.status is not Status.OK:
            return outcome
        return replace(outcome, result=replace(outcome.result, disturbance=watch.since(before)))
