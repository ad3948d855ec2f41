"""Finds processes by a mark in their environment, which everything that they start inherits."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

__all__ = ["VARIABLE", "alive", "marked", "nothing_left"]

VARIABLE = "ALLOCPHASE_TEST_MARK"
SETTLING_S = 10.0


def marked(mark: str) -> set[int]:
    """The pids of all living processes with the mark; a zombie has no environment."""
    entry = f"{VARIABLE}={mark}".encode()
    found = set()
    for folder in Path("/proc").iterdir():
        if not folder.name.isdigit():
            continue
        try:
            if entry in (folder / "environ").read_bytes().split(b"\0"):
                found.add(int(folder.name))
        except OSError:  # it has ended, or is another user's
            continue
    return found


def alive(pid: int) -> bool:
    """Whether there is such a process, and it is no zombie."""
    try:
        status = Path(f"/proc/{pid}/stat").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return False
    return status.rpartition(")")[2].split()[0] not in "ZX"


@contextmanager
def nothing_left(mark: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Marks what is started inside, and fails when any of it is alive afterwards."""
    monkeypatch.setenv(VARIABLE, mark)
    yield
    monkeypatch.delenv(VARIABLE)
    deadline = time.monotonic() + SETTLING_S
    while marked(mark) and time.monotonic() < deadline:
        time.sleep(0.01)  # the kernel delivers a SIGKILL in its own time
    assert marked(mark) == set()
