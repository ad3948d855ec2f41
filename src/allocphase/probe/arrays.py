"""The driver's binary files, as numpy sees them: same layout as the C structs named beside each.

A finished process leaves arrays; the run keeps them in one .npz a process, without pickle. What
was seen in the warm replays, which repeat a part of the trace, has names of its own: those of the
first replay with `warm_` before them.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO
from zipfile import ZIP_DEFLATED, ZipFile

import numpy as np
import numpy.typing as npt

from allocphase.errors import AllocphaseError
from allocphase.files.archive import Arrays, read_archive
from allocphase.files.durable import write_whole
from allocphase.files.regular import read_regular
from allocphase.operation import KIND_NAMES

__all__ = [
    "BUCKETS",
    "CALLING_PROCESS",
    "CALLING_THREAD",
    "CHECKPOINT",
    "FAULT_EVENT",
    "LOOK",
    "MALLOC_KINDS",
    "OUTLIER",
    "RAW_OPS",
    "SIZE_CLASSES",
    "SLOW_CALL",
    "SYSCALL_EVENT",
    "WARM",
    "Arrays",
    "bucket_midpoints",
    "load_arrays",
    "read_driver_files",
    "save_arrays",
]

# driver/probes/syscall_log.h: struct syscall_event
SYSCALL_EVENT = np.dtype([("op", "<u8"), ("thread", "<u4"), ("number", "<u4")])
# driver/probes/footprint.c: struct checkpoint; driver/probes/faults.c: struct fault_event
CHECKPOINT = np.dtype([(n, "<u8") for n in ("op", "live_bytes", "mapped_bytes", "rss_bytes")])
FAULT_EVENT = np.dtype([("op", "<u8"), ("call_faults", "<u4"), ("touch_faults", "<u4")])
# driver/probes/latency.c: struct outlier, struct slow_call
OUTLIER = np.dtype(
    [
        ("op", "<u8"),
        ("ticks", "<u4"),
        ("size", "<u4"),
        ("thread", "<u2"),
        ("kind", "u1"),
        ("padding", "V5"),
    ]
)
SLOW_CALL = np.dtype([("op", "<u8"), ("faults", "<u4"), ("sleeps", "<u2"), ("preemptions", "<u2")])

# driver/program.c: struct look
LOOK = np.dtype([("time_ns", "<u8"), ("rss_bytes", "<u8")])

# driver/preload/counted.h: enum counted_kind, struct counted_process, struct counted_thread
MALLOC_KINDS = (
    "malloc",
    "calloc",
    "realloc",
    "reallocarray",
    "aligned_alloc",
    "posix_memalign",
    "memalign",
    "valloc",
    "pvalloc",
    "free",
    "free_sized",
    "malloc_usable_size",
    "new",
    "delete",
)
CALLING_PROCESS = np.dtype(
    [
        ("pid", "<u4"),
        ("usable_unknown", "<u4"),
        ("usable_bytes", "<i8"),
        ("peak_usable_bytes", "<i8"),
        ("own_mapped_bytes", "<u8"),
        ("padding", "V32"),
    ]
)
CALLING_THREAD = np.dtype(
    [
        ("process", "<u4"),
        ("tid", "<u4"),
        ("requested_bytes", "<u8"),
        *((kind, "<u8") for kind in MALLOC_KINDS),
    ]
)

# driver/probes/histogram.h
PART_BITS = 5
PARTS = 1 << PART_BITS
BUCKETS = (32 - PART_BITS + 1) * PARTS
SIZE_CLASSES = 33

KINDS = len(KIND_NAMES)

# driver/options.c: of so many operations, first and warm replays together, every latency is kept.
RAW_OPS = 4_000_000
WARM = "warm_"


def bucket_midpoints() -> npt.NDArray[np.float64]:
    """The middle of each histogram bucket in ticks, shape (BUCKETS,); the first 32 are exact."""
    index = np.arange(BUCKETS)
    octave = np.maximum(index // PARTS - 1, 0)
    low = np.where(index < PARTS, index, (PARTS + index % PARTS) << octave)
    width = np.where(index < PARTS, 1, 1 << octave)
    midpoints: npt.NDArray[np.float64] = low + (width - 1) / 2
    return midpoints


def read_driver_files(folder: Path, files: Mapping[str, int], *, operations: int) -> Arrays:
    """What the driver left in `folder`: the files that it named, of the lengths that it gave, by
    a process whose trace has so many operations.

    Raises AllocphaseError for a file of another length, OSError for one that cannot be read.

    `call_ticks`, `touch_ticks`: shape (ops,). `call_histogram`, `touch_histogram`: shape (kinds,
    size classes, buckets); `thread_histogram`: shape (threads, buckets), of calls of any kind.
    `outliers`, `slow`, `syscalls`, `checkpoints`, `faults`: records, whose `op` is a place in the
    trace. Of the warm replays, one after the other: `warm_call_ticks`, shape (replays x ops of what
    is repeated,), and so on; the `op` of their records is a place among these.

    `tree`: of a program, what was resident in all of its processes together, look after look.
    """
    arrays: Arrays = {}

    def read(name: str, dtype: np.dtype[Any]) -> npt.NDArray[Any] | None:
        return _read(folder / name, dtype, files[name]) if name in files else None

    if (latency := read("latency.bin", np.dtype("<u4"))) is not None:
        for name, ticks in zip(("call_ticks", "touch_ticks"), np.split(latency, 2), strict=True):
            arrays[name], arrays[f"{WARM}{name}"] = np.split(ticks, [operations])
    if (counts := read("histogram.bin", np.dtype("<u8"))) is not None:
        shape = (2, 2, KINDS, SIZE_CLASSES, BUCKETS)
        for prefix, (calls, touches) in zip(("", WARM), counts.reshape(shape), strict=True):
            arrays[f"{prefix}call_histogram"] = calls
            arrays[f"{prefix}touch_histogram"] = touches
    if (counts := read("thread_histogram.bin", np.dtype("<u8"))) is not None:
        first, warm = counts.reshape(2, -1, BUCKETS)
        arrays["thread_histogram"], arrays[f"{WARM}thread_histogram"] = first, warm
    for name, dtype in _RECORDS.items():
        if (records := read(f"{name}.bin", dtype)) is not None:
            arrays |= _by_replay(name, records, operations)
    return arrays


def _by_replay(name: str, records: npt.NDArray[np.void], operations: int) -> Arrays:
    """What was seen in the first replay, and what in the warm ones."""
    if name not in _OF_CALLS:
        return {name: records}
    warm = records["op"] >= operations
    later = records[warm]
    later["op"] -= np.uint64(operations)
    return {name: records[~warm], f"{WARM}{name}": later}


_OF_CALLS = ("outliers", "slow", "syscalls", "faults")
_RECORDS = {
    "outliers": OUTLIER,
    "slow": SLOW_CALL,
    "syscalls": SYSCALL_EVENT,
    "checkpoints": CHECKPOINT,
    "faults": FAULT_EVENT,
    "tree": LOOK,
}


def _read(path: Path, dtype: np.dtype[Any], length: int) -> npt.NDArray[Any]:
    content = read_regular(path, length)
    if len(content) != length:
        raise AllocphaseError(f"{path.name}: {len(content)} bytes, not {length}")
    if len(content) % dtype.itemsize:
        raise AllocphaseError(f"{path.name}: torn: {len(content)} bytes of {dtype.itemsize} each")
    return np.frombuffer(content, dtype)


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Writes one .npz whole, compressed: most latencies repeat. Raises AllocphaseError.

    As numpy's own, but for the level: the lowest is five times as fast, for an eighth more bytes,
    and a run waits for it after each process.
    """

    def pack(file: BinaryIO) -> None:
        with ZipFile(file, "w", ZIP_DEFLATED, compresslevel=1) as archive:
            for name, array in arrays.items():
                with archive.open(f"{name}.npy", "w", force_zip64=True) as member:
                    np.lib.format.write_array(member, array, allow_pickle=False)

    write_whole(path, pack)


def load_arrays(path: Path, *, operations: int = RAW_OPS) -> Arrays:
    """The arrays in a file of a run whose longest trace has that many operations.

    Raises DataError when the file is torn, holds what no process leaves, or more of it.
    """
    max_bytes = operations * OPERATION_BYTES + LOG_BYTES
    return read_archive(path, known=_DTYPES, max_bytes=max_bytes)


# Of each operation: its two latencies in the first replay and in a warm one; or its kind, size,
# thread and rank.
OPERATION_BYTES = 16
# All that does not grow with the trace: the driver's logs at their capacities, histograms, and
# the further warm replays of a short one.
LOG_BYTES = 128 << 20
_DTYPES = {
    **_RECORDS,
    **dict.fromkeys(("call_ticks", "touch_ticks", "size", "op"), np.dtype("<u4")),
    **dict.fromkeys(("call_histogram", "touch_histogram", "thread_histogram"), np.dtype("<u8")),
    "kind": np.dtype("u1"),
    "thread": np.dtype("<u2"),
    **dict.fromkeys(("thread_ops", "thread_build", "thread_drain"), np.dtype("<i8")),
    "calling_processes": CALLING_PROCESS,
    "calling_threads": CALLING_THREAD,
}
_DTYPES |= {
    f"{WARM}{name}": _DTYPES[name]
    for name in (
        *_OF_CALLS,
        *("call_ticks", "touch_ticks"),
        *("call_histogram", "touch_histogram", "thread_histogram"),
    )
}
