"""The bytes of a trace file: header, threads, tags, description, padding, ops, columns."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.operation import MAX_WORK_NS
from allocphase.trace.records import (
    COLUMN,
    HEADER,
    MAGIC,
    OP,
    TAG,
    THREAD,
    VERSION,
    Touch,
    Trace,
)

__all__ = [
    "DIGEST_BYTES",
    "MAX_META_BYTES",
    "aligned",
    "digest",
    "head_parts",
    "head_problem",
    "parts",
    "sealed",
]

SECTION_ALIGNMENT = 64
MAX_META_BYTES = 1 << 20
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
    gaps, touched = trace.gaps is not None, trace.touched is not None
    head = head_parts(
        trace, digest_bytes=digest_bytes, ops=len(trace.ops), gaps=gaps, touched=touched
    )
    for part in head:
        yield np.frombuffer(part, dtype=np.uint8)
    at = 0
    for section in (trace.ops, trace.gaps, trace.touched):
        if section is not None:
            yield np.zeros(aligned(at) - at, dtype=np.uint8)
            yield np.ascontiguousarray(section).view(np.uint8)
            at = aligned(at) + section.nbytes


def head_parts(
    trace: Trace, *, digest_bytes: bytes, ops: int, gaps: bool, touched: bool = False
) -> Iterator[bytes]:
    """What comes before the ops, and where those and the columns will be: the trace's own are not
    looked at.
    """
    head = np.zeros(1, dtype=HEADER)
    shape = _shape(
        threads=len(trace.threads),
        tags=len(trace.tags),
        meta=len(trace.meta),
        ops=ops,
        gaps=gaps,
        touched=touched,
    )[0]
    for name, value in {**_head_values(trace), **shape}.items():
        head[name] = value
    head["digest"][0] = np.frombuffer(digest_bytes, dtype=np.uint8)
    yield head.tobytes()
    yield trace.threads.tobytes()
    yield trace.tags.tobytes()
    yield trace.meta
    at = HEADER.itemsize + trace.threads.nbytes + trace.tags.nbytes + len(trace.meta)
    yield bytes(aligned(at) - at)


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
        "threads_end": trace.threads_end,
        "meta_bytes": len(trace.meta),
        "paced": trace.paced,
    }


def aligned(offset: int) -> int:
    """The next place at which a section may begin."""
    return -(-offset // SECTION_ALIGNMENT) * SECTION_ALIGNMENT


def _shape(
    *, threads: int, tags: int, meta: int, ops: int, gaps: bool, touched: bool
) -> tuple[dict[str, int], int]:
    """Counts and where each table starts, and where the file ends: it has no freedom in this."""
    tag_offset = HEADER.itemsize + threads * THREAD.itemsize
    op_offset = aligned(tag_offset + tags * TAG.itemsize + meta)
    shape = {
        "thread_count": threads,
        "tag_count": tags,
        "op_count": ops,
        "thread_offset": HEADER.itemsize,
        "tag_offset": tag_offset,
        "op_offset": op_offset,
    }
    end = op_offset + ops * OP.itemsize
    for name, there in (("gap_offset", gaps), ("touched_offset", touched)):
        shape[name] = aligned(end) if there else 0
        end = shape[name] + ops * COLUMN.itemsize if there else end
    return shape, end


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
    meta = int(head["meta_bytes"])
    if meta > MAX_META_BYTES:
        return f"has a description of {meta} bytes, more than {MAX_META_BYTES}"
    shape, expected_bytes = _shape(
        threads=threads,
        tags=tags,
        meta=meta,
        ops=ops,
        gaps=bool(head["gap_offset"]),
        touched=bool(head["touched_offset"]),
    )
    for name, value in shape.items():
        if int(head[name]) != value:
            return f"has {name} {head[name]}; its counts make it {value}"
    if file_bytes != expected_bytes:
        return f"has {file_bytes} bytes; its counts make it {expected_bytes}"
    if int(head["touch"]) not in list(Touch):
        return f"has touch {head['touch']}, which does not exist"
    if int(head["threads_end"]) > 1:
        return f"has threads_end {head['threads_end']}, neither 0 nor 1"
    if int(head["work_ns"]) > MAX_WORK_NS:
        return f"has {head['work_ns']} ns of work after each operation, more than {MAX_WORK_NS}"
    if int(head["paced"]) > bool(head["gap_offset"]):
        return "is paced, and has no recorded gaps"
    if int(head["work_ns"]) and int(head["paced"]):
        return "has both recorded gaps and work after each operation"
    if int(head["touch"]) == Touch.RECORDED and not int(head["touched_offset"]):
        return "touches what was recorded, and nothing was"
    return None if threads and ops else "has no threads or no operations"
