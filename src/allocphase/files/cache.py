"""Where what can be made again is kept: compiled plug-ins, and revisions that were built."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

__all__ = ["cache_folders"]


def cache_folders() -> Iterator[Path]:
    """The user's cache, and behind it one for this process only, should that not be writable.

    Neither need be there; nothing comes where there is not even a folder for temporary files.
    """
    if folder := os.environ.get("XDG_CACHE_HOME"):
        yield Path(folder) / "allocphase"
    else:
        with contextlib.suppress(RuntimeError):  # a user without a home
            yield Path.home() / ".cache" / "allocphase"
    with contextlib.suppress(OSError):
        yield _own_folder()


@functools.cache
def _own_folder() -> Path:
    folder = Path(tempfile.mkdtemp(prefix="allocphase-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return folder
