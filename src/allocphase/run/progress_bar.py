"""Progress on stderr: a bar with the time left on a terminal, plain lines elsewhere.

The bar is drawn between processes only, never while one is timed.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from allocphase.process.driver import Job

__all__ = ["Progress", "progress_line"]

# Called after each process with (job, number of jobs done, number of jobs).
Progress = Callable[[Job, int, int], None]

PLAIN_LINES = 20  # of a whole run, where there is no terminal
BAR_CELLS = 24
LINE_CHARS = 79  # a line that wraps cannot be wiped


@contextmanager
def progress_line(stream: TextIO) -> Iterator[Progress]:
    """A function to call after each process with (job, done, total)."""
    start = time.monotonic()
    terminal = stream.isatty()
    before: int | None = None  # what an earlier part of the run has done took none of this time

    def show(job: Job, done: int, total: int) -> None:
        nonlocal before
        before = max(done - 1, 0) if before is None else before
        elapsed_s = time.monotonic() - start
        left_s = elapsed_s / (done - before) * (total - done) if done > before else None
        line = _line(job, done, total, left_s)
        if terminal:
            whole = f"{_bar(done, total)} {line}"
            stream.write(f"\r\x1b[2K{whole[:LINE_CHARS]}")
        elif done % max(1, total // PLAIN_LINES) == 0:
            stream.write(f"{line}\n")
        stream.flush()

    try:
        yield show
    finally:
        if terminal:
            stream.write("\r\x1b[2K")
            stream.flush()


def _bar(done: int, total: int) -> str:
    filled = BAR_CELLS * done // total
    return "#" * filled + "-" * (BAR_CELLS - filled)


def _line(job: Job, done: int, total: int, left_s: float | None) -> str:
    left = f"about {_duration(left_s)} left" if left_s is not None else "starting"
    cell = f"{job.allocator.name} on {job.scenario}, {job.probe.value}"
    return f"{done}/{total}, {left}: {cell}"[:LINE_CHARS]


def _duration(seconds: float) -> str:
    """ "45 s", "3 min", "1 h 20 min": no finer than an estimate is."""
    if seconds < 100:
        return f"{seconds:.0f} s"
    minutes = round(seconds / 60)
    return f"{minutes} min" if minutes < 100 else f"{minutes // 60} h {minutes % 60} min"
