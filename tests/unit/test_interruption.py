"""Signals: the first ends the measuring, the second the process; ignored ones stay ignored."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from allocphase import interruption
from allocphase.interruption import InterruptionError, interruptible

SIGNALS = [signal.SIGINT, signal.SIGTERM, signal.SIGHUP]


@pytest.fixture(autouse=True)
def handlers_as_before() -> object:
    before = {number: signal.getsignal(number) for number in SIGNALS}
    yield
    assert {number: signal.getsignal(number) for number in SIGNALS} == before


@pytest.mark.parametrize(("number", "code"), list(zip(SIGNALS, (130, 143, 129), strict=True)))
def test_the_first_signal_stops_and_every_check_raises_it(
    number: signal.Signals,
    code: int,
    capfd: pytest.CaptureFixture[str],  # noqa: ARG001 (a hang-up must not take pytest's terminal)
) -> None:
    stopped: list[InterruptionError] = []
    with interruptible(stopped.append):
        interruption.check()
        os.kill(os.getpid(), number)
        assert [reason.exit_code for reason in stopped] == [code]
        for _ in range(2):
            with pytest.raises(InterruptionError, match=f"^ended by {number.name}$"):
                interruption.check()
    interruption.check()


def test_the_second_signal_ends_the_process_at_once() -> None:
    script = (
        "import os, signal\n"
        "from allocphase.interruption import interruptible\n"
        "with interruptible(lambda reason: print('stopped', flush=True)):\n"
        "    os.kill(os.getpid(), signal.SIGTERM)\n"
        "    os.kill(os.getpid(), signal.SIGINT)\n"
        "    print('still here')\n"
    )
    command = [sys.executable, "-c", script]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (-signal.SIGINT, "stopped\n")


def test_a_signal_that_is_ignored_stays_ignored() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible(lambda _: pytest.fail("stopped")):
            os.kill(os.getpid(), signal.SIGHUP)
            interruption.check()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, signal.SIG_DFL)


def test_in_another_thread_than_the_main_one_signals_are_left_alone() -> None:
    entered: list[bool] = []

    def enter() -> None:
        with interruptible(lambda _: None):
            entered.append(signal.getsignal(signal.SIGINT) is signal.default_int_handler)

    thread = threading.Thread(target=enter)
    thread.start()
    thread.join()
    assert entered == [True]


def test_a_closed_terminal_takes_nothing_but_what_goes_to_it() -> None:
    """stdout is a pipe here and stays one; stderr is a character device and is let go."""
    script = (
        "import os, signal, sys\n"
        "from allocphase.interruption import interruptible\n"
        "with interruptible(lambda reason: None):\n"
        "    os.kill(os.getpid(), signal.SIGHUP)\n"
        "    print(os.readlink('/proc/self/fd/2'))\n"
    )
    with Path("/dev/full").open("w") as device:
        command = [sys.executable, "-c", script]
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=device, check=False)
    assert (done.returncode, done.stdout) == (0, b"/dev/null\n")
