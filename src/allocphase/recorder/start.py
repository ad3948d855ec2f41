"""A command under the recorder: the drainer beside it, its events into files, its end.

    allocphase record ── starts ──► allocphase-recorder     drains the rings (driver/recorder)
           │                              │ frames
           │  ◄───────────────────────────┘
           └──── starts ──► COMMAND, with liballocphase-recorder.so preloaded

The command has its own standard streams and gets the terminal's signals as without us; those that
are sent to us alone go on to it. The drainer has a session of its own, so that none reaches it. A
drainer that dies, a disk that is full and a limit that is reached end the recording and not the
command.
"""

from __future__ import annotations

import errno
import os
import re
import resource
import signal
import stat
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from types import FrameType
from typing import BinaryIO, cast

from allocphase import resources
from allocphase.errors import AllocphaseError, shown
from allocphase.files.regular import opened_to_give, read_regular_text
from allocphase.machine.memory import half_of_memory
from allocphase.recorder.events import RecordingCost
from allocphase.recorder.frames import DrainerEnd, Frame, FrameKind, end_of, frames, image_of
from allocphase.recorder.touched import LIBRARY, require_kernel_tells
from allocphase.recorder.tree_files import RecordedImage, TreeFiles

__all__ = [
    "RecordedTree",
    "learn_touched",
    "record",
    "recording_environment",
    "wall_without_ns",
]

ARENA_VARIABLE = "ALLOCPHASE_RECORDER"
# What a terminal sends to us as well as to the command.
_FROM_TERMINAL = (signal.SIGINT, signal.SIGQUIT)
# What is sent to us alone, by who wants the command to end, or to know something.
_SENT_ON = (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1, signal.SIGUSR2)
_COMMAND_ENDED, _LIMIT = b"e", b"l"
# 16 million events that a fast program is ahead of the drainer (driver/recorder/drainer/rings.h).
_MOST_BACKLOG_BYTES = 256 << 20
SHELL = "/bin/sh"


@dataclass(frozen=True, slots=True)
class RecordedTree:
    """What came of it.

    exit_status: of the command, as subprocess has it: negative for a signal. ended: None, or what
    ended the recording before the command did: "max-bytes", "recorder", or "write" with `refusal`,
    the disk's words. drainer: None where it died.
    """

    exit_status: int
    images: tuple[RecordedImage, ...]
    ended: str | None
    refusal: str
    drainer: DrainerEnd | None
    cost: RecordingCost


def record(
    program: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    path: Path,
    max_bytes: int | None = None,
    wall_without_ns: int = 0,
) -> RecordedTree:
    """Runs a command to its end and writes its event files.

    environment: of the command, without the recorder. wall_without_ns: of a run without it, to be
    kept in the files. Raises UsageError where a file is there already, AllocphaseError where the
    recorder cannot be started, OSError where the command can not.
    """
    return _recorded(
        partial(_started, program, command),
        environment,
        path=path,
        max_bytes=max_bytes,
        wall_without_ns=wall_without_ns,
    )


def learn_touched(
    program: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    path: Path,
    max_bytes: int | None = None,
) -> RecordedTree:
    """Records the command once more, for what it touches of its blocks (touched.py); what it prints
    is not shown, and it reads the same standard input where that is a file, else nothing. Which
    allocator serves it is no matter, but for those that are preloaded behind.

    Raises as record(), and AllocphaseError where the kernel does not tell what is touched.
    """
    require_kernel_tells()
    with _input_kept() as stdin:
        return _recorded(
            partial(_started, program, command, is_silent=True, stdin=stdin),
            _preloaded(LIBRARY, environment),
            path=path,
            max_bytes=max_bytes,
        )


def record_apart(
    program: Path,
    command: Sequence[str],
    environment: Mapping[str, str],
    *,
    path: Path,
    folder: Path,
    stdin: Path | None,
) -> RecordedTree:
    """Records a command in a folder of its own; what it prints is not shown. It reads `stdin`, or
    nothing. Raises as record().
    """
    with opened_to_give(stdin) as file:
        start = partial(
            _started, program, command, is_silent=True, stdin=file.fileno(), folder=folder
        )
        return _recorded(start, environment, path=path, max_bytes=None)


_Start = Callable[[Mapping[str, str]], "subprocess.Popen[bytes]"]


def _recorded(
    start_command: _Start,
    environment: Mapping[str, str],
    *,
    path: Path,
    max_bytes: int | None,
    wall_without_ns: int = 0,
) -> RecordedTree:
    files = TreeFiles(path, max_bytes=max_bytes)
    with _drainer() as drainer:
        arena = _arena_of(drainer)
        variables = recording_environment(environment, arena)
        with _signals() as forwarding:
            start = time.monotonic()
            try:
                process = start_command(variables)
            except OSError:
                drainer.kill()
                raise
            forwarding.begin(process.pid)
            watch = _Watch(process, drainer)
            ended = _collect(drainer, files, watch)
            watch.thread.join()
        cost = _cost(watch.end - start, ended.drainer, wall_without_ns)
        images = files.close(ended.reason or "recorder", cost)
    return RecordedTree(
        exit_status=process.returncode,
        images=tuple(images),
        ended=ended.reason,
        refusal=ended.refusal,
        drainer=ended.drainer,
        cost=cost,
    )


def _cost(seconds: float, drainer: DrainerEnd | None, wall_without_ns: int) -> RecordingCost:
    own_bytes = _peak_rss_bytes()
    return RecordingCost(
        wall_ns=round(seconds * 1e9),
        wall_without_ns=wall_without_ns,
        peak_rss_bytes=own_bytes + (drainer.peak_rss_bytes if drainer is not None else 0),
        cpu_ns=drainer.cpu_ns if drainer is not None else 0,
    )


def _peak_rss_bytes() -> int:
    """Of this process since it is this program; ru_maxrss has what it was forked from, too."""
    status = read_regular_text(Path("/proc/self/status"), 1 << 16)
    return int(status.partition("VmHWM:")[2].split()[0]) * 1024


def recording_environment(environment: Mapping[str, str], arena: str) -> dict[str, str]:
    """The recorder before whatever is preloaded otherwise.

    Raises AllocphaseError where it is not installed, or lies where nothing can be preloaded from.
    """
    return {**_preloaded("liballocphase-recorder.so", environment), ARENA_VARIABLE: arena}


def _preloaded(name: str, environment: Mapping[str, str]) -> dict[str, str]:
    library = str(resources.find(f"driver/{name}").absolute())
    if re.search(r"[\s:]", library):
        raise AllocphaseError(
            f"{shown(library)}: a path with a blank or a colon cannot be preloaded: install "
            "allocphase elsewhere"
        )
    others = environment.get("LD_PRELOAD")
    return {**environment, "LD_PRELOAD": f"{library}:{others}" if others else library}


def wall_without_ns(program: Path, command: Sequence[str], environment: Mapping[str, str]) -> int:
    """How long the command takes without the recorder; what it prints is not shown.

    It reads the same standard input where that is a file, else nothing. Raises OSError.
    """
    with _input_kept() as stdin:
        start = time.monotonic_ns()
        _started(program, command, environment, is_silent=True, stdin=stdin).wait()
        return time.monotonic_ns() - start


@contextmanager
def _input_kept() -> Iterator[int | None]:
    """Standard input as Popen takes it, where that is a file: the next one to read it begins where
    we did. Else nothing.
    """
    is_file = stat.S_ISREG(os.fstat(0).st_mode)
    place = os.lseek(0, 0, os.SEEK_CUR) if is_file else 0
    try:
        yield None if is_file else subprocess.DEVNULL
    finally:
        if is_file:
            os.lseek(0, place, os.SEEK_SET)


# ---- The drainer --------------------------------------------------------------------------


@contextmanager
def _drainer() -> Iterator[subprocess.Popen[bytes]]:
    binary = resources.find("driver/allocphase-recorder")
    try:
        drainer = subprocess.Popen(
            [str(binary), str(min(_MOST_BACKLOG_BYTES, half_of_memory() // 8))],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            start_new_session=True,
        )
    except OSError as error:
        raise AllocphaseError(f"{binary}: cannot be started: {error.strerror}") from error
    try:
        yield drainer
    except BaseException:
        drainer.kill()
        raise
    finally:
        for stream in (drainer.stdin, drainer.stdout):
            with suppress(OSError):
                cast(BinaryIO, stream).close()
        drainer.wait()


def _arena_of(drainer: subprocess.Popen[bytes]) -> str:
    """Where it says that its memory is. Raises AllocphaseError."""
    for frame in frames(cast(BinaryIO, drainer.stdout)):
        if frame.kind == FrameKind.READY:
            return os.fsdecode(frame.payload)
        break
    code = drainer.wait()
    if resource.getrlimit(resource.RLIMIT_FSIZE)[0] != resource.RLIM_INFINITY:
        raise AllocphaseError(
            "the recorder needs no limit on the size of files: ulimit -f unlimited"
        )
    raise AllocphaseError(f"the recorder could not begin (exit code {code}): no memory for it?")


def _tell(drainer: subprocess.Popen[bytes], word: bytes) -> None:
    with suppress(OSError):  # it is gone
        os.write(cast(BinaryIO, drainer.stdin).fileno(), word)


@dataclass
class _Ended:
    reason: str | None = None
    refusal: str = ""
    drainer: DrainerEnd | None = None


def _collect(drainer: subprocess.Popen[bytes], files: TreeFiles, watch: _Watch) -> _Ended:
    """Until the drainer has said all, or is gone."""
    ended = _Ended()
    try:
        for frame in frames(cast(BinaryIO, drainer.stdout)):
            if frame.kind == FrameKind.END:
                ended.drainer = end_of(frame)
            elif ended.reason != "write":
                _take(frame, files, ended)
                if ended.reason is None and files.is_nearly_full:
                    ended.reason = "max-bytes"
                if ended.reason is not None:
                    watch.stop_recording()
    except ValueError:
        ended.drainer = None
    if ended.drainer is None:
        ended.reason = ended.reason or "recorder"
        drainer.kill()
        drainer.wait()  # as long as it is to be waited for, the command takes it to live
    return ended


def _take(frame: Frame, files: TreeFiles, ended: _Ended) -> None:
    try:
        if frame.kind == FrameKind.IMAGE:
            facts, is_last = image_of(frame)
            files.tell(frame.process, facts, is_last=is_last)
        elif frame.kind == FrameKind.CHUNK:
            files.add(frame.process, frame.chunk, frame.payload)
    except OSError as error:
        ended.reason, ended.refusal = "write", error.strerror or str(error)
    except AllocphaseError as error:
        ended.reason, ended.refusal = "write", str(error)


# ---- The command --------------------------------------------------------------------------


def _started(
    program: Path,
    command: Sequence[str],
    variables: Mapping[str, str],
    *,
    is_silent: bool = False,
    stdin: int | None = None,
    folder: Path | None = None,
) -> subprocess.Popen[bytes]:
    """As `exec` would: with all descriptors that we were given. Raises OSError."""
    path = command[0] if "/" in command[0] else str(program)
    output = subprocess.DEVNULL if is_silent else None

    def start(words: Sequence[str], executable: str) -> subprocess.Popen[bytes]:
        return subprocess.Popen(
            list(words),
            executable=executable,
            env=dict(variables),
            close_fds=False,
            stdin=stdin,
            cwd=folder,
            stdout=output,
            stderr=output,
        )

    try:
        return start(command, path)
    except OSError as error:
        if error.errno != errno.ENOEXEC:
            raise
        return start([SHELL, path, *command[1:]], SHELL)


@dataclass
class _Watch:
    """Waits for the command in a thread of its own, and tells the drainer of its end."""

    process: subprocess.Popen[bytes]
    drainer: subprocess.Popen[bytes]
    end: float = 0.0
    thread: threading.Thread = field(init=False)
    _is_told: bool = False
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def __post_init__(self) -> None:
        self.thread = threading.Thread(target=self._wait)
        self.thread.start()

    def _wait(self) -> None:
        self.process.wait()
        self.end = time.monotonic()
        self._say(_COMMAND_ENDED)

    def stop_recording(self) -> None:
        """The command goes on without it."""
        self._say(_LIMIT)

    def _say(self, word: bytes) -> None:
        with self._lock:
            if not self._is_told:
                self._is_told = True
                _tell(self.drainer, word)


class _Forwarding:
    """Of signals to the command. One that comes while it is being started is kept until then."""

    def __init__(self) -> None:
        self._pid: int | None = None
        self._early: list[int] = []

    def send_on(self, number: int, _: FrameType | None = None) -> None:
        """A handler."""
        if self._pid is None:
            self._early.append(number)
            return
        with suppress(ProcessLookupError):
            os.kill(self._pid, number)

    def begin(self, pid: int) -> None:
        """To this process, also what has come already."""
        self._pid = pid
        for number in self._early:
            self.send_on(number)


@contextmanager
def _signals() -> Iterator[_Forwarding]:
    """Ours, while the command runs."""
    forwarding = _Forwarding()

    def leave(number: int, _: FrameType | None) -> None:
        """The terminal has told the command too. No SIG_IGN, which it would inherit."""

    ours = dict.fromkeys(_FROM_TERMINAL, leave) | dict.fromkeys(_SENT_ON, forwarding.send_on)
    # What whoever started us ignores the command is to ignore as well.
    ours = {n: ours[n] for n in ours if signal.getsignal(n) != signal.SIG_IGN}
    before = {number: signal.signal(number, handler) for number, handler in ours.items()}
    try:
        yield forwarding
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
