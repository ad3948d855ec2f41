"""Traces compressed: Zstandard in frames of their own, with a table of where each begins.

It is zstd's seekable format (facebook/zstd, contrib/seekable_format): `zstd -d` unpacks it. The
table is the last frame, one that decoders skip:

    u32 0x184D2A5E, u32 bytes that follow
    [frames]  u32 compressed bytes, u32 bytes, u32 checksum where the descriptor has bit 7
    u32 frames, u8 descriptor, u32 0x8F92EAB1

So a part of a trace is read without all that comes before it, and no more is unpacked at a time
than a frame.
"""

from __future__ import annotations

import io
import struct
from bisect import bisect_right
from collections.abc import Iterable
from itertools import accumulate
from typing import BinaryIO

import zstandard

from allocphase.errors import DataError

__all__ = ["SUFFIX", "PackedFile", "is_packed", "pack"]

SUFFIX = ".zst"
FRAME_BYTES = 4 << 20
# Of files by others: what is unpacked at a time must not fill the memory.
MAX_FRAME_BYTES = 64 << 20
LEVEL = 3

_ZSTD_MAGIC = 0xFD2FB528
_SKIPPABLE_MAGIC = 0x184D2A5E
_SEEKABLE_MAGIC = 0x8F92EAB1
_HEAD = struct.Struct("<II")
_ENTRY = struct.Struct("<II")
_FOOTER = struct.Struct("<IBI")
_HAS_CHECKSUMS = 0x80


def is_packed(start: bytes) -> bool:
    """Whether a file that begins so is Zstandard's."""
    return start[:4] == _ZSTD_MAGIC.to_bytes(4, "little")


def pack(parts: Iterable[bytes | memoryview], file: BinaryIO, *, level: int = LEVEL) -> None:
    """Writes the parts, one after the other, as frames of FRAME_BYTES and their table."""
    compressor = zstandard.ZstdCompressor(level=level, write_checksum=True)
    table: list[tuple[int, int]] = []
    waiting = bytearray()

    def flush(count: int) -> None:
        frame = compressor.compress(bytes(waiting[:count]))
        file.write(frame)
        table.append((len(frame), count))
        del waiting[:count]

    for part in parts:
        view = memoryview(part).cast("B")
        for start in range(0, len(view), FRAME_BYTES):
            waiting += view[start : start + FRAME_BYTES]
            while len(waiting) >= FRAME_BYTES:
                flush(FRAME_BYTES)
    if waiting:
        flush(len(waiting))
    entries = b"".join(_ENTRY.pack(*entry) for entry in table)
    footer = _FOOTER.pack(len(table), 0, _SEEKABLE_MAGIC)
    file.write(_HEAD.pack(_SKIPPABLE_MAGIC, len(entries) + len(footer)) + entries + footer)


class PackedFile:
    """What was packed, to read and to seek in. Raises DataError for what is no such file, or was
    damaged.
    """

    def __init__(self, file: BinaryIO) -> None:
        table = _table(file)
        self._file = file
        self._starts = [0, *accumulate(size for _, size in table)]
        self._places = [0, *accumulate(packed for packed, _ in table)]
        self._at = 0
        self._frame = (-1, b"")

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        """As a file's; returns the place."""
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._starts[-1]}[whence]
        self._at = max(0, base + offset)
        return self._at

    def read(self, count: int) -> bytes:
        """As a file's: fewer bytes only at its end."""
        parts = []
        while count > 0 and self._at < self._starts[-1]:
            number = bisect_right(self._starts, self._at) - 1
            within = self._at - self._starts[number]
            part = self._unpacked(number)[within : within + count]
            parts.append(part)
            self._at += len(part)
            count -= len(part)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    def _unpacked(self, number: int) -> bytes:
        """The frame of that number; the last one is kept."""
        if self._frame[0] != number:
            size = self._starts[number + 1] - self._starts[number]
            self._file.seek(self._places[number])
            packed = self._file.read(self._places[number + 1] - self._places[number])
            try:
                content = zstandard.ZstdDecompressor().decompress(packed, max_output_size=size)
            except (zstandard.ZstdError, MemoryError) as error:
                raise DataError(f"frame {number}: is damaged: {error}") from None
            if len(content) != size:
                raise DataError(f"frame {number}: is damaged: not the {size} bytes of its table")
            self._frame = (number, content)
        return self._frame[1]


def _table(file: BinaryIO) -> list[tuple[int, int]]:
    """Compressed and own bytes of each frame that has any."""
    end = file.seek(0, io.SEEK_END)
    if end < _HEAD.size + _FOOTER.size:
        raise DataError("is no compressed trace: too short")
    file.seek(end - _FOOTER.size)
    count, descriptor, magic = _FOOTER.unpack(file.read(_FOOTER.size))
    if magic != _SEEKABLE_MAGIC:
        raise DataError("has no seek table: unpack it with zstd -d, and pass that")
    width = _ENTRY.size + 4 * bool(descriptor & _HAS_CHECKSUMS)
    length = count * width + _FOOTER.size
    start = end - length - _HEAD.size
    if start < 0:
        raise DataError("has a seek table that is longer than the file")
    file.seek(start)
    if _HEAD.unpack(file.read(_HEAD.size)) != (_SKIPPABLE_MAGIC, length):
        raise DataError("has a damaged seek table")
    entries = file.read(count * width)
    table = [_ENTRY.unpack_from(entries, index * width) for index in range(count)]
    if sum(packed for packed, _ in table) != start:
        raise DataError("has a seek table that is not of its frames")
    if any(size > MAX_FRAME_BYTES for _, size in table):
        raise DataError(f"has a frame of more than {MAX_FRAME_BYTES} bytes")
    return [(packed, size) for packed, size in table if size > 0 or packed > 0]
