"""What a driver process delivers: its result and its arrays, read and doubted.

The process shared its memory with a buggy allocator. What does not fit together was written over,
and must neither be taken for a measurement nor get into a journal that nobody can read then.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allocphase.errors import AllocphaseError
from allocphase.files.documents import parse_json
from allocphase.files.typed import FieldError, read
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import Arrays, read_driver_files
from allocphase.probe.consistency import Counts, samples_problem
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result, check_result
from allocphase.probe.status import Status
from allocphase.trace.records import HEADER, THREAD

__all__ = ["DamagedError", "Delivery", "read_delivery"]

# What the driver itself can say: that it was killed, or never ran, is said by others.
STATUSES = frozenset(Status) - {Status.TIMEOUT, Status.NOT_MEASURED}


class DamagedError(Exception):
    """The message says what does not fit."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`result` is the driver's own document, without the two words before it."""

    status: Status
    message: str
    result: Result
    arrays: Arrays


def read_delivery(folder: Path, *, trace: Path, probe: Probe) -> Delivery | None:
    """What lies in `folder`; None when there is no result. Raises DamagedError.

    Arrays are read only of a process that ended well.
    """
    try:
        said = parse_json((folder / "result.json").read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise DamagedError(f"result.json: {error}") from None
    status, message = _words(said)
    try:
        result = read(Result, said)
        check_result(probe, status, result)
    except FieldError as error:
        raise DamagedError(str(error.under("result"))) from None
    arrays = _arrays(folder, result, trace) if status is Status.OK else {}
    return Delivery(status=status, message=message, result=result, arrays=arrays)


def _words(said: Any) -> tuple[Status, str]:
    if not isinstance(said, dict):
        raise DamagedError("result: is no table")
    status, message = said.pop("status", None), said.pop("message", None)
    if status not in STATUSES or not isinstance(message, str):
        raise DamagedError("result: has no status or no message")
    return Status(status), message


def _arrays(folder: Path, result: Result, trace: Path) -> Arrays:
    counts = _thread_counts(trace)
    if result.operations != int(counts.sum()):
        raise DamagedError(f"result.operations: {result.operations}, not {counts.sum()}")
    try:
        arrays = read_driver_files(folder)
    except (AllocphaseError, ValueError) as error:
        raise DamagedError(str(error)) from None
    if fault := samples_problem(arrays, counts, kinds=len(KIND_NAMES)):
        raise DamagedError(fault)
    return arrays


def _thread_counts(trace: Path) -> Counts:
    """How many operations each thread of a trace file has; the driver has checked the file."""
    header = np.fromfile(trace, dtype=HEADER, count=1)[0]
    count, offset = int(header["thread_count"]), int(header["thread_offset"])
    threads = np.fromfile(trace, dtype=THREAD, count=count, offset=offset)
    return threads["op_count"].astype(np.int64)
