"""The driver's binary files, as numpy sees them: same layout as the C structs named beside each.

A finished process leaves arrays; the run keeps them in one .npz a process, without pickle.
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
    "CHECKPOINT",
    "FAULT_EVENT",
    "OUTLIER",
    "RAW_OPS",
    "SIZE_CLASSES",
    "SLOW_CALL",
    "SYSCALL_EVENT",
    "Arrays",
    "bucket_midpoints",
    "load_arrays",
    "read_driver_files",
    "save_arrays",
]

# driver/probes/syscall_log.h: struct syscall_event
SYSCALL_EVENT = np.dtype([("op", "<u4"), ("thread", "<u2"), ("number", "<u2")])
# driver/probes/footprint.c: struct checkpoint; driver/probes/faults.c: struct fault_event
CHECKPOINT = np.dtype([(n, "<u8") for n in ("op", "live_bytes", "mapped_bytes", "rss_bytes")])
FAULT_EVENT = np.dtype([(n, "<u4") for n in ("op", "thread", "call_faults", "touch_faults")])
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

# driver/probes/histogram.h
PART_BITS = 5
PARTS = 1 << PART_BITS
BUCKETS = (32 - PART_BITS + 1) * PARTS
SIZE_CLASSES = 33

KINDS = len(KIND_NAMES)

# driver/options.c: the longest trace of which every latency is kept.
RAW_OPS = 4_000_000


def bucket_midpoints() -> npt.NDArray[np.float64]:
    """The middle of each histogram bucket in ticks, shape (BUCKETS,); the first 32 are exact."""
    index = np.arange(BUCKETS)
    octave = np.maximum(index // PARTS - 1, 0)
    low = np.where(index < PARTS, index, (PARTS + index % PARTS) << octave)
    width = np.where(index < PARTS, 1, 1 << octave)
    midpoints: npt.NDArray[np.float64] = low + (width - 1) / 2
    return midpoints


def read_driver_files(folder: Path, files: Mapping[str, int]) -> Arrays:
    """What the driver left in `folder`: the files that it named, of the lengths that it gave.

    Raises AllocphaseError for a file of another length, OSError for one that cannot be read.

    `call_ticks`, `touch_ticks`: shape (ops,). `call_histogram`, `touch_histogram`: shape (kinds,
    size classes, buckets); `thread_histogram`: shape (threads, buckets), of calls of any kind.
    `outliers`, `slow`, `syscalls`, `checkpoints`, `faults`: records.
    """
    arrays: Arrays = {}

    def read(name: str, dtype: np.dtype[Any]) -> npt.NDArray[Any] | None:
        return _read(folder / name, dtype, files[name]) if name in files else None

    if (latency := read("latency.bin", np.dtype("<u4"))) is not None:
        arrays["call_ticks"], arrays["touch_ticks"] = np.split(latency, 2)
    if (counts := read("histogram.bin", np.dtype("<u8"))) is not None:
        shape = (2, KINDS, SIZE_CLASSES, BUCKETS)
        arrays["call_histogram"], arrays["touch_histogram"] = counts.reshape(shape)
    if (counts := read("thread_histogram.bin", np.dtype("<u8"))) is not None:
        arrays["thread_histogram"] = counts.reshape(-1, BUCKETS)
    for name, dtype in _RECORDS.items():
        if (records := read(f"{name}.bin", dtype)) is not None:
            arrays[name] = records
    return arrays


_RECORDS = {
    "outliers": OUTLIER,
    "slow": SLOW_CALL,
    "syscalls": SYSCALL_EVENT,
    "checkpoints": CHECKPOINT,
    "faults": FAULT_EVENT,
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


# Of each operation: its two latencies, or its kind, size, thread and rank.
OPERATION_BYTES = 11
# All that does not grow with the trace: the driver's logs at their capacities, and histograms.
LOG_BYTES = 128 << 20
_DTYPES = {
    **_RECORDS,
    **dict.fromkeys(("call_ticks", "touch_ticks", "size", "op"), np.dtype("<u4")),
    **dict.fromkeys(("call_histogram", "touch_histogram", "thread_histogram"), np.dtype("<u8")),
    "kind": np.dtype("u1"),
    "thread": np.dtype("<u2"),
    "thread_ops": np.dtype("<i8"),
}
