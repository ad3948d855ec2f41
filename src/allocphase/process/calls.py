"""What the program_calls probe leaves: the table of the counting preload, and the processes that
the driver followed.

The table (driver/preload/counted.h) is made here and shared by all processes of the program, so
that what they counted is in it however they ended. The lines of the driver's (driver/follow.h) say
which programs were executed, of which a preload knows only those that it got into.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.files.regular import open_regular, read_regular
from allocphase.probe.arrays import CALLING_PROCESS, CALLING_THREAD, MALLOC_KINDS, Arrays
from allocphase.probe.result import Heap
from allocphase.process.output import DamagedError

__all__ = ["CallTable", "Followed", "make_table", "read_followed", "read_table"]

# counted.h
_MAGIC = 0x31746E756F436C41
_HEAD = np.dtype([("magic", "<u8"), ("processes", "<u4"), ("threads", "<u4"), ("padding", "V48")])
MAX_PROCESSES = 65536
MAX_THREADS = 131072
_PROCESSES_AT = _HEAD.itemsize
_THREADS_AT = _PROCESSES_AT + MAX_PROCESSES * CALLING_PROCESS.itemsize
TABLE_BYTES = _THREADS_AT + MAX_THREADS * CALLING_THREAD.itemsize
# Two lines of some 100 bytes for each process.
_FOLLOWED_BYTES = 64 << 20


def make_table(path: Path) -> None:
    """An empty one, sparse. Raises OSError."""
    head = np.zeros((), _HEAD)
    head["magic"] = _MAGIC
    file = open_regular(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL)
    try:
        os.write(file, head.tobytes())
        os.ftruncate(file, TABLE_BYTES)
    finally:
        os.close(file)


@dataclass(frozen=True, slots=True)
class CallTable:
    """A line for each process that was begun, and one for each of its threads that called: its
    `process` is a place among the processes, from 1 on.
    """

    processes: npt.NDArray[np.void]
    threads: npt.NDArray[np.void]

    @property
    def arrays(self) -> Arrays:
        """As a run keeps them."""
        return {"calling_processes": self.processes, "calling_threads": self.threads}

    @property
    def calls(self) -> dict[str, int]:
        """By kind, of all processes; those that were made."""
        totals = {kind: int(self.threads[kind].sum()) for kind in MALLOC_KINDS}
        return {kind: total for kind, total in totals.items() if total}

    @property
    def requested_bytes(self) -> int:
        """Of all processes."""
        return int(self.threads["requested_bytes"].sum())

    @property
    def peak_usable_bytes(self) -> int | None:
        """Of the process with the highest; None where one of them could not say."""
        if not self.processes.size or self.processes["usable_unknown"].any():
            return None
        return max(int(self.processes["peak_usable_bytes"].max()), 0)

    def largest(self, followed: Followed) -> Heap | None:
        """Of the processes in the table the one with the most anonymous memory, of all that were
        seen at their end; None where none was.

        Where several have had a number, by exec or since it was given again, the last one counts.
        """
        place_of = {int(pid): place for place, pid in enumerate(self.processes["pid"])}
        ends = [end for end in followed.ends if end.pid in place_of]
        if not ends:
            return None
        end = max(ends, key=lambda one: one.anonymous_bytes)
        return self._heap(end, place_of[end.pid])

    def _heap(self, end: _End, place: int) -> Heap:
        process = self.processes[place]
        threads = self.threads[self.threads["process"] == place + 1]
        usable = None if process["usable_unknown"] else max(int(process["peak_usable_bytes"]), 0)
        return Heap(
            program=end.program,
            anonymous_bytes=end.anonymous_bytes,
            usable_bytes=usable,
            own_mapped_bytes=int(process["own_mapped_bytes"]),
            calls=sum(int(threads[kind].sum()) for kind in MALLOC_KINDS),
            requested_bytes=int(threads["requested_bytes"].sum()),
        )


def read_table(path: Path) -> CallTable:
    """Raises DamagedError for what no counting preload left."""
    try:
        content = read_regular(path, TABLE_BYTES)
    except OSError as error:
        raise DamagedError(f"the table of calls: {error.strerror}") from None
    if len(content) != TABLE_BYTES:
        raise DamagedError(f"the table of calls: {len(content)} bytes, not {TABLE_BYTES}")
    head: Any = np.frombuffer(content, _HEAD, 1)[0]
    if head["magic"] != _MAGIC:
        raise DamagedError("the table of calls: its beginning was written over")
    processes = np.frombuffer(content, CALLING_PROCESS, MAX_PROCESSES, _PROCESSES_AT)
    threads = np.frombuffer(content, CALLING_THREAD, MAX_THREADS, _THREADS_AT)
    return CallTable(
        processes[: min(int(head["processes"]), MAX_PROCESSES)],
        threads[: min(int(head["threads"]), MAX_THREADS)],
    )


# ---- Processes that were followed ----------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _End:
    pid: int
    anonymous_bytes: int
    program: str


@dataclass(frozen=True, slots=True)
class Followed:
    """started: the programs that were executed, one by one; ends: of the processes that ended by
    themselves.
    """

    started: tuple[str, ...]
    ends: tuple[_End, ...]

    def unreached(self, witnessed: Iterable[str]) -> dict[str, int]:
        """How often which program was executed without a witness; `witnessed`: the programs of
        those that had one.
        """
        return dict(sorted((Counter(self.started) - Counter(witnessed)).items()))


def read_followed(path: Path) -> Followed | None:
    """None where nobody could be followed. Raises DamagedError."""
    try:
        text = read_regular(path, _FOLLOWED_BYTES).decode("utf-8", errors="replace")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise DamagedError(f"the list of processes: {error.strerror}") from None
    lines = list(_lines(text))
    return Followed(
        tuple(end.program for what, end in lines if what == "exec"),
        tuple(end for what, end in lines if what == "exit"),
    )


def _lines(text: str) -> Iterator[tuple[str, _End]]:
    """What is none of the driver's lines was written by somebody else, and says nothing."""
    for line in text.splitlines():
        fields = line.split("\t")
        if len(fields) == 4 and fields[1].isdecimal() and fields[2].isdecimal():
            yield fields[0], _End(int(fields[1]), int(fields[2]), fields[3])
