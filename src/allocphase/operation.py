"""Operations, as what makes a run and what reads one know them: their kinds, how many, and how
they are replayed.

Place in the pipeline: below it. driver/trace.h says the same in C.
"""

from __future__ import annotations

from enum import IntEnum

__all__ = [
    "FREE_REMOTE",
    "KIND_NAMES",
    "LATENCY_KINDS",
    "MAX_OPERATIONS",
    "MAX_THREADS",
    "MAX_WARM",
    "MAX_WORK_NS",
    "MODES",
    "TOUCHES",
    "UNCALLED",
    "Kind",
    "Touch",
]

# Of one trace. An operation's rank on its slot has 32 bits, and all may be on one slot.
MAX_OPERATIONS = 0xFFFFFFFF
MAX_THREADS = 4096
# Warm replays of a probe that looks at each call (driver/trace.h).
MAX_WARM = 50
# Of the program's own work between two of them: a millisecond (driver/trace.h).
MAX_WORK_NS = 1_000_000


class Kind(IntEnum):
    """What an operation does; the values of `enum trace_kind`."""

    MALLOC = 0
    CALLOC = 1
    REALLOC = 2
    ALIGNED_ALLOC = 3
    FREE = 4
    FREE_FOREIGN = 5
    WRITE = 6
    SYNC = 7


class Touch(IntEnum):
    """What the program does to a new object; the values of `enum trace_touch`."""

    NONE = 0
    FIRST = 1
    PAGES = 2
    ALL = 3
    RECORDED = 4


TOUCHES = {touch.name.lower(): touch for touch in Touch}
# Of a recording: each call as soon as it can be made, or after the gap that was recorded.
MODES = ("asap", "paced")
# In a run, a free of an object that another thread used last (driver/probes/histogram.h).
FREE_REMOTE = len(Kind)
KIND_NAMES = (*(kind.name.lower() for kind in Kind), "free_remote")
# A write is the program's own work, a sync an order between its threads: neither calls anything.
UNCALLED = (Kind.WRITE, Kind.SYNC)
LATENCY_KINDS = tuple(name for code, name in enumerate(KIND_NAMES) if code not in UNCALLED)
