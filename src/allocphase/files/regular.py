"""Reads a file that somebody else may have put there: never waits, follows or takes without end."""

from __future__ import annotations

import errno
import os
import stat
from pathlib import Path

__all__ = ["read_regular"]


def read_regular(path: Path, max_bytes: int) -> bytes:
    """The content of a regular file.

    Raises FileNotFoundError, and OSError for what is a link, a pipe, a device or a folder, and for
    what is longer than `max_bytes`.
    """
    fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    try:
        if not stat.S_ISREG(os.fstat(fd).st_mode):
            raise OSError(errno.EINVAL, "no regular file", str(path))
        content = _read_up_to(fd, max_bytes + 1)
    finally:
        os.close(fd)
    if len(content) > max_bytes:
        raise OSError(errno.EFBIG, f"longer than {max_bytes} bytes", str(path))
    return content


def _read_up_to(fd: int, max_bytes: int) -> bytes:
    parts: list[bytes] = []
    while max_bytes > 0 and (part := os.read(fd, max_bytes)):
        parts.append(part)
        max_bytes -= len(part)
    return b"".join(parts)
