"""The driver's binary files, as numpy sees them: same layout as the C structs named beside each.

A finished process leaves arrays; the run keeps them in one .npz a process, without pickle.
"""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
import numpy.typing as npt

from allocphase.errors import AllocphaseError

__all__ = [
    "BUCKETS",
    "CHECKPOINT",
    "FAULT_EVENT",
    "OUTLIER",
    "SLOW_CALL",
    "SYSCALL_EVENT",
    "Arrays",
    "bucket_midpoints",
    "load_arrays",
    "read_driver_files",
    "save_arrays",
]

Arrays = dict[str, npt.NDArray[Any]]

# driver/syscalls.h: struct syscall_event
SYSCALL_EVENT = np.dtype([("op", "<u4"), ("thread", "<u2"), ("number", "<u2")])
# driver/memory.c: struct checkpoint, struct fault_event
CHECKPOINT = np.dtype([(n, "<u8") for n in ("op", "live_bytes", "mapped_bytes", "rss_bytes")])
FAULT_EVENT = np.dtype([(n, "<u4") for n in ("op", "thread", "call_faults", "touch_faults")])
# driver/latency.c: struct outlier, struct slow_call
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

# driver/histogram.h
PART_BITS = 5
PARTS = 1 << PART_BITS
BUCKETS = (32 - PART_BITS + 1) * PARTS
KINDS = 8
SIZE_CLASSES = 33


def bucket_midpoints() -> npt.NDArray[np.float64]:
    """The middle of each histogram bucket in ticks, shape (BUCKETS,); the first 32 are exact."""
    index = np.arange(BUCKETS)
    octave = np.maximum(index // PARTS - 1, 0)
    low = np.where(index < PARTS, index, (PARTS + index % PARTS) << octave)
    width = np.where(index < PARTS, 1, 1 << octave)
    midpoints: npt.NDArray[np.float64] = low + (width - 1) / 2
    return midpoints


def read_driver_files(folder: Path) -> Arrays:
    """Whatever the driver left in `folder`, by name. Raises AllocphaseError for a torn file.

    `call_ticks`, `touch_ticks`: shape (ops,). `call_histogram`, `touch_histogram`: shape (kinds,
    size classes, buckets). `outliers`, `slow`, `syscalls`, `checkpoints`, `faults`: records.
    """
    arrays: Arrays = {}
    if (latency := _read(folder / "latency.bin", np.dtype("<u4"))) is not None:
        arrays["call_ticks"], arrays["touch_ticks"] = np.split(latency, 2)
    if (counts := _read(folder / "histogram.bin", np.dtype("<u8"))) is not None:
        shape = (2, KINDS, SIZE_CLASSES, BUCKETS)
        arrays["call_histogram"], arrays["touch_histogram"] = counts.reshape(shape)
    for name, dtype in _RECORDS.items():
        if (records := _read(folder / f"{name}.bin", dtype)) is not None:
            arrays[name] = records
    return arrays


_RECORDS = {
    "outliers": OUTLIER,
    "slow": SLOW_CALL,
    "syscalls": SYSCALL_EVENT,
    "checkpoints": CHECKPOINT,
    "faults": FAULT_EVENT,
}


def _read(path: Path, dtype: np.dtype[Any]) -> npt.NDArray[Any] | None:
    if not path.exists():
        return None
    content = path.read_bytes()
    if len(content) % dtype.itemsize:
        raise AllocphaseError(f"{path.name}: torn: {len(content)} bytes of {dtype.itemsize} each")
    return np.frombuffer(content, dtype)


def save_arrays(path: Path, arrays: Arrays) -> None:
    """Writes one .npz, compressed: most latencies repeat."""
    with path.open("wb") as file:
        np.savez_compressed(file, **arrays)  # type: ignore[arg-type]  # its allow_pickle keyword


def load_arrays(path: Path) -> Arrays:
    """Raises AllocphaseError when the file is torn or holds objects."""
    try:
        with path.open("rb") as raw, np.load(raw, allow_pickle=False) as file:
            return {name: file[name] for name in file.files}
    except (OSError, ValueError, KeyError, EOFError, BadZipFile, zlib.error) as error:
        raise AllocphaseError(f"{path}: not a sample file: {error}") from error
