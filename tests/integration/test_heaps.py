"""phase3's heaps: threads free each other's objects without a race, and nothing is lost."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Needs
from tests.support.exerciser import PROGRAMS, TIMEOUT_S, WARNINGS, Exercisers, source_of
from tests.support.sharing import Shared, made_once

EXCHANGER = PROGRAMS / "exchanger.c"
WITHOUT_ASLR = ["setarch", "-R"]  # gcc's thread sanitizer knows the addresses without it
PAGE = 65_536
THREADS, OBJECTS = 4, 4_000  # of exchanger.c
OBJECT = 224  # the size class of its objects there
PAGES_OF_A_THREAD = -(-OBJECTS * OBJECT // PAGE)

Exchange = Callable[[str], subprocess.CompletedProcess[str]]


@pytest.fixture(scope="session")
def race_detector(shared: Shared, needs: Needs) -> Path:
    """The exchanger on phase3 under the thread sanitizer."""

    def compile_to(program: Path) -> None:
        sources = [str(EXCHANGER), str(source_of("phase3"))]
        command = ["cc", *WARNINGS, "-O1", "-g", "-fsanitize=thread", *sources]
        subprocess.run([*command, "-o", str(program), "-lpthread"], check=True)

    try:
        return made_once(shared("exchanger") / "races", compile_to)
    except subprocess.CalledProcessError as error:
        needs(None, f"the thread sanitizer ({error})", install="apt-get install gcc libc6-dev")
        raise


@pytest.fixture(params=["address", "thread"])
def exchange(request: pytest.FixtureRequest, exercisers: Exercisers) -> Exchange:
    """exchange("around"): the exchanger on phase3, under each sanitizer."""
    if request.param == "thread":
        program: Path = request.getfixturevalue("race_detector")
    else:
        program = exercisers("phase3", "-lpthread", main=EXCHANGER)

    def run(what: str) -> subprocess.CompletedProcess[str]:
        command = [*WITHOUT_ASLR, str(program), what]
        return subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)

    return run


def _statistics(done: subprocess.CompletedProcess[str]) -> dict[str, float]:
    assert (done.returncode, done.stderr) == (0, "")
    lines = (line.split() for line in done.stdout.splitlines())
    return {name: float(value) for name, value in lines}


def test_threads_come_and_go_and_free_what_others_made(exchange: Exchange) -> None:
    """Each takes over a heap that an ended one left: there are as many as threads at once."""
    statistics = _statistics(exchange("around"))
    assert 1 <= statistics["heaps"] <= THREADS


def test_what_another_thread_frees_is_used_again_by_its_owner(exchange: Exchange) -> None:
    """100,000 objects of 216 bytes, at most 64 of them at once."""
    assert _statistics(exchange("passed"))["peak_cut_bytes"] <= 4 * PAGE


def test_a_thread_takes_over_the_heap_of_one_that_ended_with_what_was_freed_since(
    exchange: Exchange,
) -> None:
    statistics = _statistics(exchange("left"))
    assert statistics["heaps"] == 1
    assert statistics["peak_cut_bytes"] <= (PAGES_OF_A_THREAD + 3) * PAGE


def test_what_was_freed_to_heaps_of_nobody_serves_others(exchange: Exchange) -> None:
    """Four threads' objects, all freed, then as many of one thread: in the same pages."""
    statistics = _statistics(exchange("inherited"))
    assert statistics["heaps"] == THREADS
    most = THREADS * (PAGES_OF_A_THREAD + 3) * PAGE
    assert THREADS * (PAGES_OF_A_THREAD - 1) * PAGE <= statistics["peak_cut_bytes"] <= most


def test_another_thread_s_block_can_be_resized(exchange: Exchange) -> None:
    assert _statistics(exchange("shrunk"))["heaps"] <= 2


def test_another_thread_s_block_that_holds_what_a_free_one_does_is_freed(
    exchange: Exchange,
) -> None:
    """What it looks like is not enough. Nobody loses anything by it."""
    statistics = _statistics(exchange("alike"))
    assert statistics["peak_cut_bytes"] <= (PAGES_OF_A_THREAD + 6) * PAGE


def test_a_second_free_by_another_thread_ends_the_program(exchange: Exchange) -> None:
    done = exchange("twice")
    address = done.stdout.split("\n")[0]
    assert done.returncode == -signal.SIGABRT
    assert done.stderr == f"phase3: double free of {address}\n"
