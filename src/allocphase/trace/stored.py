"""A trace file as it lies on disk, packed or not, read piece by piece and without trust.

    with opened_trace(path) as stored:
        stored.threads(), stored.provenance()      a few kilobytes
        stored.ops(first, count)                   those operations, unchecked
        for block in stored.blocks():              all of them, in the order of the file

Nothing here needs more memory than a block, however long the trace is.
"""

from __future__ import annotations

import hashlib
import io
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Protocol

import numpy as np
import numpy.typing as npt

from allocphase.errors import DataError
from allocphase.files.durable import write_whole
from allocphase.files.regular import opened
from allocphase.operation import MAX_OPERATIONS, MAX_THREADS
from allocphase.trace.completion import MAX_TAGS
from allocphase.trace.encoding import MAX_META_BYTES, head_problem
from allocphase.trace.packed import PackedFile, is_packed, pack
from allocphase.trace.provenance import Provenance, read_provenance
from allocphase.trace.records import (
    COLUMN,
    HEADER,
    OP,
    TAG,
    THREAD,
    Column,
    Ops,
    Records,
    Touch,
    TraceError,
)

__all__ = [
    "Block",
    "Stored",
    "Summary",
    "opened_trace",
    "packed_copy",
    "replayed_digest",
    "summary",
    "unpacked_copy",
]

# As many operations as a trace may have, and what stands beside them.
_OP_BYTES = OP.itemsize + 2 * COLUMN.itemsize
MAX_FILE_BYTES = MAX_OPERATIONS * _OP_BYTES + MAX_META_BYTES + (64 << 20)
BLOCK_OPS = 1 << 20
_PIECE_BYTES = 4 << 20
_DIGEST_AT = HEADER.fields["digest"][1] if HEADER.fields else 0


class _Bytes(Protocol):
    def read(self, count: int, /) -> bytes: ...
    def seek(self, offset: int, whence: int = 0, /) -> int: ...


@dataclass(frozen=True, slots=True)
class Block:
    """Operations that stand one after the other in a file, of one thread; the columns have their
    shape.
    """

    thread: int
    first: int
    ops: Ops
    gaps: Column | None
    touched: Column | None


@dataclass(frozen=True, slots=True)
class Summary:
    """The head of a trace file."""

    operations: int
    threads: int
    touch: Touch
    work_ns: int
    has_gaps: bool
    has_touched: bool
    digest: str
    provenance: Provenance | None


@dataclass(frozen=True, slots=True)
class Stored:
    """An opened trace: its header holds together with the length of the file."""

    file: _Bytes
    head: Any

    def threads(self) -> Records:
        """The thread table, unchecked."""
        return self._items(THREAD, self._of("thread_offset"), self._of("thread_count"))

    def tags(self) -> Records:
        """The tag table, unchecked."""
        return self._items(TAG, self._of("tag_offset"), self._of("tag_count"))

    def meta(self) -> bytes:
        """The description, as its bytes."""
        self.file.seek(self._meta_offset())
        return self.file.read(self._of("meta_bytes"))

    def provenance(self) -> Provenance | None:
        """The same, read. Raises TraceError."""
        return read_provenance(self.meta())

    @property
    def operations(self) -> int:
        """How many there are."""
        return self._of("op_count")

    @property
    def digest(self) -> str:
        """As the header has it, in hex."""
        return bytes(self.head["digest"].tobytes()).hex()

    def ops(self, first: int, count: int) -> Ops:
        """Fewer where it has no more."""
        return self._slice(OP, self._of("op_offset"), first, count)

    def gaps(self, first: int, count: int) -> Column | None:
        """None where none were recorded."""
        return self._column("gap_offset", first, count)

    def touched(self, first: int, count: int) -> Column | None:
        """None where it was not recorded."""
        return self._column("touched_offset", first, count)

    def blocks(self, size: int = BLOCK_OPS) -> Iterator[Block]:
        """All operations, at most `size` at a time. Raises TraceError for a thread beyond them."""
        for thread, row in enumerate(self.threads().tolist()):
            first, count = row[0], row[1]
            if first + count > self.operations:
                raise TraceError(f"has thread {thread} leave its operations")
            for start in range(first, first + count, size):
                some = min(size, first + count - start)
                columns = self.gaps(start, some), self.touched(start, some)
                yield Block(thread, start, self.ops(start, some), *columns)

    def refuse_padding(self) -> None:
        """Between the sections there is nothing, which no digest would see. Raises TraceError."""
        end = self._meta_offset() + self._of("meta_bytes")
        for name, item in (("op", OP), ("gap", COLUMN), ("touched", COLUMN)):
            start = self._of(f"{name}_offset")
            if start:
                self.file.seek(end)
                if any(self.file.read(start - end)):
                    raise TraceError(f"has something before its {name}_offset")
                end = start + self.operations * item.itemsize

    def pieces(self) -> Iterator[bytes]:
        """The whole file, some megabytes at a time."""
        self.file.seek(0)
        while piece := self.file.read(_PIECE_BYTES):
            yield piece

    def _of(self, name: str) -> int:
        return int(self.head[name])

    def _meta_offset(self) -> int:
        return self._of("tag_offset") + self._of("tag_count") * TAG.itemsize

    def _column(self, name: str, first: int, count: int) -> Column | None:
        offset = self._of(name)
        return self._slice(COLUMN, offset, first, count) if offset else None

    def _slice(self, dtype: np.dtype[Any], offset: int, first: int, count: int) -> npt.NDArray[Any]:
        first = min(first, self.operations)
        count = min(count, self.operations - first)
        return self._items(dtype, offset + first * dtype.itemsize, count)

    def _items(self, dtype: np.dtype[Any], offset: int, count: int) -> npt.NDArray[Any]:
        self.file.seek(offset)
        return np.frombuffer(self.file.read(count * dtype.itemsize), dtype)


@contextmanager
def opened_trace(path: Path, *, follow: bool = False) -> Iterator[Stored]:
    """Raises TraceError with what is wrong with the file's header, OSError."""
    with opened(path, max_bytes=MAX_FILE_BYTES, follow=follow) as file:
        yield Stored(*_head(_unpacking(file)))


def summary(path: Path) -> Summary:
    """What a trace says of itself. Raises TraceError that names the file."""
    with _named(path), opened_trace(path, follow=True) as stored:
        return Summary(
            operations=stored.operations,
            threads=len(stored.threads()),
            touch=Touch(int(stored.head["touch"])),
            work_ns=int(stored.head["work_ns"]),
            has_gaps=bool(stored.head["gap_offset"]),
            has_touched=bool(stored.head["touched_offset"]),
            digest=stored.digest,
            provenance=stored.provenance(),
        )


def unpacked_copy(
    path: Path, target: Path, *, touch: Touch | None = None, paced: bool = False
) -> str:
    """Writes the trace as the driver takes it, some megabytes at a time, and returns its digest.

    touch: another one than the trace's own; paced: its gaps are waited for. Raises TraceError for
    what is no trace or was damaged, AllocphaseError where it cannot be written.
    """
    digest = ""

    def fill(file: BinaryIO) -> None:
        nonlocal digest
        digest = _digested(stored, touch, paced, file.write)
        file.seek(_DIGEST_AT)
        file.write(bytes.fromhex(digest))

    with _named(path), opened_trace(path, follow=True) as stored:
        stored.refuse_padding()
        write_whole(target, fill, synced=False)
    return digest


def replayed_digest(path: Path, *, touch: Touch, paced: bool) -> str:
    """The digest that the trace has where it is replayed so. Raises TraceError."""
    with _named(path), opened_trace(path, follow=True) as stored:
        return _digested(stored, touch, paced, lambda _: None)


def _digested(
    stored: Stored, touch: Touch | None, paced: bool, take: Callable[[bytes], object]
) -> str:
    """The digest with that touch and pace, of what `take` is given, its digest still zero.

    Raises TraceError where the trace's own is wrong.
    """
    old, new = hashlib.sha256(), hashlib.sha256()
    for number, piece in enumerate(stored.pieces()):
        changed = piece
        if number == 0:
            head = np.frombuffer(piece, HEADER, 1).copy()
            head["digest"] = 0
            piece = head.tobytes() + piece[HEADER.itemsize :]
            head["touch"] = head["touch"] if touch is None else touch
            head["paced"] = paced
            changed = head.tobytes() + piece[HEADER.itemsize :]
        old.update(piece)
        new.update(changed)
        take(changed)
    if old.hexdigest() != stored.digest:
        raise TraceError(f"has digest {stored.digest}; its bytes make {old.hexdigest()}")
    return new.hexdigest()


def packed_copy(path: Path, target: Path) -> None:
    """Writes the same trace packed. Raises as unpacked_copy."""
    with _named(path), opened_trace(path, follow=True) as stored:
        write_whole(target, lambda file: pack(stored.pieces(), file))


@contextmanager
def _named(path: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, DataError, TraceError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise TraceError(f"{path}: {reason}") from error


def _unpacking(file: BinaryIO) -> _Bytes:
    start = file.read(4)
    file.seek(0)
    return PackedFile(file) if is_packed(start) else file


def _head(file: _Bytes) -> tuple[_Bytes, Any]:
    """The header, whose offsets and counts lie within the file. Raises TraceError."""
    file_bytes = file.seek(0, io.SEEK_END)
    if file_bytes < HEADER.itemsize:
        raise TraceError(f"is no trace: {file_bytes} bytes are less than a header")
    file.seek(0)
    head = np.frombuffer(file.read(HEADER.itemsize), HEADER)[0]
    problem = head_problem(head, file_bytes)
    for what, most in (("thread", MAX_THREADS), ("tag", MAX_TAGS)):
        count = int(head[f"{what}_count"])
        if problem is None and count > most:
            problem = f"has {count} {what}s, more than {most}"
    if problem:
        raise TraceError(problem)
    return file, head
