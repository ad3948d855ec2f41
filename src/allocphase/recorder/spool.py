"""Operations on their way to a trace: those of all threads come in turns, a file has one thread
after the other.

They wait in two files without a name, each thread's in a place of its own, which may have room to
spare: what is not written takes none. The trace is then written from there, some megabytes at a
time.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO

import numpy as np
import numpy.typing as npt

from allocphase.files.durable import write_whole
from allocphase.trace.encoding import DIGEST_BYTES, aligned, head_parts
from allocphase.trace.packed import SUFFIX, pack
from allocphase.trace.records import COLUMN, FLAGS_SHIFT, OP, POST, Column, Ops, Trace

__all__ = ["Spool", "by_thread"]

Indices = npt.NDArray[np.int64]
_PIECE_BYTES = 4 << 20
_FLAGS_AT = OP.fields["kind_flags"][1] if OP.fields else 0


class Spool:
    """`capacity`: the most operations that each thread can have. `touched`: whether there is a
    column of what was touched.
    """

    def __init__(self, capacity: Indices, folder: Path, *, touched: bool = False) -> None:
        self._first = np.concatenate([[0], np.cumsum(capacity)])
        self.counts = np.zeros(len(capacity), dtype=np.int64)
        self._ops = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115 (closed by __exit__)
        self._gaps = tempfile.TemporaryFile(dir=folder)  # noqa: SIM115
        self._touched = tempfile.TemporaryFile(dir=folder) if touched else None  # noqa: SIM115

    def __enter__(self) -> Spool:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._ops.close()
        self._gaps.close()
        if self._touched is not None:
            self._touched.close()

    def places(self, threads: npt.NDArray[np.uint16]) -> Indices:
        """Where operations of these threads go that come next, in this order; shape (n,)."""
        if len(self.counts) == 1:
            return np.arange(len(threads)) + int(self.counts[0])
        order = np.argsort(threads, kind="stable")
        grouped = threads[order]
        starts = np.flatnonzero(np.concatenate([[True], grouped[1:] != grouped[:-1]]))
        lengths = np.diff(np.append(starts, len(grouped)))
        rank = np.arange(len(grouped)) - np.repeat(starts, lengths)
        found = np.empty(len(threads), dtype=np.int64)
        found[order] = (self._first[:-1] + self.counts)[grouped] + rank
        return found

    def add(
        self,
        threads: npt.NDArray[np.uint16],
        places: Indices,
        ops: Ops,
        gaps: Column,
        touched: Column | None = None,
    ) -> None:
        """Writes them at their `places`."""
        if len(self.counts) == 1:
            self._put(int(places[0]), ops, gaps, touched)
            self.counts[0] += len(ops)
            return
        for thread, mine in by_thread(threads):
            own = None if touched is None else touched[mine]
            self._put(int(places[mine[0]]), ops[mine], gaps[mine], own)
            self.counts[thread] += len(mine)

    def post(self, places: Indices) -> None:
        """Says of operations that were added that another thread has the slot next."""
        if not len(places):
            return
        file = self._ops
        flags = np.memmap(file, np.uint8, "r+", 0, (os.fstat(file.fileno()).st_size,))
        flags[places * OP.itemsize + _FLAGS_AT] |= POST << FLAGS_SHIFT
        del flags

    def in_file(self, place: int) -> int:
        """Where the operation at a place of this will stand in the trace."""
        thread = int(np.searchsorted(self._first, place, side="right")) - 1
        before = int(self.counts[:thread].sum())
        return before + place - int(self._first[thread])

    def write(self, trace: Trace, path: Path) -> str:
        """The trace that has these operations and columns, `trace` has none. Returns its digest."""
        counts = int(self.counts.sum())

        def parts(digest: bytes) -> Iterator[bytes]:
            has_touched = self._touched is not None
            yield from head_parts(
                trace, digest_bytes=digest, ops=counts, gaps=True, touched=has_touched
            )
            yield from self._pieces(self._ops, OP)
            end = counts * OP.itemsize
            yield bytes(aligned(end) - end)
            yield from self._pieces(self._gaps, COLUMN)
            if self._touched is not None:
                end = counts * COLUMN.itemsize
                yield bytes(aligned(end) - end)
                yield from self._pieces(self._touched, COLUMN)

        sha = hashlib.sha256()
        for part in parts(bytes(DIGEST_BYTES)):
            sha.update(part)

        def fill(file: BinaryIO) -> None:
            if path.suffix == SUFFIX:
                pack(parts(sha.digest()), file)
                return
            for part in parts(sha.digest()):
                file.write(part)

        write_whole(path, fill, synced=False)  # whoever finds it lost makes it again
        return sha.hexdigest()

    def _put(self, place: int, ops: Ops, gaps: Column, touched: Column | None) -> None:
        columns = [(self._ops, ops), (self._gaps, gaps)]
        if self._touched is not None and touched is not None:
            columns.append((self._touched, touched))
        for file, items in columns:
            _write_all(file.fileno(), items.tobytes(), place * items.dtype.itemsize)

    def _pieces(self, file: Any, dtype: np.dtype[Any]) -> Iterator[bytes]:
        for first, count in zip(self._first.tolist(), self.counts.tolist(), strict=False):
            at, end = first * dtype.itemsize, (first + count) * dtype.itemsize
            while at < end:
                piece = os.pread(file.fileno(), min(_PIECE_BYTES, end - at), at)
                yield piece
                at += len(piece)


def by_thread(threads: npt.NDArray[np.uint16]) -> Iterator[tuple[int, Indices]]:
    """Of each thread that is among these which are its own, in order."""
    order = np.argsort(threads, kind="stable")  # radix, of 16 bits
    grouped = threads[order]
    ends = np.flatnonzero(np.append(grouped[1:] != grouped[:-1], len(order) > 0)) + 1
    for begin, end in pairwise([0, *ends.tolist()]):
        yield int(grouped[begin]), order[begin:end]


def _write_all(file: int, content: bytes, at: int) -> None:
    view = memoryview(content)
    while view:
        written = os.pwrite(file, view, at)
        view, at = view[written:], at + written
