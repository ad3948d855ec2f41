"""What parallel test processes make once for all of them, in a folder that they share."""

from __future__ import annotations

import fcntl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Shared", "made_once"]


@dataclass(frozen=True, slots=True)
class Shared:
    """Folders of one session, by name; `base` is the session's own."""

    base: Path

    def __call__(self, name: str) -> Path:
        folder = self.base / f"shared-{name}"
        folder.mkdir(exist_ok=True)
        return folder


def made_once(target: Path, make: Callable[[Path], object]) -> Path:
    """The file or folder `target`: made by whoever comes first, while the others wait for it.

    make(path) makes it at a path beside the target, which it leaves whole or raises.
    """
    with _locked(target.with_name(f"{target.name}.lock")):
        if not target.exists():
            partial = target.with_name(f"{target.name}.partial")
            make(partial)
            partial.rename(target)
    return target


@contextmanager
def _locked(path: Path) -> Iterator[None]:
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield
