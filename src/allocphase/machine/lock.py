"""Who has the machine for timing: two runs that time at once disturb each other, and do not know.

The lock is a file that every user can open, held with flock(2) while processes are timed; it ends
with its holder, however that ends. The file says who holds it:

    {"pid": 123, "namespace": "pid:[4026531836]", "user": "ann", "run": "/home/ann/out/...",
     "since": "2026-11-23 10:15:00"}

A process whose ancestor holds it (a test that runs this command, say) goes on: it was started to.
"""

from __future__ import annotations

import contextlib
import json
import logging
import os
import pwd
import time
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import Any

from allocphase import interruption
from allocphase.files.documents import parse_json
from allocphase.files.flock import try_lock
from allocphase.files.regular import open_regular
from allocphase.machine.kernel_file import read_text
from allocphase.text.line import inert

__all__ = ["MachineLock", "holder_words", "read_holder"]

_LOG = logging.getLogger("allocphase")

# The first that exists, or else the first that can be made. /tmp: where there is no /run/lock.
FOLDERS = (Path("/run/lock"), Path("/tmp"))  # noqa: S108 (fixed: all users must meet there)
NAME = "allocphase.lock"
VARIABLE = "ALLOCPHASE_LOCK"  # another file, or empty for no lock
POLL_S = 0.2
RECORD_BYTES = 4096


class MachineLock:
    """The machine's lock for one run. `problem`: why there is none, or None; `waited_s`."""

    def __init__(self, run: Path) -> None:
        self.problem: str | None = None
        self.waited_s = 0.0
        self._run = run
        self._file: int | None = None

    def acquire(self) -> None:
        """Waits for whoever holds it, and says who that is. Raises InterruptionError.

        Where there can be no lock, it goes on without, and `problem` says why.
        """
        if self._file is not None or self.problem is not None:
            return
        start = time.monotonic()
        try:
            self._file = _locked_file()
        except OSError as error:
            self.problem = f"{error.filename or NAME}: {error.strerror or error}"
        if self._file is not None:
            _write_holder(self._file, self._run)
        self.waited_s += time.monotonic() - start

    def release(self) -> None:
        """May be called again, and by who never had it."""
        if self._file is not None:
            with contextlib.suppress(OSError):
                os.ftruncate(self._file, 0)
            os.close(self._file)
        self._file = None


def _locked_file() -> int | None:
    """The file once it is ours; None when it is an ancestor's.

    Raises OSError, InterruptionError.
    """
    told = None
    while not _taken(file := _open()):
        holder = read_holder(file)
        os.close(file)
        if _is_ancestor(holder):
            return None
        if (who := holder_words(holder)) != told:
            _LOG.warning("waiting: the machine is taken for timing by %s", who)
            told = who
        interruption.check()
        time.sleep(POLL_S)
    return file


def _taken(file: int) -> bool:
    """Whether the lock is ours now. A file that was removed is nobody's meeting point any more."""
    try:
        ours = try_lock(file)
    except OSError:
        os.close(file)
        raise
    return ours and os.fstat(file).st_nlink > 0


def _open() -> int:
    """The lock's file, made when there is none. Raises OSError."""
    chosen = os.environ.get(VARIABLE)
    if chosen == "":
        raise OSError(0, f"{VARIABLE} is empty", "no machine lock")
    paths = [Path(chosen)] if chosen else [folder / NAME for folder in FOLDERS]
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            return _opened(path, 0)
    for path in paths[:-1]:
        with contextlib.suppress(OSError):
            return _opened(path, os.O_CREAT)
    return _opened(paths[-1], os.O_CREAT)


def _opened(path: Path, create: int) -> int:
    """Never through a link, which another user may have planted. Raises OSError."""
    file = open_regular(path, os.O_RDWR | create)
    if os.fstat(file).st_nlink != 1:
        os.close(file)
        raise OSError(0, "is no plain file", str(path))
    if create:
        with contextlib.suppress(OSError):  # somebody else made it first, and opened it to all
            os.fchmod(file, 0o666)
    return file


def _write_holder(file: int, run: Path) -> None:
    record = {
        "pid": os.getpid(),
        "namespace": _namespace(),
        "user": _user(),
        "run": str(run.resolve()),
        "since": datetime.now().astimezone().strftime("%Y-%m-%d %H:%M:%S"),
    }
    with contextlib.suppress(OSError):  # whoever waits is told less
        os.ftruncate(file, 0)
        os.pwrite(file, json.dumps(record).encode(), 0)


def read_holder(file: int) -> dict[str, Any]:
    """What the holder wrote, empty when it is unreadable: anybody may have written it."""
    try:
        record = parse_json(os.pread(file, RECORD_BYTES, 0).decode("utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def holder_words(holder: dict[str, Any]) -> str:
    """Who that is, on one line that can be printed."""
    if not holder:
        return "another run"
    text = "process {pid} of {user}, {run}, since {since}".format_map(
        {key: holder.get(key, "?") for key in ("pid", "user", "run", "since")}
    )
    return inert("".join(letter if letter.isprintable() else "?" for letter in text))


def _user() -> str:
    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return str(os.geteuid())


def _namespace() -> str | None:
    """Pids mean something within one namespace only."""
    try:
        return str(Path("/proc/self/ns/pid").readlink())
    except OSError:
        return None


def _is_ancestor(holder: dict[str, Any]) -> bool:
    if holder.get("namespace") != _namespace():
        return False
    return any(pid == holder.get("pid") for pid in _ancestors())


def _ancestors() -> Iterator[int]:
    """This process, its parent, and so on up."""
    pid = os.getpid()
    while pid > 0:
        yield pid
        status = read_text(Path(f"/proc/{pid}/stat"))
        if status is None:
            return
        pid = int(status.rpartition(")")[2].split()[1])
