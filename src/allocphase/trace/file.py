"""Trace files: what a program asks of its allocator, as driver/trace.h lays it out.

A generator makes a `Draft`, `complete` turns it into a `Trace`, `write` and `read` are the file.
An invalid trace never gets as far as the driver: each step raises TraceError.
"""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from allocphase.errors import DataError
from allocphase.files.durable import write_whole
from allocphase.files.regular import opened
from allocphase.trace.completion import column_problem, live_peak, part_problem, table_problem
from allocphase.trace.deadlock import stuck, thread_problem
from allocphase.trace.encoding import digest, parts
from allocphase.trace.packed import SUFFIX, PackedFile, pack
from allocphase.trace.provenance import read_provenance
from allocphase.trace.records import (
    COLUMN,
    FLAGS_SHIFT,
    OP,
    WAIT,
    Column,
    Records,
    Touch,
    Trace,
    TraceError,
)
from allocphase.trace.slots import History, by_epoch, by_position
from allocphase.trace.stored import MAX_FILE_BYTES, Stored, opened_trace

__all__ = ["mapped", "read", "read_ops", "read_threads", "validate", "write"]


def write(trace: Trace, path: Path) -> str:
    """Writes the file, without a copy of the ops, and returns the digest.

    It is packed where its name ends in .zst, and appears under its name only when it is complete.
    Raises AllocphaseError when it cannot be written.
    """

    def fill(file: BinaryIO) -> None:
        found = (part.data for part in parts(trace, digest_bytes=bytes.fromhex(trace.digest)))
        if path.suffix == SUFFIX:
            pack(found, file)
            return
        for part in found:
            file.write(part)

    write_whole(path, fill, synced=False)  # whoever finds it lost makes it again
    return trace.digest


def read(path: Path) -> Trace:
    """The trace in `path`, its ops memory-mapped, checked as `validate` does.

    Raises TraceError (a UsageError) that names the file and what is wrong with it.
    """
    try:
        trace = mapped(path)
        validate(trace)
    except (OSError, DataError, TraceError) as error:
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
    read_provenance(trace.meta)


def read_threads(path: Path) -> Records:
    """The thread table, without a look at the operations.

    Raises TraceError with what is wrong with the file's header, OSError.
    """
    with opened_trace(path) as stored:
        return stored.threads()


def read_ops(path: Path, first: int, count: int) -> npt.NDArray[Any]:
    """Some of its operations by their places, dtype OP, unchecked; fewer where it has no more.

    Raises as read_threads.
    """
    with opened_trace(path) as stored:
        return stored.ops(first, count)


def mapped(path: Path) -> Trace:
    """The trace in `path`, its ops memory-mapped and nothing of them checked; what is packed is
    unpacked to a file without a name, some megabytes at a time. Raises TraceError, OSError.
    """
    with opened_trace(path, follow=True) as stored:
        stored.refuse_padding()
        if isinstance(stored.file, PackedFile):
            with tempfile.TemporaryFile() as unpacked:
                for piece in stored.pieces():
                    unpacked.write(piece)
                unpacked.flush()
                return _trace(stored, unpacked)
        with opened(path, max_bytes=MAX_FILE_BYTES, follow=True) as file:
            return _trace(stored, file)


def _trace(stored: Stored, file: BinaryIO) -> Trace:
    head = stored.head
    return Trace(
        ops=_section(file, OP, int(head["op_offset"]), head),
        threads=stored.threads(),
        tags=stored.tags(),
        threads_end=bool(head["threads_end"]),
        gaps=_column(file, int(head["gap_offset"]), head),
        touched=_column(file, int(head["touched_offset"]), head),
        meta=stored.meta(),
        touch=Touch(head["touch"]),
        work_ns=int(head["work_ns"]),
        paced=bool(head["paced"]),
        slot_count=int(head["slot_count"]),
        peak_live_bytes=int(head["peak_live_bytes"]),
        peak_live_op=int(head["peak_live_op"]),
        digest=stored.digest,
    )


def _section(file: BinaryIO, dtype: np.dtype[Any], offset: int, head: Any) -> npt.NDArray[Any]:
    """One of `op_count` items, mapped."""
    file.seek(0)
    return np.memmap(file, dtype, "r", offset, (int(head["op_count"]),))


def _column(file: BinaryIO, offset: int, head: Any) -> Column | None:
    return _section(file, COLUMN, offset, head) if offset else None


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
