"""From a generator's draft to a trace: slots numbered, epochs and flags set, all of it checked."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.operation import MAX_OPERATIONS
from allocphase.trace.deadlock import thread_problem
from allocphase.trace.encoding import sealed
from allocphase.trace.records import (
    COLUMN,
    FLAGS_SHIFT,
    NO_THREAD,
    THREAD,
    UNTAGGED,
    Column,
    Draft,
    Kind,
    Ops,
    Part,
    Records,
    Touch,
    Trace,
    TraceError,
    kind_of,
    part_counts,
)
from allocphase.trace.slots import History, by_position

__all__ = ["column_problem", "complete", "live_peak", "part_problem", "table_problem"]

MAX_TAGS = 1 << 16


def complete(draft: Draft, *, touch: Touch, work_ns: int = 0, meta: bytes = b"") -> Trace:
    """The trace of a draft, its ops ordered by thread. Raises TraceError.

    `work_ns`: the program's own work after each op, from 0 to MAX_WORK_NS. `meta`: see Trace.
    Takes the draft's ops over: they are changed in place, and their slots numbered 0, 1, 2, ...
    That all threads can end needs no search here: the global order is a run in which they do.
    """
    ops, tags = draft.ops, UNTAGGED if draft.tags is None else draft.tags
    _raise_if(table_problem(len(ops), tags) or _draft_problem(draft))
    history = by_position(ops)
    parts = draft.part_of_ops()
    _raise_if(history.problem(tags) or history.part_problem(parts, tags))
    _raise_if(column_problem(ops, draft.gaps, draft.touched))
    slot_count = int(np.count_nonzero(history.first))
    if int(ops["slot"].max()) >= slot_count:
        ops["slot"][history.order] = history.slot_numbers()
    ops["epoch"][history.order] = history.ranks()
    peak_bytes, peak_op = live_peak(history)
    shared: dict[str, Any] = {
        "tags": tags,
        "touch": touch,
        "work_ns": work_ns,
        "slot_count": slot_count,
        "peak_live_bytes": peak_bytes,
        "digest": "",
        "meta": meta,
        "gaps": draft.gaps,
        "touched": draft.touched,
    }
    if draft.thread is None:
        return sealed(Trace(ops, _one_thread(draft), peak_live_op=peak_op, **shared))
    threads = _thread_table(draft, draft.thread, parts)
    ops["kind_flags"][history.order] |= history.hand_over(draft.thread) << FLAGS_SHIFT
    del history
    in_file = np.argsort(draft.thread.astype(np.min_scalar_type(len(threads))), kind="stable")
    peak_op = int(np.flatnonzero(in_file == peak_op)[0])
    shared["threads_end"] = draft.threads_end and len(threads) > 1
    for name, column in (("gaps", draft.gaps), ("touched", draft.touched)):
        shared[name] = None if column is None else column[in_file]
    return sealed(Trace(ops[in_file], threads, peak_live_op=peak_op, **shared))


def table_problem(op_count: int, tags: Records) -> str | None:
    """What is wrong with the number of ops and the tag table, in one line; None: nothing."""
    if not 0 < op_count <= MAX_OPERATIONS:
        return f"has {op_count} operations, not 1 to 2^32 - 1"
    if len(tags) > MAX_TAGS:
        return f"has {len(tags)} tags, more than {MAX_TAGS}"
    if len(tags) == 0 or tags[0] != UNTAGGED[0]:
        return "has a tag table that does not start with the untagged tag"
    hint_hz = tags["hint_hz"]
    if not (np.isfinite(hint_hz) & (hint_hz >= 0)).all():
        return "has a tag whose hint is no frequency"
    return None


def column_problem(ops: Ops, gaps: Column | None, touched: Column | None) -> str | None:
    """What is wrong with the columns beside the ops, in one line; None: nothing."""
    for name, column in (("gaps", gaps), ("touched", touched)):
        if column is not None and (column.shape != ops.shape or column.dtype != COLUMN):
            return f"has {name} that are not one number of 32 bits for each operation"
    if touched is None:
        return None
    most = np.where(kind_of(ops) <= Kind.ALIGNED_ALLOC, ops["size"], 0)
    beyond = np.flatnonzero(touched > most)
    return f"op {beyond[0]} touches more than its object" if len(beyond) else None


def part_problem(threads: Records, *, threads_end: bool) -> str | None:
    """What is wrong with the parts that threads have, in one line; None: nothing.

    Where threads end, each is born for one part.
    """
    counts = part_counts(threads)
    if threads_end and len(threads) == 1:
        return "has threads that end, and only one"
    several = np.flatnonzero((counts > 0).sum(axis=1) > 1)
    if len(several) and (threads_end or (threads["predecessor"] != NO_THREAD).any()):
        return f"has threads that end, and thread {several[0]} has more than one part"
    return None


def live_peak(history: History) -> tuple[int, int]:
    """The most live bytes, and the first op in trace order after which they are live."""
    live = history.live_change()
    np.cumsum(live, out=live)
    op = int(np.argmax(live))
    return int(live[op]), op


def _raise_if(problem: str | None) -> None:
    if problem:
        raise TraceError(problem)


def _draft_problem(draft: Draft) -> str | None:
    build, drain, count = draft.build_ops, draft.drain_ops, len(draft.ops)
    if min(build, drain) < 0 or build + drain > count:
        return f"has a build of {build} and a drain of {drain} operations, of {count}"
    return None


def _one_thread(draft: Draft) -> Records:
    threads = np.zeros(1, dtype=THREAD)
    threads["op_count"], threads["predecessor"] = len(draft.ops), NO_THREAD
    threads["build_ops"], threads["drain_ops"] = draft.build_ops, draft.drain_ops
    return threads


def _thread_table(
    draft: Draft, thread: npt.NDArray[np.uint32], parts: npt.NDArray[np.uint8]
) -> Records:
    used = int(thread.max()) + 1
    lanes = tuple(range(used)) if draft.lane is None else draft.lane
    if len(thread) != len(draft.ops) or used > len(lanes):
        raise TraceError(f"names {used} threads and has {len(lanes)}")
    threads = np.zeros(len(lanes), dtype=THREAD)
    counts = np.bincount(thread, minlength=len(lanes))
    threads["op_count"] = counts
    for key, part in (("build_ops", Part.BUILD), ("drain_ops", Part.DRAIN)):
        threads[key] = np.bincount(thread[parts == part], minlength=len(lanes))
    threads["first_op"] = np.cumsum(counts) - counts
    threads["lane"] = lanes
    threads["predecessor"] = [_before(lanes, index) for index in range(len(lanes))]
    ends = draft.threads_end and len(threads) > 1
    _raise_if(
        thread_problem(threads)
        or part_problem(threads, threads_end=ends)
        or _overlap(threads, thread)
    )
    return threads


def _before(lanes: tuple[int, ...], index: int) -> int:
    earlier = [other for other in range(index) if lanes[other] == lanes[index]]
    return earlier[-1] if earlier else NO_THREAD


def _overlap(threads: Records, thread: npt.NDArray[np.uint32]) -> str | None:
    """Threads of a lane must not overlap in the global order, or it proves nothing."""
    for index in np.flatnonzero(threads["predecessor"] != NO_THREAD):
        before = threads["predecessor"][index]
        mine, theirs = np.flatnonzero(thread == index), np.flatnonzero(thread == before)
        if len(mine) and len(theirs) and mine[0] < theirs[-1]:
            return f"thread {index} has operations before the last of thread {before}"
    return None
