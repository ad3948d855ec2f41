"""The bytes of a trace file: header, threads, tags, padding, ops."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.operation import MAX_WORK_NS
from allocphase.trace.records import HEADER, MAGIC, OP, TAG, THREAD, VERSION, Touch, Trace

__all__ = ["digest", "head_problem", "parts", "sealed"]

OP_ALIGNMENT = 64
DIGEST_BYTES = 32


def sealed(trace: Trace) -> Trace:
    """The same trace with the digest that its file will carry."""
    return replace(trace, digest=digest(trace))


def digest(trace: Trace) -> str:
    """SHA-256, in hex, of the trace's file with the digest field zeroed."""
    sha = hashlib.sha256()
    for part in parts(trace, digest_bytes=bytes(DIGEST_BYTES)):
        sha.update(part.data)
    return sha.hexdigest()


def parts(trace: Trace, *, digest_bytes: bytes) -> Iterator[npt.NDArray[np.uint8]]:
    """The file in order, as arrays of bytes; the ops are a view, not a copy."""
    head = np.zeros(1, dtype=HEADER)
    for name, value in _head_values(trace).items():
        head[name] = value
    head["digest"][0] = np.frombuffer(digest_bytes, dtype=np.uint8)
    yield head.view(np.uint8)
    yield np.ascontiguousarray(trace.threads).view(np.uint8)
    yield np.ascontiguousarray(trace.tags).view(np.uint8)
    tags_end = HEADER.itemsize + trace.threads.nbytes + trace.tags.nbytes
    yield np.zeros(int(head["op_offset"][0]) - tags_end, dtype=np.uint8)
    yield np.ascontiguousarray(trace.ops).view(np.uint8)


def _head_values(trace: Trace) -> dict[str, Any]:
    return {
        "magic": MAGIC,
        "version": VERSION,
        "header_bytes": HEADER.itemsize,
        "peak_live_bytes": trace.peak_live_bytes,
        "peak_live_op": trace.peak_live_op,
        "slot_count": trace.slot_count,
        "touch": trace.touch,
        "work_ns": trace.work_ns,
        **_shape(threads=len(trace.threads), tags=len(trace.tags), ops=len(trace.ops)),
    }


def _shape(*, threads: int, tags: int, ops: int) -> dict[str, int]:
    """Counts and where each table starts: the file has no freedom in this."""
    tag_offset = HEADER.itemsize + threads * THREAD.itemsize
    tags_end = tag_offset + tags * TAG.itemsize
    return {
        "thread_count": threads,
        "tag_count": tags,
        "op_count": ops,
        "thread_offset": HEADER.itemsize,
        "tag_offset": tag_offset,
        "op_offset": -(-tags_end // OP_ALIGNMENT) * OP_ALIGNMENT,
    }


def head_problem(head: np.void, file_bytes: int) -> str | None:
    """What is wrong with a header of a file of that length, in one line; None: nothing.

    Compares Python integers: a hostile count must not wrap around before it is checked.
    """
    if bytes(head["magic"]) != MAGIC:
        return "is no trace: it does not start with the magic bytes"
    if head["version"] != VERSION:
        return f"is a trace of version {head['version']}; this is version {VERSION}"
    if head["header_bytes"] != HEADER.itemsize or head["reserved"].any():
        return f"has a header that is not the {HEADER.itemsize} bytes of version {VERSION}"
    threads, tags, ops = (int(head[f"{name}_count"]) for name in ("thread", "tag", "op"))
    shape = _shape(threads=threads, tags=tags, ops=ops)
    for name, value in shape.items():
        if int(head[name]) != value:
            return f"has {name} {head[name]}; its counts make it {value}"
    expected_bytes = shape["op_offset"] + ops * OP.itemsize
    if file_bytes != expected_bytes:
        return f"has {file_bytes} bytes; its counts make it {expected_bytes}"
    if int(head["touch"]) not in list(Touch):
        return f"has touch {head['touch']}, which does not exist"
    if int(head["work_ns"]) > MAX_WORK_NS:
        return f"has {head['work_ns']} ns of work after each operation, more than {MAX_WORK_NS}"
    return None if threads and ops else "has no threads or no operations"
