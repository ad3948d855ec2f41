"""Where matplotlib keeps its list of fonts: in the user's cache, or beside what it draws.

Left alone it warns where the user's folders cannot be written, and fails where /tmp cannot either:
in a container, that is.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from allocphase.errors import AllocphaseError

__all__ = ["fonts_beside"]

VARIABLE = "MPLCONFIGDIR"


@contextmanager
def fonts_beside(run: Path) -> Iterator[None]:
    """For the first import of matplotlib and what is drawn then; the run keeps nothing of it.

    Raises AllocphaseError when the run directory cannot be written.
    """
    if os.environ.get(VARIABLE) or all(map(_is_ours, _user_folders())):
        yield
        return
    try:
        scratch = tempfile.TemporaryDirectory(prefix=".fonts-", dir=run)
    except OSError as error:
        raise AllocphaseError(f"{run}: {error.strerror}") from error
    with scratch as folder:
        os.environ[VARIABLE] = folder
        try:
            yield
        finally:
            del os.environ[VARIABLE]


def _user_folders() -> list[Path | None]:
    return [_user_folder(*pair) for pair in (("CONFIG", ".config"), ("CACHE", ".cache"))]


def _user_folder(kind: str, name: str) -> Path | None:
    if chosen := os.environ.get(f"XDG_{kind}_HOME"):
        return Path(chosen) / "matplotlib"
    try:
        return Path.home() / name / "matplotlib"
    except RuntimeError:  # a user without a home
        return None


def _is_ours(folder: Path | None) -> bool:
    if folder is None:
        return False
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError:
        return False
    return os.access(folder, os.W_OK)
