"""ELF files: what one says first, and digests over what is loaded of it.

A digest is over what a process gets mapped, and nothing beside it.
Debug information, symbol tables and section headers are not loaded: stripping them, or building in
another folder, changes no figure and no digest. Two things lie in loaded bytes and are left out:

    places in the file      e_shoff, e_shnum and so on, p_offset: they move when others are stripped
    note NT_GNU_BUILD_ID    the linker's own digest of the file, debug information included, which
                            no process looks at

Other notes stay in: NT_GNU_PROPERTY says whether the CPU guards branches, which takes time. Layout
of the file: Tool Interface Standard, ELF specification 1.2, and gABI for 64 bits.
"""

from __future__ import annotations

import hashlib
import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from allocphase.files.regular import MAX_OBJECT_BYTES, opened, read_regular

__all__ = ["ElfHead", "elf_head", "loaded_sha256"]

_IDENTITY = b"\x7fELF\x02\x01"  # 64 bits, least byte first: every machine that allocphase runs on
_HEADER = struct.Struct("<16sHHIQQQIHHHHHH")
_SEGMENT = struct.Struct("<IIQQQQQQ")  # type, flags, offset, address, -, size in file, in memory, -
_NOTE = struct.Struct("<III")  # lengths of the name and of what is noted, type
_PT_LOAD, _PT_INTERP, _PT_NOTE = 1, 3, 4
# Linkers put the table of segments, and what they say of the interpreter, at the beginning.
_HEAD_BYTES = 65536
_BUILD_ID = (b"GNU\0", 3)

_Span = tuple[int, int]  # offset, bytes
# Of the header: e_shoff; e_shentsize, e_shnum and e_shstrndx. Of a segment's entry: p_offset.
_PLACES_OF_HEADER: tuple[_Span, ...] = ((40, 8), (58, 6))
_PLACE_OF_SEGMENT: _Span = (8, 8)


def loaded_sha256(path: Path) -> str:
    """Digest of what is loaded of an ELF file, in hex; of any other file, of all its bytes.

    Raises OSError.
    """
    content = read_regular(path, MAX_OBJECT_BYTES, follow=True)
    try:
        parts = list(_loaded(content))
    except (struct.error, _NotLoadableError):
        parts = []
    found = hashlib.sha256()
    for part in parts or [content]:
        found.update(part)
    return found.hexdigest()


@dataclass(frozen=True, slots=True)
class ElfHead:
    """What an ELF file says first. bits: 32 or 64; machine: its number in the ABI.

    interpreter: the dynamic loader that it asks for; None where it asks for none, as what is linked
    statically does, and where it is not of this kind of machine.
    """

    bits: int
    machine: int
    interpreter: Path | None = None


def elf_head(path: Path) -> ElfHead | None:
    """None of what is no ELF file. Raises OSError."""
    with opened(path, max_bytes=MAX_OBJECT_BYTES, follow=True) as file:
        content = file.read(_HEAD_BYTES)
    if not content.startswith(b"\x7fELF") or len(content) < _HEADER.size:
        return None
    machine = int.from_bytes(content[18:20], "little" if content[5] == 1 else "big")
    bits = 64 if content[4] == 2 else 32
    try:
        for kind, _, offset, _, _, length, *_ in _segments(content):
            if kind == _PT_INTERP:
                name = os.fsdecode(content[offset : offset + length].rstrip(b"\0"))
                return ElfHead(bits, machine, Path(name))
    except (struct.error, _NotLoadableError):
        pass
    return ElfHead(bits, machine)


class _NotLoadableError(ValueError):
    """A file that no loader takes."""


def _loaded(content: bytes) -> Iterator[bytes]:
    """Of each segment where it goes, with which rights, and its bytes; nothing of another file."""
    if not content.startswith(_IDENTITY):
        return
    entries = _entries(content)
    segments = _segments(content)
    at, places = _PLACE_OF_SEGMENT
    blank = [*_PLACES_OF_HEADER, *((entry + at, places) for entry in entries)]
    image = bytearray(content)
    _check_total(segments, len(content))
    for kind, _, offset, _, _, length, _, align in segments:
        if offset + length > len(content):
            raise _NotLoadableError
        if kind == _PT_NOTE:
            blank += _build_ids(content, (offset, length), max(align, 4))
    for offset, length in blank:
        image[offset : offset + length] = bytes(length)
    for kind, flags, offset, address, _, length, memory, _ in segments:
        if kind == _PT_LOAD:
            yield struct.pack("<IQQ", flags, address, memory)
            yield bytes(image[offset : offset + length])


def _entries(content: bytes) -> list[int]:
    """Where the entry of each segment lies. Raises struct.error, _NotLoadableError."""
    _, _, _, _, _, table, _, _, _, size, count, *_ = _HEADER.unpack_from(content)
    if size != _SEGMENT.size or table + count * size > len(content):
        raise _NotLoadableError
    return [table + index * size for index in range(count)]


def _segments(content: bytes) -> list[tuple[int, ...]]:
    """What each entry says; nothing of a file of another kind. Raises as `_entries`."""
    if not content.startswith(_IDENTITY):
        return []
    return [_SEGMENT.unpack_from(content, entry) for entry in _entries(content)]


def _check_total(segments: list[tuple[int, ...]], file_bytes: int) -> None:
    """65,535 segments of the whole file each would take hours to read. Raises _NotLoadableError."""
    for kind in (_PT_LOAD, _PT_NOTE):
        if sum(segment[5] for segment in segments if segment[0] == kind) > 2 * file_bytes:
            raise _NotLoadableError


def _build_ids(content: bytes, notes: _Span, align: int) -> Iterator[_Span]:
    """Where the build's digest is noted, in one segment of notes."""
    offset, end = notes[0], sum(notes)
    while offset + _NOTE.size <= end:
        name_size, size, kind = _NOTE.unpack_from(content, offset)
        name = offset + _NOTE.size
        noted = offset + _up(_NOTE.size + name_size, align)
        if noted + size > end:
            return
        if (content[name : name + name_size], kind) == _BUILD_ID:
            yield noted, size
        offset = noted + _up(size, align)


def _up(size: int, align: int) -> int:
    return -(-size // align) * align
