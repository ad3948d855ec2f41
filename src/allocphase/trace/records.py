"""What a trace is: the numpy twins of the structs in driver/trace.h, and what holds them.

Every dtype is little-endian and packed as the C struct is; a test compiles the header and
compares each offset.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import Any, TypeAlias

import numpy as np
import numpy.typing as npt

from allocphase.errors import UsageError
from allocphase.operation import MAX_WARM, Kind, Touch

__all__ = [
    "COLUMN",
    "FLAGS_SHIFT",
    "GAP_COARSE",
    "HEADER",
    "MAGIC",
    "NO_THREAD",
    "OP",
    "POST",
    "TAG",
    "THREAD",
    "UNTAGGED",
    "VERSION",
    "WAIT",
    "Column",
    "Draft",
    "Ints",
    "Kind",
    "Ops",
    "Part",
    "Records",
    "Touch",
    "Trace",
    "TraceError",
    "gap_codes",
    "gaps_ns",
    "kind_of",
    "operations",
    "part_counts",
    "repeated_ops",
]

Records: TypeAlias = npt.NDArray[np.void]
Ops: TypeAlias = npt.NDArray[np.void]
Ints: TypeAlias = npt.NDArray[np.integer[Any]]
Column: TypeAlias = npt.NDArray[np.uint32]

MAGIC = b"ALCPTRC\n"
VERSION = 3
NO_THREAD = 0xFFFFFFFF
WARM_OPS = 200_000
WARM_BYTES = 2 << 30

WAIT = 0x1
POST = 0x2
KIND_MASK = np.uint8(0x0F)
FLAGS_SHIFT = 4

OP = np.dtype(
    [
        ("slot", "<u4"),
        ("size", "<u4"),
        ("epoch", "<u4"),
        ("tag", "<u2"),
        ("kind_flags", "u1"),  # two 4-bit fields of the C struct: kind | flags << 4
        ("align_log2", "u1"),
    ]
)

THREAD = np.dtype(
    [
        ("first_op", "<u8"),
        ("op_count", "<u8"),
        ("build_ops", "<u8"),
        ("drain_ops", "<u8"),
        ("predecessor", "<u4"),
        ("lane", "<u4"),
    ]
)

TAG = np.dtype([("class_id", "<u4"), ("domain", "<u4"), ("hint_hz", "<f8")])

HEADER = np.dtype(
    [
        ("magic", "S8"),
        ("version", "<u4"),
        ("header_bytes", "<u4"),
        ("digest", "u1", (32,)),
        ("op_count", "<u8"),
        ("peak_live_bytes", "<u8"),
        ("peak_live_op", "<u8"),
        ("thread_count", "<u4"),
        ("slot_count", "<u4"),
        ("tag_count", "<u4"),
        ("touch", "<u4"),
        ("thread_offset", "<u8"),
        ("tag_offset", "<u8"),
        ("op_offset", "<u8"),
        ("work_ns", "<u4"),
        ("threads_end", "<u4"),
        ("gap_offset", "<u8"),
        ("touched_offset", "<u8"),
        ("meta_bytes", "<u8"),
        ("paced", "<u4"),
        ("reserved", "u1", (44,)),
    ]
)

# Of the columns beside the operations: a value an operation.
COLUMN = np.dtype("<u4")
GAP_COARSE = 1 << 31

UNTAGGED = np.zeros(1, dtype=TAG)
UNTAGGED.flags.writeable = False


class Part(IntEnum):
    """The parts of a trace, in order; the values of `enum trace_part`."""

    BUILD = 0
    STEADY = 1
    DRAIN = 2


def kind_of(ops: Ops) -> npt.NDArray[np.uint8]:
    """The kind of each op, shape (n,)."""
    kinds: npt.NDArray[np.uint8] = np.bitwise_and(ops["kind_flags"], KIND_MASK)
    return kinds


def operations(
    kind: Ints | int,
    slot: Ints,
    *,
    size: Ints | int = 0,
    tag: Ints | int = 0,
    align_log2: Ints | int = 0,
) -> Ops:
    """Ops in the order of `slot`, shape (n,); scalars hold for all of them.

    Epochs and flags are zero: `trace.complete` sets them. Sizes are in bytes.
    """
    ops = np.zeros(len(slot), dtype=OP)
    ops["slot"] = slot
    ops["size"] = size
    ops["tag"] = tag
    ops["kind_flags"] = kind
    ops["align_log2"] = align_log2
    return ops


def gap_codes(gaps_ns: Ints) -> Column:
    """Gaps as a trace has them, of any shape; driver/trace.h has the code. Longer ones than it can
    say become its longest.
    """
    wide = np.asarray(gaps_ns).astype(np.uint64)
    beyond = (np.maximum(wide, GAP_COARSE) - np.uint64(GAP_COARSE)) // np.uint64(1000)
    coarse = np.minimum(beyond, GAP_COARSE - 1) + np.uint64(GAP_COARSE)
    return np.where(wide < GAP_COARSE, wide, coarse).astype(COLUMN)


def gaps_ns(codes: Column) -> npt.NDArray[np.uint64]:
    """What a trace's gaps say, in ns, of the same shape."""
    wide = codes.astype(np.uint64)
    beyond = np.maximum(wide, GAP_COARSE) - np.uint64(GAP_COARSE)
    fine = np.minimum(wide, GAP_COARSE)
    found: npt.NDArray[np.uint64] = fine + beyond * np.uint64(1000)
    return found


def part_counts(threads: Records) -> npt.NDArray[np.int64]:
    """How many ops each thread has in each part, shape (threads, parts)."""
    ops, build, drain = (
        threads[key].astype(np.int64) for key in ("op_count", "build_ops", "drain_ops")
    )
    counts: npt.NDArray[np.int64] = np.stack([build, ops - build - drain, drain], axis=1)
    return counts


def repeated_ops(threads: Records) -> int:
    """How many ops a further replay repeats: those of the steady part, or all there are."""
    counts = part_counts(threads)
    return int(counts[:, Part.STEADY].sum() or counts.sum())


class TraceError(UsageError):
    """A trace breaks an invariant of driver/trace.h; the message says which, and where."""


@dataclass(frozen=True, slots=True)
class Draft:
    """What a generator makes: `ops` in one global order, a possible run of the program.

    `thread[i]` performs `ops[i]` (None: all by thread 0); `lane[t]` is thread t's lane (None: each
    its own), and threads of one lane run one after the other. The first `build_ops` ops are the
    build, the last `drain_ops` the drain, and the steady part between them must leave the slots as
    it finds them; without one the trace is repeated as a whole. `tags` starts with the untagged
    tag. `threads_end`: each thread is born and ends within its part of the trace, as those that
    share a lane do anyway. `gaps` (as `gap_codes` makes them) and `touched` (bytes) are of each op,
    shape (n,).
    """

    ops: Ops
    thread: npt.NDArray[np.uint32] | None = None
    lane: tuple[int, ...] | None = None
    build_ops: int = 0
    drain_ops: int = 0
    tags: Records | None = None
    threads_end: bool = False
    gaps: Column | None = None
    touched: Column | None = None

    def part_of_ops(self) -> npt.NDArray[np.uint8]:
        """The part of each op, shape (n,), in the order of `ops`."""
        steady = len(self.ops) - self.build_ops - self.drain_ops
        return np.repeat(
            np.array([Part.BUILD, Part.STEADY, Part.DRAIN], dtype=np.uint8),
            [self.build_ops, steady, self.drain_ops],
        )


@dataclass(frozen=True, slots=True)
class Trace:
    """A complete trace. `ops` has shape (op_count,), thread after thread, dtype OP.

    `peak_live_bytes` stands after op `peak_live_op` (a position in `ops`); with several threads
    it is the peak of the generator's global order. `work_ns` is the program's own work after each
    op, where it is timed. `digest` is the SHA-256 of the file, in hex. `gaps` (see `gaps_ns`) and
    `touched` (bytes) have the shape of `ops`. `paced`: the gaps are waited for. `meta` says where a
    recorded trace comes from, as the UTF-8 of JSON (provenance.py).
    """

    ops: Ops
    threads: Records
    tags: Records
    touch: Touch
    slot_count: int
    peak_live_bytes: int
    peak_live_op: int
    digest: str
    work_ns: int = 0
    threads_end: bool = False
    gaps: Column | None = None
    touched: Column | None = None
    meta: bytes = b""
    paced: bool = False

    def part_ops(self, part: Part) -> int:
        """How many ops of all threads are of a part."""
        return int(part_counts(self.threads)[:, part].sum())

    def part_of_ops(self) -> npt.NDArray[np.uint8]:
        """The part of each op, shape (op_count,)."""
        parts = np.tile(np.array(list(Part), dtype=np.uint8), len(self.threads))
        return np.repeat(parts, part_counts(self.threads).ravel())

    def repeated(self) -> npt.NDArray[np.bool_]:
        """Which ops further replays repeat, shape (op_count,): the steady part, or all of them."""
        steady: npt.NDArray[np.bool_] = self.part_of_ops() == Part.STEADY
        return steady if steady.any() else ~steady

    @property
    def warm_replays(self) -> int:
        """How often a probe that looks at each call repeats them after the first replay;
        driver/trace.h has the same figures.
        """
        replays = min(-(-WARM_OPS // repeated_ops(self.threads)), MAX_WARM)
        touched = self._touched_bytes()
        return max(1, min(replays, WARM_BYTES // touched)) if touched else replays

    def _touched_bytes(self) -> int:
        """Of how many bytes a replay of what can be repeated touches every page, at most."""
        if self.touch < Touch.PAGES:
            return 0
        sized = self.repeated() & (kind_of(self.ops) <= Kind.ALIGNED_ALLOC)
        of = self.ops["size"] if self.touched is None else self.touched
        return int(of[sized].sum(dtype=np.int64))

    @property
    def op_counts(self) -> dict[str, int]:
        """How many ops of each kind, by the kind's name in lower case; absent kinds too."""
        counts = np.bincount(kind_of(self.ops), minlength=len(Kind))
        return {kind.name.lower(): int(counts[kind]) for kind in Kind}
