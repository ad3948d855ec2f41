"""Opens files that somebody else may have put there: the one way in which allocphase opens any.

Only regular files: a pipe would wait for ever, a device has no end, and opening one may do
something. What is there is looked at before it is opened, and what was opened once more. Never
more bytes than the caller has room for.

A link is followed where a person names the file or wrote it (`follow`): a scenario, an allocator's
object or source, a TOML file, what is installed with allocphase. She may keep it elsewhere, and
packagers install links. What allocphase itself writes, and the driver, is never a link: one there
was planted, and leads where its planter may not read or write, but whoever runs allocphase may.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from allocphase.errors import DataError

__all__ = [
    "MAX_OBJECT_BYTES",
    "check_regular",
    "open_regular",
    "opened",
    "opened_to_change",
    "opened_to_give",
    "read_regular",
    "read_regular_text",
    "refuse_linked_folder",
]

# Shared objects with all their debug information: a hundred times those of the allocators here.
MAX_OBJECT_BYTES = 1 << 30
_CHUNK_BYTES = 1 << 20


def read_regular(path: Path, max_bytes: int, *, start: int = 0, follow: bool = False) -> bytes:
    """The content of a regular file, from its byte `start` on.

    Raises FileNotFoundError, and OSError for what is a link, a pipe, a device or a folder, and for
    what is longer than `max_bytes`.
    """
    with opened(path, max_bytes=max_bytes, follow=follow) as file:
        file.seek(start)
        content = b"".join(_chunks(file, max_bytes + 1))
    if len(content) > max_bytes:  # it grew, or the kernel makes it up
        raise _too_long(path, max_bytes)
    return content


def _chunks(file: BinaryIO, most: int) -> Iterator[bytes]:
    """No buffer of `most` bytes is made for a file that has fewer."""
    while most > 0 and (chunk := file.read(min(most, _CHUNK_BYTES))):
        yield chunk
        most -= len(chunk)


def read_regular_text(path: Path, max_bytes: int, *, follow: bool = False) -> str:
    """The same of UTF-8. Raises UnicodeDecodeError (a ValueError) too."""
    return read_regular(path, max_bytes, follow=follow).decode("utf-8")


@contextmanager
def opened(path: Path, *, max_bytes: int, follow: bool = False) -> Iterator[BinaryIO]:
    """A regular file to read, of `max_bytes` at most when it is opened. Raises as read_regular."""
    with os.fdopen(open_regular(path, os.O_RDONLY, follow=follow), "rb") as file:
        if os.fstat(file.fileno()).st_size > max_bytes:
            raise _too_long(path, max_bytes)
        yield file


@contextmanager
def opened_to_change(path: Path) -> Iterator[BinaryIO]:
    """A regular file to read and write in. Raises OSError."""
    with os.fdopen(open_regular(path, os.O_RDWR), "r+b") as file:
        yield file


@contextmanager
def opened_to_give(path: Path | None) -> Iterator[BinaryIO]:
    """What a program is to read from its standard input; None: nothing. Raises OSError."""
    with (path or Path(os.devnull)).open("rb") as file:
        yield file


def open_regular(path: Path, flags: int, *, follow: bool = False) -> int:
    """The descriptor of a regular file, opened without waiting. Raises OSError.

    flags: of open(2); a file that O_CREAT makes can be read and written as the umask allows.
    """
    check_regular(path, follow=follow, missing_ok=bool(flags & os.O_CREAT))
    links = 0 if follow else os.O_NOFOLLOW
    file = os.open(path, flags | links | os.O_NONBLOCK | os.O_NOCTTY | os.O_CLOEXEC, 0o666)
    try:
        _check_mode(path, os.fstat(file).st_mode)
    except OSError:
        os.close(file)
        raise
    return file


def is_there(path: Path) -> bool:
    """Whether a name that somebody wrote is a file's; one that no file can have is none's."""
    return os.path.isfile(path)  # noqa: PTH113 (Path.is_file raises OSError for a long name)


def check_regular(path: Path, *, follow: bool = False, missing_ok: bool = False) -> None:
    """Raises OSError where something else than a regular file has that name, without opening it."""
    try:
        _check_mode(path, path.stat(follow_symlinks=follow).st_mode)
    except FileNotFoundError:
        if not missing_ok:
            raise


def refuse_linked_folder(path: Path) -> None:
    """Raises DataError where a folder that allocphase makes has become a link elsewhere."""
    if path.is_symlink():
        raise DataError(f"{path}: is a link, and allocphase makes none: remove it")


def _check_mode(path: Path, mode: int) -> None:
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if stat.S_ISLNK(mode):
        raise OSError(errno.ELOOP, "is a link, and none is followed here", str(path))
    if not stat.S_ISREG(mode):
        raise OSError(errno.EINVAL, "is no regular file", str(path))


def _too_long(path: Path, max_bytes: int) -> OSError:
    reason = f"longer than {max_bytes} bytes, the most that is read"
    return OSError(errno.EFBIG, reason, str(path))
