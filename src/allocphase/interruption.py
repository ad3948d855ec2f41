"""What a signal does to a measurement: nothing that is finished is lost, nothing stays behind.

SIGINT (Ctrl-C), SIGTERM and SIGHUP (the terminal was closed) kill the processes that run and end
the measuring at the next place that looks; what follows it, such as the summary, goes on. The
second signal ends the process at once. The alternative, an exception out of the handler, would
strike anywhere: between a fork and the moment its pid is known, or in the middle of a journal
line.

Signals belong to the process, and so does what is remembered of them here.
"""

from __future__ import annotations

import os
import signal
import stat
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType

from allocphase.errors import AllocphaseError

__all__ = ["InterruptionError", "check", "interruptible"]

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class InterruptionError(AllocphaseError):
    """A signal asked for the end. Exit code 128 + its number, as shells have it."""

    def __init__(self, number: int) -> None:
        super().__init__(f"ended by {signal.Signals(number).name}")
        self.exit_code = 128 + number


class _State:
    asked: InterruptionError | None = None


_state = _State()


def check() -> None:
    """Raises InterruptionError once a signal has come; whatever takes or waits long looks here."""
    if _state.asked is not None:
        raise _state.asked


@contextmanager
def interruptible(stop: Callable[[InterruptionError], None]) -> Iterator[None]:
    """Within, the first signal calls `stop` and makes `check` raise; the second one kills.

    A signal that is ignored stays ignored: nohup, or a shell's background job. Other threads than
    the main one cannot have handlers, and nothing changes there.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def ask(number: int, _: FrameType | None) -> None:
        if _state.asked is not None:
            signal.signal(number, signal.SIG_DFL)
            os.kill(os.getpid(), number)
            return
        _state.asked = InterruptionError(number)
        if number == signal.SIGHUP:
            _leave_terminal()
        stop(_state.asked)

    before = {number: signal.getsignal(number) for number in SIGNALS}
    kept = {number: old for number, old in before.items() if old not in (None, signal.SIG_IGN)}
    try:
        for number in kept:
            signal.signal(number, ask)
        yield
    finally:
        for number, old in kept.items():
            signal.signal(number, old)
        _state.asked = None


def _leave_terminal() -> None:
    """Nobody reads a closed terminal, and writing to it fails; a file or pipe goes on."""
    nowhere = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
    for stream in (1, 2):
        if stat.S_ISCHR(os.fstat(stream).st_mode):
            os.dup2(nowhere, stream)
    os.close(nowhere)
