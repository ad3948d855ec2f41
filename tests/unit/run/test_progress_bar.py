"""Progress: a bar on a terminal, plain lines elsewhere."""

from __future__ import annotations

import io
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.probe.probe import Probe
from allocphase.process.driver import Job, TraceJob
from allocphase.run.progress_bar import progress_line
from tests.support.runs import fake_allocator


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def job() -> TraceJob:
    return TraceJob(
        id=0,
        round=0,
        allocator=fake_allocator("mine"),
        scenario="some",
        trace=Path("t"),
        probe=Probe.VERIFY,
        cpus=(0,),
        timeout_s=1.0,
    )


def test_a_long_run_prints_some_twenty_plain_lines(job: Job) -> None:
    stream = io.StringIO()
    with progress_line(stream) as show:
        for done in range(1, 1001):
            show(job, done, 1000)
    lines = stream.getvalue().splitlines()
    assert len(lines) == 20
    assert lines[-1] == "1000/1000, about 0 s left: mine on some, verify"


def test_a_terminal_has_one_line_that_fills_and_is_gone_at_the_end(job: Job) -> None:
    stream = Terminal()
    with progress_line(stream) as show:
        show(job, 1, 2)
        half = stream.getvalue()
        show(job, 2, 2)
        full = stream.getvalue()[len(half) :]
    assert "\n" not in stream.getvalue()
    assert (half.count("#"), half.count("#") + full.count("#")) == (12, 36)
    assert stream.getvalue().endswith("\r\x1b[2K")


def test_a_line_fits_a_terminal_whatever_the_names(job: Job) -> None:
    long = replace(job, allocator=fake_allocator("x" * 200))
    for stream in (io.StringIO(), Terminal()):
        with progress_line(stream) as show:
            show(long, 1, 1)
        shown = stream.getvalue().replace("\x1b[2K", "").replace("\r", "\n")
        assert 60 < max(len(line) for line in shown.splitlines()) < 80


def test_what_was_done_before_a_run_was_resumed_is_not_taken_for_its_speed(
    job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = iter([0.0, 10.0])
    monkeypatch.setattr("allocphase.run.progress_bar.time.monotonic", lambda: next(now, 10.0))
    stream = io.StringIO()
    with progress_line(stream) as show:
        show(job, 95, 100)  # the first of six that were left
    assert stream.getvalue().startswith("95/100, about 50 s left: ")


@pytest.mark.parametrize(
    ("seconds", "text"), [(99, "99 s"), (100, "2 min"), (3_600, "60 min"), (7_260, "2 h 1 min")]
)
def test_a_time_left_is_told_as_people_do(
    job: Job, monkeypatch: pytest.MonkeyPatch, seconds: int, text: str
) -> None:
    now = iter([0.0])
    monkeypatch.setattr("allocphase.run.progress_bar.time.monotonic", lambda: next(now, seconds))
    stream = io.StringIO()
    with progress_line(stream) as show:
        show(job, 1, 2)
    assert stream.getvalue().startswith(f"1/2, about {text} left: ")
