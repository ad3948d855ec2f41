"""One process fills a run directory: two would measure the same cells twice."""

from __future__ import annotations

import os
import time
from pathlib import Path

from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.flock import try_lock

__all__ = ["FolderLock"]

MOMENT_S = 2.0
POLL_S = 0.02


class FolderLock:
    """Held from its making to `release`, or to the end of the process, however that comes.

    Raises UsageError when another process holds it, and goes on doing so for a moment: what a
    holder forked has the lock too, from its fork to its exec, even if the holder was killed.
    """

    def __init__(self, path: Path) -> None:
        try:
            self._file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        except OSError as error:
            raise AllocphaseError(f"{path}: {error.strerror}") from error
        until = time.monotonic() + MOMENT_S
        while not _taken(self._file):
            if time.monotonic() > until:
                self.release()
                raise UsageError(f"{path}: another process is filling it: wait for its end")
            time.sleep(POLL_S)

    def release(self) -> None:
        """May be called again."""
        if self._file >= 0:
            os.close(self._file)
        self._file = -1


def _taken(file: int) -> bool:
    try:
        return try_lock(file)
    except OSError:
        return True  # a file system without locks: the user's own care has to do
