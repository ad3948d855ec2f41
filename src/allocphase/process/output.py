"""What a driver process delivers: its result and its arrays, read and doubted.

The process shared its memory with a buggy allocator. What does not fit together was written over,
and must neither be taken for a measurement nor get into a journal that nobody can read then.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np

from allocphase.errors import AllocphaseError
from allocphase.files.documents import parse_json
from allocphase.files.regular import read_regular
from allocphase.files.typed import FieldError, read
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import Arrays, read_driver_files
from allocphase.probe.consistency import samples_problem
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result, check_result
from allocphase.probe.status import Status
from allocphase.trace.file import read_threads
from allocphase.trace.records import TraceError, repeated_ops

__all__ = ["DamagedError", "Delivery", "ForeignError", "read_delivery", "read_program_delivery"]

# driver/base/json.c: JSON_CAPACITY
MAX_RESULT_BYTES = 4 << 20
_NAME = re.compile("[a-z_]{1,40}[.]bin")

# What the driver itself can say: that it was killed, or never ran, is said by others.
STATUSES = frozenset(Status) - {Status.TIMEOUT, Status.NOT_MEASURED}


class DamagedError(Exception):
    """The message says what does not fit."""


class ForeignError(Exception):
    """There is no result of the driver's; the message says what is in its place, if anything."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Delivery:
    """`result` is the driver's own document, without the two words before it."""

    status: Status
    message: str
    result: Result
    arrays: Arrays


def read_delivery(folder: Path, *, trace: Path, probe: Probe, token: str) -> Delivery:
    """What the driver has left in `folder`: whatever else lies there is not looked at.

    Arrays are read only of a process that ended well. Raises ForeignError when there is no result
    with the driver's `token`, and DamagedError for one that makes no sense.
    """
    said, files = _said(folder, probe, token)
    arrays = _arrays(folder, files, said.result, trace) if said.status is Status.OK else {}
    return replace(said, arrays=arrays)


def read_program_delivery(folder: Path, *, probe: Probe, token: str) -> Delivery:
    """The same of a program's, which has no trace."""
    said, files = _said(folder, probe, token)
    if said.status is not Status.OK:
        return said
    return replace(said, arrays=_driver_files(folder, files, operations=0))


def _said(folder: Path, probe: Probe, token: str) -> tuple[Delivery, dict[str, int]]:
    """The document, and the files that it names with their lengths."""
    text = _result_text(folder / "result.json", token)
    try:
        said = parse_json(text)
    except ValueError as error:
        raise DamagedError(f"result.json: {error}") from None
    status, message = _words(said)
    files = _files(said)
    try:
        result = read(Result, said)
        check_result(probe, status, result)
    except FieldError as error:
        raise DamagedError(str(error.under("result"))) from None
    return Delivery(status=status, message=message, result=result, arrays={}), files


def _result_text(path: Path, token: str) -> str:
    try:
        content = read_regular(path, MAX_RESULT_BYTES)
    except FileNotFoundError:
        raise ForeignError("") from None
    except OSError as error:
        raise ForeignError(f"; its result.json is not the driver's: {error.strerror}") from None
    if not content.endswith(b',"token":"%s"}\n' % token.encode()):
        raise ForeignError("; its result.json is not the driver's")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError as error:
        raise DamagedError(f"result.json: {error}") from None


def _files(said: Any) -> dict[str, int]:
    """The names of the driver's files in the folder, and their lengths in bytes."""
    files, _ = said.pop("files", {}), said.pop("token", None)
    names = files.items() if isinstance(files, dict) else [("", None)]
    if not all(isinstance(n, int) and _NAME.fullmatch(name) for name, n in names):
        raise DamagedError("result.files: are no names with lengths")
    return dict(files)


def _words(said: Any) -> tuple[Status, str]:
    if not isinstance(said, dict):
        raise DamagedError("result: is no table")
    status, message = said.pop("status", None), said.pop("message", None)
    if not isinstance(status, str) or status not in STATUSES or not isinstance(message, str):
        raise DamagedError("result: has no status or no message")
    return Status(status), message


def _arrays(folder: Path, files: Mapping[str, int], result: Result, trace: Path) -> Arrays:
    try:
        threads = read_threads(trace)
    except OSError as error:
        raise DamagedError(f"the trace: {error.strerror}") from None
    except TraceError as error:
        raise DamagedError(f"the trace {error}") from None
    counts = threads["op_count"].astype(np.int64)
    if result.operations != int(counts.sum()):
        raise DamagedError(f"result.operations: {result.operations}, not {counts.sum()}")
    arrays = _driver_files(folder, files, operations=result.operations)
    repeated = repeated_ops(threads)
    if fault := samples_problem(arrays, counts, repeated=repeated, kinds=len(KIND_NAMES)):
        raise DamagedError(fault)
    return arrays


def _driver_files(folder: Path, files: Mapping[str, int], *, operations: int) -> Arrays:
    try:
        return read_driver_files(folder, files, operations=operations)
    except (AllocphaseError, ValueError) as error:
        raise DamagedError(str(error)) from None
    except OSError as error:
        raise DamagedError(f"{Path(error.filename).name}: {error.strerror}") from None
