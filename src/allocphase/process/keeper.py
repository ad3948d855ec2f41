"""Runs a command under the keeper (driver/keeper.c): within limits, and with nothing left of it.

The keeper does all that has to be done between fork and exec, and all the killing: no code of ours
runs in a forked Python, and what is below a harness that was killed ends as well.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import signal
import socket
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Literal, TypeAlias, cast, get_args

from allocphase.machine.memory import half_of_memory

__all__ = [
    "Command",
    "Containment",
    "Ending",
    "Limits",
    "Reason",
    "keeping",
    "read_ending",
]

Reason: TypeAlias = Literal["ended", "timeout", "memory", "processes", "disk", "stopped", "lost"]

# A keeper that does not end after its command's time waits for something the kernel does not end.
GRACE_S = 30.0
STDERR_BYTES = 4000
# driver/keeper.h: its line, and up to a kilobyte behind it.
MOST_SAID_BYTES = 4096
_LINE = re.compile(
    r"(?P<reason>[a-z]+) (?P<status>\d{1,6}) (?P<left>\d{1,9}) (?P<token>[0-9a-f]{32})"
    r" (?P<hz>\d{1,15})"
)
# What a library that forks for its own purposes may need.
PROCESSES = 64
# What may be in a command's own folder beside one file of the longest; 10,000 files are the most.
DISK_BYTES = 1 << 30


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What one command may use with all that it starts; beyond it, it is killed."""

    memory_bytes: int = field(default_factory=half_of_memory)
    processes: int = PROCESSES
    disk_bytes: int = DISK_BYTES


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """`code`: the command's exit code, negative for a signal. `left`: processes it left running.

    `words`: the end of what it wrote to stderr, which may be anybody's. `failure`: what the command
    or the keeper itself could not do, told before any allocator's code ran. `token`: what the
    command's own files and last words are known by. `clock_hz`: ticks a second as the keeper saw
    them meanwhile; 0, too short to say. `reason` is "lost" when the keeper was killed; `code` is
    the keeper's then.
    """

    reason: Reason
    code: int
    left: int = 0
    words: str = ""
    failure: str = ""
    token: str = field(default="", compare=False)
    clock_hz: float = field(default=0.0, compare=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class Command:
    """What to run where. `file_bytes`: no file may grow longer, nor what is kept of stderr.

    writable: beneath these it may write, where the kernel can see to that (driver/fence.h), and
    signal nobody but itself; none given, there is no fence. processes: how many it may have at
    once, where that is not what the limits say. before: a command that the keeper itself runs
    under, such as perf's: with the rights of whoever runs this, and in no limits. stdin: a file
    descriptor; None, it reads nothing.
    """

    arguments: Sequence[str]
    environment: Mapping[str, str]
    folder: Path
    timeout_s: float
    file_bytes: int
    writable: Sequence[Path] = ()
    processes: int | None = None
    before: Sequence[str] = ()
    stdin: int | None = None


class Containment:
    """Runs commands, in several threads at once if need be, and can stop all of them."""

    def __init__(self, keeper: Path, limits: Limits) -> None:
        self.limits = limits
        self._keeper = keeper
        self._running: set[subprocess.Popen[bytes]] = set()
        self._stopped = False

    def run(self, command: Command) -> Ending:
        """Returns when nothing of the command is left, but for what the kernel does not end."""
        stderr = os.memfd_create("stderr")  # words about a full disk need a place, too
        try:
            ending = self._run(command, stderr)
            ending = replace(ending, words=_last_words(stderr))
            if ending.reason == "lost" and ending.code > 0:  # no allocator can make it exit so
                return replace(ending, failure=ending.words.rpartition("\n")[2])
            return ending
        finally:
            os.close(stderr)

    def _run(self, command: Command, stderr: int) -> Ending:
        ours, theirs = socket.socketpair()  # a pipe could be opened anew by its name in /proc
        with ours, theirs, self._start(command, stderr, theirs.fileno()) as process:
            self._running.add(process)
            try:
                if self._stopped:  # before it was known to `stop`
                    process.terminate()
                _wait(process, command.timeout_s + GRACE_S)
                return read_ending(_said(ours), process.returncode)
            except subprocess.TimeoutExpired:
                return Ending(reason="timeout", code=-signal.SIGKILL)
            finally:
                self._running.discard(process)
                _end(process)

    def stop(self) -> None:
        """Ends what runs and whatever is started later; for signal handlers and other threads."""
        self._stopped = True
        for process in tuple(self._running):
            process.terminate()

    def _start(self, command: Command, stderr: int, stdout: int) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            [*command.before, str(self._keeper), *self._options(command), *command.arguments],
            env=dict(command.environment),
            cwd=command.folder,
            stdin=subprocess.DEVNULL if command.stdin is None else command.stdin,
            stdout=stdout,
            stderr=stderr,
            start_new_session=True,  # Ctrl-C is for the harness
        )

    def _options(self, command: Command) -> list[str]:
        limits = self.limits
        if command.processes is not None:
            limits = replace(limits, processes=command.processes)
        within = keeping(limits, timeout_s=command.timeout_s, file_bytes=command.file_bytes)
        writable = [text for path in command.writable for text in ("--writable", str(path))]
        # What is between ends the keeper itself.
        parent = [] if command.before else ["--parent", str(os.getpid())]
        return [within[0], *parent, *writable, *within[1:]]


def keeping(limits: Limits, *, timeout_s: float, file_bytes: int) -> list[str]:
    """What stands between the keeper's own name and a command that it is to keep."""
    values = {
        "timeout-ns": round(timeout_s * 1e9),
        "memory-bytes": limits.memory_bytes,
        "file-bytes": file_bytes,
        "disk-bytes": limits.disk_bytes + file_bytes,
        "processes": limits.processes,
    }
    options = [text for key, value in values.items() for text in (f"--{key}", str(value))]
    return ["--keep", *options, "--"]


def _wait(process: subprocess.Popen[bytes], timeout_s: float) -> None:
    """Returns as soon as it has ended: Popen itself looks every 50 ms, where it may not wait for
    ever. Raises subprocess.TimeoutExpired.
    """
    with contextlib.suppress(OSError):  # before Linux 5.3
        handle = os.pidfd_open(process.pid)
        try:
            poll = select.poll()
            poll.register(handle, select.POLLIN)
            poll.poll(timeout_s * 1e3)
        finally:
            os.close(handle)
        timeout_s = 0.0
    process.wait(timeout_s)


def _end(process: subprocess.Popen[bytes]) -> None:
    """After an exception: the keeper ends what it keeps, unless the kernel holds that for ever."""
    if process.poll() is not None:
        return
    process.terminate()
    try:
        process.wait(GRACE_S)
    except subprocess.TimeoutExpired:
        process.kill()


def _last_words(stderr: int) -> str:
    start = max(0, os.fstat(stderr).st_size - STDERR_BYTES)
    return os.pread(stderr, STDERR_BYTES, start).decode("utf-8", errors="replace").strip()


def _said(ours: socket.socket) -> bytes:
    """All of it, which the socket has held until the keeper ended."""
    with contextlib.suppress(BlockingIOError):
        return ours.recv(MOST_SAID_BYTES, socket.MSG_DONTWAIT)
    return b""


def read_ending(said: bytes, code: int) -> Ending:
    """From what the keeper has said, and the exit code of the keeper itself."""
    line, _, failure = said.decode("utf-8", errors="replace").partition("\n")
    if code == 0 and (told := _LINE.fullmatch(line)) and told["reason"] in get_args(Reason):
        with contextlib.suppress(ValueError):  # a status that the kernel gives nobody
            return Ending(
                reason=cast(Reason, told["reason"]),
                code=os.waitstatus_to_exitcode(int(told["status"])),
                left=int(told["left"]),
                failure=failure,
                token=told["token"],
                clock_hz=float(told["hz"]),
            )
    # Told to stop before it could listen, and before it had started anything.
    return Ending(reason="stopped" if code == -signal.SIGTERM else "lost", code=code)
