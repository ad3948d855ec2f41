"""Archives of arrays (.npz) that may come from elsewhere, read without trust in what they claim.

The sizes in an archive's directory and in each array's header are claims: they are compared with
each other and with a bound before anything is unpacked. Only dtypes that the caller knows by name
are read, so nothing is ever unpickled.
"""

from __future__ import annotations

import ast
import math
import struct
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import IO, Any
from zipfile import ZIP_DEFLATED, ZIP_STORED, BadZipFile, ZipFile, ZipInfo

import numpy as np
import numpy.typing as npt

from allocphase.errors import DataError
from allocphase.files.regular import opened

__all__ = ["Arrays", "read_archive"]

Arrays = dict[str, npt.NDArray[Any]]

_SUFFIX = ".npy"
# What a packer may add to arrays that do not shrink, and each array's own header.
_OVERHEAD_BYTES = 1 << 20
_ENCRYPTED = 0x1
_HEADER_LENGTH = struct.Struct("<H")
REASON_LENGTH = 200
MAX_LENGTH = 1 << 40
# What zipfile, zlib and numpy's header parser raise for a file that is none of theirs.
_FAULTS = (
    OSError,
    EOFError,
    ValueError,
    TypeError,
    KeyError,
    SyntaxError,
    RecursionError,
    MemoryError,
    OverflowError,
    NotImplementedError,
    RuntimeError,
    struct.error,
    BadZipFile,
    zlib.error,
)


def read_archive(path: Path, *, known: Mapping[str, np.dtype[Any]], max_bytes: int) -> Arrays:
    """The arrays of an archive by name, all of them among `known`, `max_bytes` in all.

    Raises DataError with the file and what is wrong with it.
    """
    try:
        with opened(path, max_bytes=max_bytes + _OVERHEAD_BYTES) as file, ZipFile(file) as archive:
            members = archive.infolist()
            _check_directory(members, known, max_bytes)
            return {
                info.filename.removesuffix(_SUFFIX): _read(archive, info, known) for info in members
            }
    except _FAULTS as error:
        reason = str(getattr(error, "strerror", None) or error)[:REASON_LENGTH]
        raise DataError(f"{path}: not a sample file: {reason}") from None


def _check_directory(
    members: list[ZipInfo], known: Mapping[str, np.dtype[Any]], max_bytes: int
) -> None:
    names = [info.filename for info in members]
    if len(set(names)) < len(names):
        raise ValueError("two arrays of one name")
    for info in members:
        if info.filename.removesuffix(_SUFFIX) not in known or info.filename in known:
            raise ValueError(f"holds {info.filename!r}, which no process leaves")
        if info.flag_bits & _ENCRYPTED or info.compress_type not in (ZIP_STORED, ZIP_DEFLATED):
            raise ValueError(f"{info.filename}: packed in a way that is not read here")
    total = sum(info.file_size for info in members)
    if total > max_bytes + _OVERHEAD_BYTES:
        raise ValueError(f"claims {total} bytes, more than the {max_bytes} its operations can take")


def _read(archive: ZipFile, info: ZipInfo, known: Mapping[str, np.dtype[Any]]) -> npt.NDArray[Any]:
    dtype = known[info.filename.removesuffix(_SUFFIX)]
    with archive.open(info) as member:
        shape = _shape(member, dtype)
        content = member.read(info.file_size)  # never more; zipfile checks it against its sum
    if len(content) != math.prod(shape) * dtype.itemsize:
        raise ValueError(f"{info.filename}: has {len(content)} bytes for the shape {shape}")
    return np.frombuffer(content, dtype).reshape(shape)


def _shape(member: IO[bytes], dtype: np.dtype[Any]) -> tuple[int, ...]:
    """The shape that an array's header claims, when the rest is as it must be.

    numpy's own reader would make a dtype of whatever the header says; this one compares.
    """
    if np.lib.format.read_magic(member) != (1, 0):
        raise ValueError("an array of another format")
    (length,) = _HEADER_LENGTH.unpack(member.read(_HEADER_LENGTH.size))
    header = ast.literal_eval(member.read(length).decode("ascii").strip())
    expected = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False}
    shape = header.pop("shape") if isinstance(header, dict) and "shape" in header else None
    if header != expected or not isinstance(shape, tuple):
        raise ValueError(f"{member.name}: not an array of {dtype}")
    if not all(type(size) is int and 0 <= size <= MAX_LENGTH for size in shape):
        raise ValueError(f"{member.name}: a shape that no array has")
    return shape
