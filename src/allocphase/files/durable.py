"""Files that are whole or absent, and lines that are on disk once written: the one way of writing.

A kill at any instruction leaves a file under its name with all its bytes, or not at all, and of an
appended line at most a torn end without its newline. Nothing is written through a link, nor into a
pipe or a device: what is replaced is a regular file, or nothing. Every failure is an
AllocphaseError that names the path.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.regular import MAX_OBJECT_BYTES, check_regular, open_regular, opened

__all__ = [
    "PARTIAL",
    "GrowingFile",
    "append_line",
    "append_text",
    "copy_whole",
    "drop_torn_end",
    "keep_file",
    "keep_tree",
    "named_errors",
    "require_appendable",
    "require_room",
    "require_writable",
    "write_private",
    "write_text",
    "write_whole",
]

PARTIAL = ".partial"
# So many characters of a name leave room for PARTIAL in the 255 bytes that a name may have.
_KEPT_OF_NAME = 60
_EXCLUSIVE = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC


@contextmanager
def named_errors(path: Path) -> Iterator[None]:
    """Turns an OSError into an AllocphaseError that names the file, or else `path`."""
    try:
        yield
    except OSError as error:
        raise AllocphaseError(f"{error.filename or path}: {error.strerror or error}") from error


def write_whole(path: Path, write: Callable[[BinaryIO], object], *, synced: bool = True) -> None:
    """Lets `write` fill a file beside `path`, syncs it, and only then gives it its name.

    synced: whether it must outlive the machine, and not only the process. Raises UsageError where
    something else than a file has that name.
    """
    partial = _beside(path)
    with named_errors(path):
        _refuse_others(path)
        try:
            with _new(partial, named=path) as file:
                write(file)
                if synced:
                    file.flush()
                    os.fsync(file.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
        if synced:
            _sync_folder(path.parent)  # the name is the folder's


def write_private(path: Path, content: bytes) -> None:
    """A new file that its owner alone can read, such as a key. Raises AllocphaseError."""
    with named_errors(path), os.fdopen(os.open(path, _EXCLUSIVE, 0o600), "wb") as file:
        file.write(content)


def write_text(path: Path, text: str, *, synced: bool = True) -> None:
    """The same for a text, as UTF-8."""
    content = text.encode("utf-8")
    write_whole(path, lambda file: file.write(content), synced=synced)


def _refuse_others(path: Path) -> None:
    try:
        check_regular(path, missing_ok=True)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def copy_whole(source: Path, target: Path) -> None:
    """Copies an object that somebody named, be it by a link. The copy need not be on disk."""
    with named_errors(source), opened(source, max_bytes=MAX_OBJECT_BYTES, follow=True) as content:
        write_whole(target, lambda file: shutil.copyfileobj(content, file), synced=False)


def keep_file(source: Path, target: Path) -> None:
    """Gives a file that is no link a second name, or, where the disk can not, copies it."""
    partial = _beside(target)
    with named_errors(source):
        check_regular(source)
        _refuse_others(target)
        partial.unlink(missing_ok=True)
        try:
            os.link(source, partial, follow_symlinks=False)
        except OSError:
            with opened(source, max_bytes=source.stat().st_size) as content:
                write_whole(target, lambda file: shutil.copyfileobj(content, file), synced=False)
        else:
            partial.replace(target)


def keep_tree(source: Path, target: Path) -> None:
    """Gives every file of a folder a second name below the new folder `target`. Links stay what
    they are, and what is neither file, folder nor link is left out.
    """
    with named_errors(source):
        for place, folders, names in os.walk(source):
            below = target / Path(place).relative_to(source)
            below.mkdir()
            for path in (Path(place, name) for name in (*folders, *names)):
                if path.is_symlink():
                    (below / path.name).symlink_to(path.readlink())
                elif path.is_file():
                    keep_file(path, below / path.name)


class GrowingFile:
    """A file that was not there before, and that grows by what is whole: a write that the disk
    refuses leaves it as it was.

    Raises UsageError where something has that name already, AllocphaseError where it cannot be
    made.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        try:
            self._file = os.open(path, _EXCLUSIVE | os.O_APPEND, 0o666)
        except FileExistsError:
            raise UsageError(f"{path}: is there already: remove it or name another one") from None
        except (OSError, ValueError) as error:  # ValueError: a name with a null byte
            raise AllocphaseError(f"{path}: cannot be written: {_reason(error)}") from None

    def write(self, content: bytes) -> int:
        """All of it or nothing. Raises OSError."""
        _append(self._file, content)
        return len(content)

    def close(self) -> None:
        """Nothing is synced: what was written outlives the process, not the machine."""
        os.close(self._file)


def require_writable(path: Path) -> None:
    """Raises UsageError where `write_whole` could not write `path` now; leaves nothing there."""
    try:
        check_regular(path, missing_ok=True)
        partial = _beside(path)
        with _new(partial, named=path):
            partial.unlink()
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise UsageError(f"{path}: cannot be written: {_reason(error)}") from None


def require_appendable(path: Path) -> None:
    """Raises UsageError where `append_text` could not append to `path` now; makes it if need be."""
    try:
        os.close(open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT))
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: cannot be written: {_reason(error)}") from None


def _reason(error: OSError | ValueError) -> str:
    return str(getattr(error, "strerror", None) or error)


def _beside(path: Path) -> Path:
    return path.with_name(path.name[:_KEPT_OF_NAME] + PARTIAL)


def _new(partial: Path, *, named: Path) -> BinaryIO:
    """A file that was not there before; what a kill left under its name goes away.

    Raises OSError, which names the file that it is for.
    """
    try:
        try:
            file = os.open(partial, _EXCLUSIVE, 0o666)
        except FileExistsError:
            partial.unlink()
            file = os.open(partial, _EXCLUSIVE, 0o666)
    except OSError as error:
        raise OSError(error.errno, error.strerror, str(named)) from None
    return os.fdopen(file, "wb")


def append_line(path: Path, line: bytes) -> None:
    """One write and one sync; where the write falls short, the file is as it was before."""
    with named_errors(path):
        new = not path.exists()
        file = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            _append(file, line + b"\n")
            os.fsync(file)
        finally:
            os.close(file)
        if new:
            _sync_folder(path.parent)


def append_text(path: Path, text: str) -> None:
    """To a file that others append to as well, such as the step summary of a CI."""
    with named_errors(path):
        file = open_regular(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        try:
            _append(file, text.encode("utf-8"))
        finally:
            os.close(file)


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
        try:
            descriptor = open_regular(path, os.O_RDWR)
        except FileNotFoundError:
            return
        with os.fdopen(descriptor, "r+b") as file:
            content = file.read()
            whole = content.rfind(b"\n") + 1
            if whole < len(content):
                file.truncate(whole)
                os.fsync(file.fileno())


def require_room(folder: Path, size_bytes: int) -> None:
    """Raises AllocphaseError when so much more cannot be written into that folder."""
    with named_errors(folder), tempfile.TemporaryFile(dir=folder) as file:
        os.posix_fallocate(file.fileno(), 0, size_bytes)  # asks the disk and the quota


def _sync_folder(path: Path) -> None:
    file = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(file)
    finally:
        os.close(file)
