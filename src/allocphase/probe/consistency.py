"""Whether the arrays of a run directory fit each other: every index in them is one.

A run's files may come from elsewhere, or from an allocator that wrote into the driver's tables:
what passes here can be used as an index without another look.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allocphase.files.archive import Arrays
from allocphase.operation import MAX_OPERATIONS, MAX_THREADS
from allocphase.probe.arrays import BUCKETS, SIZE_CLASSES

__all__ = [
    "Counts",
    "latencies_problem",
    "operations_problem",
    "samples_problem",
    "thread_counts",
]

Counts = npt.NDArray[np.int64]

COLUMNS = ("kind", "size", "thread", "op")
# How the arrays name an operation: by its place in the trace, or by its rank in a thread.
BY_PLACE = ("outliers", "slow")
BY_RANK = ("syscalls", "faults")


def thread_counts(operations: Arrays) -> Counts:
    """How many operations each thread has, shape (threads,)."""
    if "thread_ops" in operations:
        return operations["thread_ops"]
    return np.bincount(operations["thread"]).astype(np.int64)


def operations_problem(arrays: Arrays, *, kinds: int) -> str:
    """The first fault of a file of operations, "" for none. `kinds`: how many kinds there are."""
    missing = [name for name in COLUMNS if name not in arrays]
    if missing:
        return f"lacks {missing[0]}"
    shape = arrays["kind"].shape
    if len(shape) != 1 or any(arrays[name].shape != shape for name in COLUMNS):
        return "its columns differ in length"
    thread = arrays["thread"]
    if (thread[1:] < thread[:-1]).any():
        return "thread: operations of one thread do not stand together"
    if "thread_ops" in arrays:
        return "thread_ops: beside operations" if shape[0] else _counts_problem(arrays)
    if not shape[0] or int(thread[-1]) >= MAX_THREADS:
        return f"has {shape[0]} operations of a number of threads beyond 1 to {MAX_THREADS}"
    if int(arrays["kind"].max()) >= kinds:
        return "kind: one that does not exist"
    counts = thread_counts(arrays)
    if (arrays["op"] != np.arange(shape[0]) - np.repeat(np.cumsum(counts) - counts, counts)).any():
        return "op: not numbered 0, 1, 2, ... in each thread"
    return ""


def _counts_problem(arrays: Arrays) -> str:
    counts = arrays["thread_ops"]
    if counts.ndim != 1 or not 0 < len(counts) <= MAX_THREADS:
        return "thread_ops: not one number a thread"
    if counts.min() < 0 or counts.max() > MAX_OPERATIONS:
        return "thread_ops: a number of operations that no trace has"
    return ""


def samples_problem(arrays: Arrays, counts: Counts, *, kinds: int) -> str:
    """The first fault of a process's arrays, "" for none; `counts` as `thread_counts` has them."""
    total = int(counts.sum())
    for name in ("call_ticks", "touch_ticks"):
        if name in arrays and arrays[name].shape != (total,):
            return f"{name}: has shape {arrays[name].shape}, not one value an operation"
    for one, other in (("call_ticks", "touch_ticks"), ("call_histogram", "touch_histogram")):
        if (one in arrays) != (other in arrays):
            return f"has {one} or {other}, not both"
    shapes = {
        **dict.fromkeys(("call_histogram", "touch_histogram"), (kinds, SIZE_CLASSES, BUCKETS)),
        "thread_histogram": (len(counts), BUCKETS),
    }
    for name, shape in shapes.items():
        if name in arrays and arrays[name].shape != shape:
            return f"{name}: has shape {arrays[name].shape}, not {shape}"
    for name in (*BY_PLACE, *BY_RANK, "checkpoints"):
        if name in arrays and arrays[name].ndim != 1:
            return f"{name}: not one row an event"
    for name in BY_PLACE:
        if name in arrays and not _below(arrays[name]["op"], total):
            return f"{name}: an operation that does not exist"
    for name in BY_RANK:
        if name in arrays and not _named(arrays[name], counts):
            return f"{name}: an operation that does not exist"
    slowest = arrays.get("outliers")
    if slowest is not None and not _below(slowest["kind"], kinds):
        return "outliers: a kind that does not exist"
    if slowest is not None and not _below(slowest["thread"], len(counts)):
        return "outliers: a thread that does not exist"
    return ""


def latencies_problem(arrays: Arrays) -> str:
    """What a latency process lacks that it always leaves, "" for nothing."""
    found = "call_ticks" in arrays or "call_histogram" in arrays
    return "" if found else "lacks call_ticks or call_histogram"


def _below(values: npt.NDArray[np.unsignedinteger], bound: int) -> bool:
    return not values.size or int(values.max()) < bound


def _named(events: npt.NDArray[np.void], counts: Counts) -> bool:
    """Whether each event's (thread, op) is an operation."""
    if not _below(events["thread"], len(counts)):
        return False
    return bool((events["op"] < counts[events["thread"]]).all())
