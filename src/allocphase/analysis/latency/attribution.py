"""What happened in a call: the join of one process's latencies with another one's system calls.

A trace is deterministic, so an operation has one place in it (its row: thread after thread) in
every process, and so in each replay that repeats it (replays.py). The process that timed the calls
saw which of the slow ones faulted, slept or were put aside; the syscalls probe saw which ones made
a system call. Both are sets of rows.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.probe.arrays import SLOW_CALL, Arrays
from allocphase.probe.result import Syscalls
from allocphase.store.record import ProcessRecord

__all__ = [
    "CAUSES",
    "EVENTS",
    "PAGE_FAULT",
    "PREEMPTION",
    "SLEEP",
    "SYSTEM_CALL",
    "Events",
    "Rows",
    "called_rows",
    "causes_of",
    "events_of",
]

# Why a call may have been slow. `waited`: the thread slept in the call (a lock, as a rule);
# `preempted`: somebody else ran on its CPU, which is the machine's doing.
CAUSES = ("system call", "page fault", "waited", "preempted", "neither")

# What can happen in a call, a bit each; several may.
EVENTS = ("system call", "page fault", "sleep", "preemption")
SYSTEM_CALL, PAGE_FAULT, SLEEP, PREEMPTION = (1 << bit for bit in range(len(EVENTS)))
_SLOW_FIELDS = {"faults": PAGE_FAULT, "sleeps": SLEEP, "preemptions": PREEMPTION}

# Places in the trace, and their events as bits.
Rows = npt.NDArray[np.int64]
Bits = npt.NDArray[np.uint8]


def _cause_of(events: int) -> int:
    """What explains a call best: one that slept did so in a system call, and so on."""
    by_rank = ((SLEEP, "waited"), (SYSTEM_CALL, "system call"), (PAGE_FAULT, "page fault"),
               (PREEMPTION, "preempted"))  # fmt: skip
    return CAUSES.index(next((cause for bit, cause in by_rank if events & bit), "neither"))


_CAUSE_OF = np.array([_cause_of(events) for events in range(1 << len(EVENTS))], dtype=np.int8)


def causes_of(events: npt.ArrayLike) -> npt.NDArray[np.int8]:
    """Bits of events -> indices into CAUSES, same shape."""
    codes: npt.NDArray[np.int8] = _CAUSE_OF[np.asarray(events)]
    return codes


def called_rows(record: ProcessRecord, arrays: Arrays) -> Rows | None:
    """Rows in which a process of the syscalls probe saw system calls, ascending, each once.

    None where it could not see them all: no backend, or more calls than its log holds.
    """
    counts = record.part(Syscalls)
    if counts.operation is None or counts.events_dropped:
        return None
    if "syscalls" not in arrays:
        return np.empty(0, dtype=np.int64)
    return np.unique(arrays["syscalls"]["op"].astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """The rows in which anything happened, ascending, each once. Both arrays: shape (n,)."""

    rows: Rows
    bits: Bits

    def at(self, rows: Rows) -> Bits:
        """What happened in each of `rows`, which may be in any order."""
        if not self.rows.size:
            return np.zeros(rows.size, dtype=np.uint8)
        place = np.minimum(np.searchsorted(self.rows, rows), self.rows.size - 1)
        found: Bits = np.where(self.rows[place] == rows, self.bits[place], np.uint8(0))
        return found

    def spread(self, count: int) -> Bits:
        """What happened in each row of a trace of that length."""
        bits = np.zeros(count, dtype=np.uint8)
        bits[self.rows] = self.bits
        return bits


def events_of(arrays: Arrays, called: Rows) -> Events:
    """What happened in the calls of a latency process; `called`: see called_rows."""
    slow = arrays.get("slow", np.empty(0, SLOW_CALL))
    slow_rows = slow["op"].astype(np.int64)
    rows = np.union1d(called, slow_rows) if slow_rows.size else called
    bits = np.zeros(rows.size, dtype=np.uint8)
    bits[np.searchsorted(rows, called)] = SYSTEM_CALL
    seen = sum(np.where(slow[field] > 0, np.uint8(bit), np.uint8(0))
               for field, bit in _SLOW_FIELDS.items())  # fmt: skip
    bits[np.searchsorted(rows, slow_rows)] |= np.asarray(seen, dtype=np.uint8)
    return Events(rows, bits)
