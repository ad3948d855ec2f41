"""Files that are not files, under names under which a reader or a writer looks for one."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from types import FrameType

__all__ = ["STRANGE", "in_time"]


def _pipe(path: Path) -> None:
    os.mkfifo(path)


def _socket(path: Path) -> None:
    before = Path.cwd()
    os.chdir(path.parent)  # a socket's address is short, and a test's folder is not
    try:
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(path.name)
    finally:
        os.chdir(before)


def _pipe_behind_a_link(path: Path) -> None:
    pipe = path.with_name("pipe-elsewhere")
    os.mkfifo(pipe)
    path.symlink_to(pipe)


# What makes each. Devices are links to them: nobody but root can make one.
STRANGE: dict[str, Callable[[Path], None]] = {
    "pipe": _pipe,
    "socket": _socket,
    "folder": lambda path: path.mkdir(),
    "endless device": lambda path: path.symlink_to("/dev/zero"),
    "pipe behind a link": _pipe_behind_a_link,
    "link to itself": lambda path: path.symlink_to(path.name),
}


@contextmanager
def in_time(seconds: float = 5.0) -> Iterator[None]:
    """Fails what waits longer: a pipe would keep its opener for ever."""

    def late(_: int, __: FrameType | None) -> None:
        raise AssertionError(f"waited {seconds} s")

    before = signal.signal(signal.SIGALRM, late)
    signal.setitimer(signal.ITIMER_REAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
