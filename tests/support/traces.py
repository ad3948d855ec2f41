"""Small traces, written operation by operation."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import numpy as np

from allocphase import scenario, trace
from allocphase.trace.records import TAG, Draft, Kind, Records, Touch, gap_codes, operations

__all__ = ["Op", "batch", "free", "made_trace", "malloc", "sync", "tags", "write_trace"]

# kind, slot, size in bytes, log2 of the alignment, tag
Op = tuple[Kind, int, int, int, int]


def made_trace(spec: str, folder: Path) -> Path:
    """The trace of a scenario with settings, in a file of the folder."""
    (chosen,) = scenario.resolve(spec)
    assert not isinstance(chosen, scenario.Program)
    path = folder / "a.trace"
    trace.write(scenario.generate(chosen), path)
    return path


def malloc(slot: int, size: int = 64, *, tag: int = 0) -> Op:
    return (Kind.MALLOC, slot, size, 0, tag)


def free(slot: int, *, tag: int = 0) -> Op:
    return (Kind.FREE, slot, 0, 0, tag)


def sync(slot: int) -> Op:
    return (Kind.SYNC, slot, 0, 0, 0)


def batch(count: int, size: int = 64) -> list[Op]:
    """`count` allocations, then as many frees."""
    return [malloc(slot, size) for slot in range(count)] + [free(slot) for slot in range(count)]


def tags(*rows: tuple[int, int, float]) -> Records:
    """A tag table: (class_id, domain, hint_hz) each, behind the untagged tag."""
    return np.array([(0, 0, 0.0), *rows], dtype=TAG)


def write_trace(
    path: Path,
    ops: Iterable[Op],
    *,
    touch: Touch = Touch.NONE,
    work_ns: int = 0,
    build_ops: int = 0,
    drain_ops: int = 0,
    tag_table: Records | None = None,
    thread: Sequence[int] | None = None,
    lane: tuple[int, ...] | None = None,
    threads_end: bool = False,
    gaps_ns: Sequence[int] | None = None,
    touched: Sequence[int] | None = None,
    meta: bytes = b"",
) -> Path:
    """Writes the trace and returns its path."""
    kind, slot, size, align_log2, tag = (np.array(column) for column in zip(*ops, strict=True))
    draft = Draft(
        operations(kind, slot, size=size, tag=tag, align_log2=align_log2),
        thread=None if thread is None else np.array(thread, dtype=np.uint32),
        build_ops=build_ops,
        drain_ops=drain_ops,
        tags=tag_table,
        lane=lane,
        threads_end=threads_end,
        gaps=None if gaps_ns is None else gap_codes(np.array(gaps_ns)),
        touched=None if touched is None else np.array(touched, dtype=np.uint32),
    )
    trace.write(trace.complete(draft, touch=touch, work_ns=work_ns, meta=meta), path)
    return path
