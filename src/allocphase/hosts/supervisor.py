"""Keeps a worker running: one that ends, because its scheduler is gone or it was killed, is started
again. dask's own nanny ends with the scheduler, and wakes twice a second; this one sleeps in the
kernel until its child has ended.
"""

from __future__ import annotations

import signal
import subprocess
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType

from allocphase.errors import UsageError
from allocphase.hosts.bound import command

__all__ = ["keep_worker"]

# A worker that ends at once would otherwise be started again at once, for ever.
PAUSE_S = 1.0
MOST_PAUSE_S = 10.0
LIVED_S = 10.0


def keep_worker(
    scheduler: str,
    *,
    host: str,
    folder: Path,
    certificates: Path | None,
    say: Callable[[str], None],
) -> int:
    """Runs until a signal ends it; its exit code. Raises UsageError where a worker says that it
    will never start.
    """
    secured: Sequence[str] = () if certificates is None else (str(certificates.absolute()),)
    started = command(
        "allocphase.hosts.dask_worker", scheduler, host, str(folder.absolute()), *secured
    )
    ending = _Ending()
    pause_s = PAUSE_S
    while True:
        begun = time.monotonic()
        ending.child = subprocess.Popen(started, stdin=subprocess.DEVNULL)
        code = ending.child.wait()
        if ending.asked is not None:
            return 128 + ending.asked
        if code == UsageError.exit_code:
            raise UsageError(f"the worker of {host} cannot start: see above")
        pause_s = PAUSE_S if time.monotonic() - begun > LIVED_S else min(pause_s * 2, MOST_PAUSE_S)
        say(f"the worker ended with {code}, and is started again")
        time.sleep(pause_s)


class _Ending:
    """A signal ends the worker, and this process after it."""

    def __init__(self) -> None:
        self.asked: int | None = None
        self.child: subprocess.Popen[bytes] | None = None
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._ask)

    def _ask(self, number: int, _: FrameType | None) -> None:
        self.asked = number
        if self.child is None or self.child.poll() is not None:
            raise SystemExit(128 + number)
        self.child.terminate()
