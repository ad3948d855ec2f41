"""Trace files: what a program asks of its allocator, as driver/trace.h lays it out.

A generator makes a `Draft`, `complete` turns it into a `Trace`, `write` and `read` are the file.
An invalid trace never gets as far as the driver: each step raises TraceError.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from allocphase.files.durable import write_whole
from allocphase.files.regular import opened
from allocphase.operation import MAX_OPERATIONS, MAX_THREADS
from allocphase.trace.completion import (
    MAX_TAGS,
    column_problem,
    live_peak,
    part_problem,
    table_problem,
)
from allocphase.trace.deadlock import stuck, thread_problem
from allocphase.trace.encoding import MAX_META_BYTES, digest, head_problem, parts
from allocphase.trace.records import (
    COLUMN,
    FLAGS_SHIFT,
    HEADER,
    OP,
    TAG,
    THREAD,
    WAIT,
    Column,
    Records,
    Touch,
    Trace,
    TraceError,
)
from allocphase.trace.slots import History, by_epoch, by_position

__all__ = ["read", "read_ops", "read_threads", "validate", "write"]

# Mapped, not read: as many operations as a trace may have, and what stands beside them.
_OP_BYTES = OP.itemsize + 2 * COLUMN.itemsize
MAX_FILE_BYTES = MAX_OPERATIONS * _OP_BYTES + MAX_META_BYTES + (64 << 20)


def write(trace: Trace, path: Path) -> str:
    """Writes the file, without a copy of the ops, and returns the digest.

    It appears under its name only when it is complete. Raises AllocphaseError when it cannot be
    written.
    """

    def fill(file: BinaryIO) -> None:
        for part in parts(trace, digest_bytes=bytes.fromhex(trace.digest)):
            file.write(part.data)

    write_whole(path, fill, synced=False)  # whoever finds it lost makes it again
    return trace.digest


def read(path: Path) -> Trace:
    """The trace in `path`, its ops memory-mapped, checked as `validate` does.

    Raises TraceError (a UsageError) that names the file and what is wrong with it.
    """
    try:
        trace = _mapped(path)
        validate(trace)
    except (OSError, TraceError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TraceError(f"{path}: {reason}") from error
    return trace


def validate(trace: Trace) -> None:
    """Checks the digest, every invariant of driver/trace.h, and that all threads can end.

    The live peak is checked where the file fixes it: with one thread. Raises TraceError.
    """
    problem = (
        table_problem(len(trace.ops), trace.tags)
        or _digest_problem(trace)
        or _thread_bounds(trace)
        or part_problem(trace.threads, threads_end=trace.threads_end)
        or thread_problem(trace.threads)
        or column_problem(trace.ops, trace.gaps, trace.touched)
        or _slot_problem(trace)
    )
    if problem:
        raise TraceError(problem)


def read_threads(path: Path) -> Records:
    """The thread table, without a look at the operations.

    Raises TraceError with what is wrong with the file's header, OSError.
    """
    with opened(path, max_bytes=MAX_FILE_BYTES) as file:
        return _threads(file, _head(file))


def read_ops(path: Path, first: int, count: int) -> npt.NDArray[Any]:
    """Some of its operations by their places, dtype OP, unchecked; fewer where it has no more.

    Raises as read_threads.
    """
    with opened(path, max_bytes=MAX_FILE_BYTES) as file:
        head = _head(file)
        first = min(first, int(head["op_count"]))
        count = min(count, int(head["op_count"]) - first)
        return _records(file, OP, int(head["op_offset"]) + first * OP.itemsize, count)


def _mapped(path: Path) -> Trace:
    with opened(path, max_bytes=MAX_FILE_BYTES, follow=True) as file:
        head = _head(file)
        _refuse_padding(file, head)
        return Trace(
            ops=_section(file, OP, int(head["op_offset"]), head),
            threads=_threads(file, head),
            tags=_records(file, TAG, int(head["tag_offset"]), int(head["tag_count"])),
            threads_end=bool(head["threads_end"]),
            gaps=_column(file, int(head["gap_offset"]), head),
            touched=_column(file, int(head["touched_offset"]), head),
            meta=_meta(file, head),
            touch=Touch(head["touch"]),
            work_ns=int(head["work_ns"]),
            slot_count=int(head["slot_count"]),
            peak_live_bytes=int(head["peak_live_bytes"]),
            peak_live_op=int(head["peak_live_op"]),
            digest=head["digest"].tobytes().hex(),
        )


def _head(file: BinaryIO) -> Any:
    """The header, whose offsets and counts lie within the file. Raises TraceError."""
    file_bytes = os.fstat(file.fileno()).st_size
    if file_bytes < HEADER.itemsize:
        raise TraceError(f"is no trace: {file_bytes} bytes are less than a header")
    head = _records(file, HEADER, 0, 1)[0]
    problem = head_problem(head, file_bytes)
    for what, most in (("thread", MAX_THREADS), ("tag", MAX_TAGS)):
        count = int(head[f"{what}_count"])
        if problem is None and count > most:
            problem = f"has {count} {what}s, more than {most}"
    if problem:
        raise TraceError(problem)
    return head


def _section(file: BinaryIO, dtype: np.dtype[Any], offset: int, head: Any) -> npt.NDArray[Any]:
    """One of `op_count` items, mapped."""
    file.seek(0)
    return np.memmap(file, dtype, "r", offset, (int(head["op_count"]),))


def _column(file: BinaryIO, offset: int, head: Any) -> Column | None:
    return _section(file, COLUMN, offset, head) if offset else None


def _meta_offset(head: Any) -> int:
    return int(head["tag_offset"]) + int(head["tag_count"]) * TAG.itemsize


def _meta(file: BinaryIO, head: Any) -> bytes:
    file.seek(_meta_offset(head))
    return file.read(int(head["meta_bytes"]))


def _refuse_padding(file: BinaryIO, head: Any) -> None:
    """Between the sections there is nothing, which no digest would see."""
    end = _meta_offset(head) + int(head["meta_bytes"])
    for name, item in (("op", OP), ("gap", COLUMN), ("touched", COLUMN)):
        start = int(head[f"{name}_offset"])
        if start:
            file.seek(end)
            if any(file.read(start - end)):
                raise TraceError(f"has something before its {name}_offset")
            end = start + int(head["op_count"]) * item.itemsize


def _threads(file: BinaryIO, head: Any) -> npt.NDArray[Any]:
    return _records(file, THREAD, int(head["thread_offset"]), int(head["thread_count"]))


def _records(file: BinaryIO, dtype: np.dtype[Any], offset: int, count: int) -> npt.NDArray[Any]:
    file.seek(offset)
    content = file.read(count * dtype.itemsize)
    return np.frombuffer(content, dtype)


def _digest_problem(trace: Trace) -> str | None:
    found = digest(trace)
    return None if found == trace.digest else f"has digest {trace.digest}; its bytes make {found}"


def _thread_bounds(trace: Trace) -> str | None:
    """Python integers again: the counts of a hostile file may wrap around."""
    expected = 0
    for index, thread in enumerate(trace.threads.tolist()):
        _, op_count, build_ops, drain_ops, *_ = thread
        if build_ops + drain_ops > op_count:
            return f"has thread {index} with {build_ops + drain_ops} of {op_count} ops in its parts"
    for index, (first, count) in enumerate(
        zip(trace.threads["first_op"].tolist(), trace.threads["op_count"].tolist(), strict=True)
    ):
        if first != expected:
            return f"has thread {index} start at op {first}, not {expected}"
        expected += count
    return None if expected == len(trace.ops) else f"has {expected} operations in its threads"


def _slot_problem(trace: Trace) -> str | None:
    one_thread = len(trace.threads) == 1
    history = by_position(trace.ops) if one_thread else by_epoch(trace.ops)
    slots = int(np.count_nonzero(history.first))
    if slots != trace.slot_count or int(trace.ops["slot"].max()) != slots - 1:
        return f"has slot_count {trace.slot_count}; its operations use {slots} slots"
    broken = np.flatnonzero(history.ops["epoch"] != history.ranks())
    if len(broken):
        return f"op {history.order[broken[0]]} has epoch {history.ops['epoch'][broken[0]]}"
    return (
        history.problem(trace.tags)
        or history.part_problem(trace.part_of_ops(), trace.tags)
        or _hand_over_problem(trace, history)
        or (_peak_problem(trace, history) if one_thread else None)
    )


def _peak_problem(trace: Trace, history: History) -> str | None:
    peak = live_peak(history)
    claimed = (trace.peak_live_bytes, trace.peak_live_op)
    return None if peak == claimed else f"has live peak (bytes, op) {claimed}, not {peak}"


def _hand_over_problem(trace: Trace, history: History) -> str | None:
    counts = trace.threads["op_count"].astype(np.int64)
    thread = np.repeat(np.arange(len(counts), dtype=np.uint32), counts)
    flags = history.hand_over(thread)
    broken = np.flatnonzero(history.ops["kind_flags"] >> FLAGS_SHIFT != flags)
    if len(broken):
        return f"op {history.order[broken[0]]} has wrong WAIT or POST flags"
    backward = ~history.first & (flags & WAIT == 0)
    backward[1:] &= history.order[1:] < history.order[:-1]
    if backward.any():
        return f"op {history.order[np.argmax(backward)]} comes before its slot's op before"
    waits = np.flatnonzero(flags & WAIT)
    by_place = np.argsort(history.order[waits])
    waits = waits[by_place]
    return stuck(trace.threads, history.order[waits], history.order[waits - 1])
