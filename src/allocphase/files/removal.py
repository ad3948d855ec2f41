"""A folder for a while, whatever is put into it: nested as deep as one likes, or not permitted."""

from __future__ import annotations

import contextlib
import itertools
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["passing_folder", "remove_tree"]

# Nobody else has a name with it.
_MOVED = f"moved-{os.urandom(8).hex()}-"


@contextlib.contextmanager
def passing_folder(*, beside: Path) -> Iterator[Path]:
    """A new folder in `beside`, which is gone afterwards as far as that is possible."""
    folder = Path(tempfile.mkdtemp(prefix="allocphase-", dir=beside))
    try:
        yield folder
    finally:
        remove_tree(folder)


def remove_tree(root: Path) -> None:
    """Removes a folder with all that is in it, and follows no link; what resists is left.

    Neither recursion nor paths grow with the depth: what lies in a folder of `root` is moved up
    into `root`, until there is nothing.
    """
    numbers = itertools.count()
    while folders := [entry for entry in _entries(root) if not _is_removed(entry)]:
        emptied = [_is_emptied(Path(folder), root, numbers) for folder in folders]
        if not any(emptied):
            break
    with contextlib.suppress(OSError):
        root.rmdir()


def _entries(folder: Path) -> list[os.DirEntry[str]]:
    try:
        with os.scandir(folder) as entries:
            return list(entries)
    except OSError:
        return []


def _is_removed(entry: os.DirEntry[str]) -> bool:
    """True of all that is no folder, and of empty ones; also of what cannot be removed."""
    try:
        if entry.is_dir(follow_symlinks=False):
            Path(entry).rmdir()
        else:
            Path(entry).unlink()
    except OSError:
        return not entry.is_dir(follow_symlinks=False)
    return True


def _is_emptied(folder: Path, root: Path, numbers: Iterator[int]) -> bool:
    """Removes a folder of `root`, after its own folders have come up; whether that was possible."""
    try:
        folder.chmod(0o700)
        for entry in _entries(folder):
            if entry.is_dir(follow_symlinks=False):
                _move_up(Path(entry), root, numbers)
            else:
                Path(entry).unlink()
        folder.rmdir()
    except OSError:
        return False
    return True


def _move_up(folder: Path, root: Path, numbers: Iterator[int]) -> None:
    folder.chmod(0o700)  # to be moved a folder has to be writable itself
    folder.rename(root / f"{_MOVED}{next(numbers)}")
