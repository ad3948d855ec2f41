"""What a recording says: the malloc calls of one process, thread after thread, as numpy arrays.

    recording = open_recording(path)             a Recording: event_file.py
    for batch in recording.batches():            a Batch: events of one thread, dtype EVENT
        batch.events["kind"] == Kind.FREE

One file has the calls of one *image*: a process from its start, or from an exec, to its end or the
next exec. A fork makes a new one, which names its parent.

**Objects.** A block is known by its *object*: a number from 0 to `recording.objects` - 1, numbered
thread after thread, and within a thread by birth; of thread t it is one of
`range(first_object[t], first_object[t + 1])`. The recorder resolves addresses while it records, in
an order in which a free stands before the allocation that got its address next; there are none in
the file. Each object has one birth (ALLOCATION, REALLOC_END, INHERITED) and at most one death
(FREE, REALLOC_BEGIN), possibly by another thread. What could not be resolved so is counted:
`recording.facts.ambiguous`, 0 expected.

**Kinds.** A free is logged before its call and an allocation after it. So between the death of an
object and the birth of the one that took its memory there is no gap in which both live:

    ALLOCATION      object: the new block; size: bytes asked for; extra: of calloc and its like, how
                    many elements they were
    FREE            object: the block, NO_OBJECT of free(NULL), UNKNOWN_OBJECT of one never seen;
                    size, extra: what a sized delete or free_sized told, else 0
    REALLOC_BEGIN   object: the old block or NO_OBJECT, dead from here on; size: bytes asked for;
                    extra: of reallocarray, how many elements
    REALLOC_END     object: the new block, also where it did not move; size: bytes asked for
    REALLOC_FREED   realloc(p, 0) returned NULL: the block is gone, there is none
    REALLOC_FAILED  object: the old block, which lives on with the same number
    USABLE_SIZE     object: the block asked for; size: the answer
    FAILED          an allocation of `size` bytes that returned NULL, or threw
    INHERITED       object: a block that the process had when it was forked; size: bytes asked for.
                    These come first, of the one thread that a fork leaves
    TOUCHED         object: a block of a page or more that is about to die, or that is left at the
                    exit; size: how many of its bytes were touched. No call; only where
                    `record --touched` asked for it

After a REALLOC_BEGIN the thread's next event is its end, unless a signal handler calls in between:
then the handler's events stand in between, complete and in order, unless it leaves by longjmp.

**Order.** Within a thread events stand in the order of the thread's calls, and `time` never
decreases. Batches come in the order of the file: those of one thread in order; those of different
threads as they were drained, some milliseconds apart. Between threads `time` decides, to within one
tick: all threads read one clock. A use of an object by another thread than the one that had it
never stands before its birth in time by more than that.

**Time** counts ticks since the recording of the whole tree of processes began;
`ticks_per_second` of them are a second, some 4 ns each. While a process has had one thread and one
lane, a clock is read for one of some four allocations and frees; those between have the time of the
event before. So `time` is never late, and early by no more than three calls. Every other kind of
event, each of a process with several threads, and 4,096 of each 262,144 have their own times.

Place in the pipeline: a maker; convert makes traces of it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import IntEnum
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.files.typed import Amount, Count, Positive

__all__ = [
    "BIRTHS",
    "DEATHS",
    "ENTRY_NAMES",
    "EVENT",
    "MAX_THREADS",
    "MAX_TICKS",
    "NO_OBJECT",
    "UNKNOWN_OBJECT",
    "Batch",
    "Entry",
    "Kind",
    "RecordedThread",
    "RecordingCost",
    "RecordingFacts",
]


MAX_THREADS = 1 << 17  # of one process, one after the other; driver/recorder/arena.h has it too
MAX_TICKS = 1 << 61  # some seven hundred years: no time of a recording is so late


class Kind(IntEnum):
    """What an event is. driver/recorder/event.h has the same numbers."""

    ALLOCATION = 0
    FREE = 1
    REALLOC_BEGIN = 2
    REALLOC_END = 3
    REALLOC_FREED = 4
    REALLOC_FAILED = 5
    USABLE_SIZE = 6
    FAILED = 7
    INHERITED = 8
    TOUCHED = 9


BIRTHS = (Kind.ALLOCATION, Kind.REALLOC_END, Kind.INHERITED)
DEATHS = (Kind.FREE, Kind.REALLOC_BEGIN)


class Entry(IntEnum):
    """Which function was called. driver/recorder/event.h has the same numbers."""

    NONE = 0  # of INHERITED
    MALLOC = 1
    CALLOC = 2
    REALLOC = 3
    REALLOCARRAY = 4
    FREE = 5
    CFREE = 6
    FREE_SIZED = 7
    FREE_ALIGNED_SIZED = 8
    MEMALIGN = 9
    ALIGNED_ALLOC = 10
    POSIX_MEMALIGN = 11
    VALLOC = 12
    PVALLOC = 13
    MALLOC_USABLE_SIZE = 14
    NEW = 15
    NEW_NOTHROW = 16
    NEW_ARRAY = 17
    NEW_ARRAY_NOTHROW = 18
    NEW_ALIGNED = 19
    NEW_ALIGNED_NOTHROW = 20
    NEW_ARRAY_ALIGNED = 21
    NEW_ARRAY_ALIGNED_NOTHROW = 22
    DELETE = 23
    DELETE_NOTHROW = 24
    DELETE_SIZED = 25
    DELETE_ALIGNED = 26
    DELETE_ALIGNED_NOTHROW = 27
    DELETE_SIZED_ALIGNED = 28
    DELETE_ARRAY = 29
    DELETE_ARRAY_NOTHROW = 30
    DELETE_ARRAY_SIZED = 31
    DELETE_ARRAY_ALIGNED = 32
    DELETE_ARRAY_ALIGNED_NOTHROW = 33
    DELETE_ARRAY_SIZED_ALIGNED = 34


ENTRY_NAMES = tuple(entry.name.lower() for entry in Entry)

NO_OBJECT = (1 << 64) - 1  # NULL
UNKNOWN_OBJECT = (1 << 64) - 2  # a block that was not allocated by a call that was seen

# align_log2: of calls with an alignment, its logarithm; 0 of all others.
EVENT = np.dtype(
    [
        ("time", "<u8"),
        ("object", "<u8"),
        ("size", "<u8"),
        ("extra", "<u8"),
        ("kind", "u1"),
        ("entry", "u1"),
        ("align_log2", "u1"),
    ],
    align=True,
)


@dataclass(frozen=True, slots=True)
class Batch:
    """Events of one thread, dtype EVENT, in the thread's order. thread: its place in `threads`."""

    thread: int
    events: npt.NDArray[Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordedThread:
    """One thread of a process. Times are ticks, as those of events.

    tid: the system's number, 0 where there is none; created: just before the pthread_create that
    made it, in thread `parent`; birth: its own first moment; end: after the last of its destructors
    but for those of the linker; joined: when a pthread_join for it returned, in thread `joined_by`.
    None: never, or not seen, as of the first thread's parent; a birth is never where pthread_create
    failed.

    shared: no thread but a lane for events that had none of their own: of destructors that run when
    a thread has ended, and of threads beyond the recorder's number. `time` decides their order.
    """

    tid: Count = 0
    parent: Count | None = None
    created: Count | None = None
    birth: Count | None = None
    end: Count | None = None
    joined: Count | None = None
    joined_by: Count | None = None
    stalls: Count = 0
    shared: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingCost:
    """What recording took, of the whole tree of processes.

    wall_ns:         of the command under the recorder
    wall_without_ns: of one run without it before, 0 where nobody asked for that
    peak_rss_bytes:  of the recorder's own two processes
    cpu_ns:          of the one that reads the rings
    """

    wall_ns: Count
    wall_without_ns: Count = 0
    peak_rss_bytes: Count
    cpu_ns: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingFacts:
    """What stands in the file about the image beside its events.

    command:            the arguments of the process, its name first
    process:            its place in the recording of the tree, from 0
    parent:             that of the process that forked or started it, None of the first
    origin:             "start" of the first, "fork", or "exec" of what was executed
    ended:              "exit" however the process ended, "exec" where another image took its
                        place, "running" where it went on after the command ended, and "max-bytes",
                        "write" (the disk refused) or "recorder" (it died) where the recording ended
                        before the process did; then the last events of a thread may be missing
    allocator:          who served it: the object that malloc came from
    clock:              tsc, cntvct or monotonic
    reading_ns:         what one reading of the clock takes
    started_ns:         of tick 0, nanoseconds since 1970
    counts:             events by kind
    stalls, stalled_ns: how often a thread waited for the recorder, and how long in all
    ambiguous:          births at addresses where an object still lived: its death was not seen, or
                        seen too late
    unrecorded:         calls that came before the allocator behind the recorder could be asked, and
                        were served by the recorder itself
    cost:               None where the recording ended before it was known
    """

    command: tuple[str, ...]
    pid: Count = 0
    process: Count = 0
    parent: Count | None = None
    origin: str = "start"
    ended: str = "exit"
    allocator: str = ""
    clock: str = "tsc"
    ticks_per_second: Positive
    reading_ns: Amount = 0.0
    started_ns: Count = 0
    start: Count = 0
    threads: tuple[RecordedThread, ...]
    counts: Mapping[str, Count] = field(default_factory=dict)
    stalls: Count = 0
    stalled_ns: Count = 0
    ambiguous: Count = 0
    unrecorded: Count = 0
    cost: RecordingCost | None = None
