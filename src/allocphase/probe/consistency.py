"""Whether the arrays of a run directory fit each other: every index in them is one.

A run's files may come from elsewhere, or from an allocator that wrote into the driver's tables:
what passes here can be used as an index without another look.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from allocphase.files.archive import Arrays
from allocphase.operation import MAX_OPERATIONS, MAX_THREADS, MAX_WARM
from allocphase.probe.arrays import BUCKETS, SIZE_CLASSES, WARM

__all__ = [
    "Counts",
    "latencies_problem",
    "operations_problem",
    "repeated_count",
    "repeated_places",
    "samples_problem",
    "thread_counts",
]

Counts = npt.NDArray[np.int64]

COLUMNS = ("kind", "size", "thread", "op")
# Records whose `op` is a place in the trace.
OF_CALLS = ("outliers", "slow", "syscalls", "faults")


def thread_counts(operations: Arrays) -> Counts:
    """How many operations each thread has, shape (threads,)."""
    if "thread_ops" in operations:
        return operations["thread_ops"]
    threads = len(operations.get("thread_build", ()))  # the last of them may have no operations
    return np.bincount(operations["thread"], minlength=threads).astype(np.int64)


def repeated_places(operations: Arrays) -> npt.NDArray[np.bool_]:
    """Which operations further replays repeat, shape (ops,): the steady part, or all there is. Of a
    long trace, whose operations are not kept, shape (0,).
    """
    counts = thread_counts(operations)
    thread, op = operations["thread"], operations["op"]
    begin, end = operations["thread_build"], counts - operations["thread_drain"]
    if repeated_count(operations) == counts.sum():
        return np.ones(len(op), dtype=np.bool_)
    repeated: npt.NDArray[np.bool_] = (op >= begin[thread]) & (op < end[thread])
    return repeated


def repeated_count(operations: Arrays) -> int:
    """How many these are, of a long trace too."""
    total = int(thread_counts(operations).sum())
    apart = int(operations["thread_build"].sum() + operations["thread_drain"].sum())
    return total - apart if total > apart else total


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
        if shape[0]:
            return "thread_ops: beside operations"
        return _counts_problem(arrays) or _parts_problem(arrays, arrays["thread_ops"])
    if not shape[0] or int(thread[-1]) >= MAX_THREADS:
        return f"has {shape[0]} operations of a number of threads beyond 1 to {MAX_THREADS}"
    if int(arrays["kind"].max()) >= kinds:
        return "kind: one that does not exist"
    counts = thread_counts(arrays)
    if (arrays["op"] != np.arange(shape[0]) - np.repeat(np.cumsum(counts) - counts, counts)).any():
        return "op: not numbered 0, 1, 2, ... in each thread"
    return _parts_problem(arrays, counts)


def _parts_problem(arrays: Arrays, counts: Counts) -> str:
    for name in ("thread_build", "thread_drain"):
        if name not in arrays:
            return f"lacks {name}"
        if arrays[name].shape != counts.shape:
            return f"{name}: not one number a thread"
    build, drain = arrays["thread_build"], arrays["thread_drain"]
    if min(build.min(), drain.min()) < 0 or max(build.max(), drain.max()) > MAX_OPERATIONS:
        return "thread_build, thread_drain: a number of operations that no trace has"
    if (build + drain > counts).any():
        return "thread_build, thread_drain: more operations than the thread has"
    return ""


def _counts_problem(arrays: Arrays) -> str:
    counts = arrays["thread_ops"]
    if counts.ndim != 1 or not 0 < len(counts) <= MAX_THREADS:
        return "thread_ops: not one number a thread"
    if counts.min() < 0 or counts.max() > MAX_OPERATIONS:
        return "thread_ops: a number of operations that no trace has"
    return ""


def samples_problem(arrays: Arrays, counts: Counts, *, repeated: int, kinds: int) -> str:
    """The first fault of a process's arrays, "" for none; `counts` as `thread_counts` has them,
    `repeated` as `repeated_count` does.
    """
    total = int(counts.sum())
    first = {name: array for name, array in arrays.items() if not name.startswith(WARM)}
    warm = {name.removeprefix(WARM): array for name, array in arrays.items() if name not in first}
    replays = len(warm["call_ticks"]) // repeated if "call_ticks" in warm else MAX_WARM
    if "call_ticks" in warm and not replays:
        return f"{WARM}call_ticks: less than one replay"
    return _replay_problem(first, "", total, counts, kinds) or _replay_problem(
        warm, WARM, min(replays, MAX_WARM) * repeated, counts, kinds
    )


def _replay_problem(arrays: Arrays, prefix: str, total: int, counts: Counts, kinds: int) -> str:
    """`total`: how many operations the replays have together."""
    for name in ("call_ticks", "touch_ticks"):
        if name in arrays and arrays[name].shape != (total,):
            shape = arrays[name].shape
            return f"{prefix}{name}: has shape {shape}, not one value an operation"
    for one, other in (("call_ticks", "touch_ticks"), ("call_histogram", "touch_histogram")):
        if (one in arrays) != (other in arrays):
            return f"has {prefix}{one} or {prefix}{other}, not both"
    shapes = {
        **dict.fromkeys(("call_histogram", "touch_histogram"), (kinds, SIZE_CLASSES, BUCKETS)),
        "thread_histogram": (len(counts), BUCKETS),
    }
    for name, shape in shapes.items():
        if name in arrays and arrays[name].shape != shape:
            return f"{prefix}{name}: has shape {arrays[name].shape}, not {shape}"
    for name in (*OF_CALLS, "checkpoints"):
        if name in arrays and arrays[name].ndim != 1:
            return f"{prefix}{name}: not one row an event"
    for name in OF_CALLS:
        if name in arrays and not _below(arrays[name]["op"], total):
            return f"{prefix}{name}: an operation that does not exist"
    slowest = arrays.get("outliers")
    if slowest is not None and not _below(slowest["kind"], kinds):
        return f"{prefix}outliers: a kind that does not exist"
    for name in ("outliers", "syscalls"):
        if name in arrays and not _below(arrays[name]["thread"], len(counts)):
            return f"{prefix}{name}: a thread that does not exist"
    return ""


def latencies_problem(arrays: Arrays) -> str:
    """What a latency process lacks that it always leaves, "" for nothing."""
    for prefix in ("", WARM):
        if f"{prefix}call_ticks" not in arrays and f"{prefix}call_histogram" not in arrays:
            return f"lacks {prefix}call_ticks or {prefix}call_histogram"
    return ""


def _below(values: npt.NDArray[np.unsignedinteger], bound: int) -> bool:
    return not values.size or int(values.max()) < bound
