"""flock(2) on an open file: it ends with its holder, however that ends."""

from __future__ import annotations

import fcntl

__all__ = ["try_lock"]


def try_lock(file: int) -> bool:
    """Whether the lock is ours now, without waiting; False: another holds it.

    Raises OSError where the file system has no locks.
    """
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
