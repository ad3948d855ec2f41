"""Files that are whole or absent, and lines that are on disk once written.

A kill at any instruction leaves a file under its name with all its bytes, or not at all, and of an
appended line at most a torn end without its newline. Every failure is an AllocphaseError that
names the path.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from allocphase.errors import AllocphaseError

__all__ = ["PARTIAL", "append_line", "drop_torn_end", "named_errors", "require_room", "write_whole"]

PARTIAL = ".partial"


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turns an OSError into an AllocphaseError that names the file, or else `path`."""
    try:
        yield
    except OSError as error:
        raise AllocphaseError(f"{error.filename or path}: {error.strerror or error}") from error


def write_whole(path: Path, write: Callable[[Path], object], *, synced: bool = True) -> None:
    """Lets `write` fill a file beside `path`, syncs it, and only then gives it its name.

    synced: whether it must outlive the machine, and not only the process.
    """
    partial = path.with_name(path.name + PARTIAL)
    with named_errors(path):
        try:
            write(partial)
            if synced:
                _sync(partial, os.O_RDONLY)
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if synced:
            _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)  # the name is the folder's


def append_line(path: Path, line: bytes) -> None:
    """One write and one sync; where the write falls short, the file is as it was before."""
    with named_errors(path):
        new = not path.exists()
        file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            _append(file, line + b"\n")
            os.fsync(file)
        finally:
            os.close(file)
        if new:
            _sync(path.parent, os.O_RDONLY | os.O_DIRECTORY)


def _append(file: int, content: bytes) -> None:
    before = os.fstat(file).st_size
    try:
        written = os.write(file, content)
        while written < len(content):  # a disk that is nearly full takes a part
            written += os.write(file, content[written:])
    except OSError:
        os.ftruncate(file, before)
        raise


def drop_torn_end(path: Path) -> None:
    """Cuts what follows the last newline: the line of a process that did not finish."""
    with named_errors(path):
        if not path.exists():
            return
        with path.open("r+b") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
                os.fsync(file.fileno())


def require_room(folder: Path, size_bytes: int) -> None:
    """Raises AllocphaseError when so much more cannot be written into that folder."""
    with named_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)  # asks the disk and the quota


def _sync(path: Path, flags: int) -> None:
    file = os.open(path, flags | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
