"""One folder as one file, verified by its digest: how a host's results come back.

A tar of regular files, sorted, without owners and times, packed by zstd: the same folder is the
same bytes. What is unpacked is believed in nothing: paths, kinds and sizes are checked, and the
folder has its name once it is whole.
"""

from __future__ import annotations

import hashlib
import shutil
import tarfile
from collections.abc import Iterator, Mapping
from pathlib import Path, PurePosixPath
from typing import BinaryIO

import zstandard

from allocphase.errors import DataError
from allocphase.files.durable import PARTIAL, named_errors, write_whole
from allocphase.hosts.document import is_below

__all__ = ["digest_of_file", "pack", "unpack"]

_PIECE_BYTES = 1 << 20
# Of what a host may send; runs are some megabytes.
MOST_BYTES = 64 << 30
_FAULTS = (tarfile.TarError, zstandard.ZstdError, EOFError, ValueError, UnicodeError)


def pack(folders: Mapping[str, Path], target: Path) -> tuple[str, int]:
    """Writes the archive of all files below some folders, each under its name there ("" for the
    top), whole or not at all; its digest and size. Raises AllocphaseError.
    """

    def write(file: BinaryIO) -> None:
        packer = zstandard.ZstdCompressor(level=3)
        with (
            packer.stream_writer(file, closefd=False) as packed,
            tarfile.open(fileobj=packed, mode="w|") as archive,
        ):
            for name, path in _files(folders):
                _add(archive, name, path)

    write_whole(target, write)
    return digest_of_file(target), target.stat().st_size


def _files(folders: Mapping[str, Path]) -> Iterator[tuple[str, Path]]:
    found = [
        (str(PurePosixPath(name) / path.relative_to(folder).as_posix()), path)
        for name, folder in folders.items()
        for path in folder.rglob("*")
        if path.is_file() and not path.is_symlink()
    ]
    yield from sorted(found)


def _add(archive: tarfile.TarFile, name: str, path: Path) -> None:
    entry = tarfile.TarInfo(name)
    with path.open("rb") as content:
        entry.size = path.stat().st_size
        entry.mode = 0o644
        archive.addfile(entry, content)


def digest_of_file(path: Path) -> str:
    """SHA-256 in hex. Raises AllocphaseError."""
    with named_errors(path), path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def unpack(source: Path, folder: Path, *, sha256: str) -> None:
    """Unpacks an archive into a folder that takes the place of one of that name.

    Raises DataError where it is another archive, or holds what `pack` never put in;
    AllocphaseError.
    """
    if digest_of_file(source) != sha256:
        raise DataError(f"{source}: is not what the host sent: its digest differs")
    partial = folder.with_name(f".{folder.name}{PARTIAL}")
    with named_errors(folder):
        shutil.rmtree(partial, ignore_errors=True)
        partial.mkdir(parents=True)
        try:
            _extract(source, partial)
            shutil.rmtree(folder, ignore_errors=True)
            partial.rename(folder)
        except _FAULTS as error:
            raise DataError(f"{source}: no archive of a host: {error}") from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)


def _extract(source: Path, folder: Path) -> None:
    left = MOST_BYTES
    with (
        source.open("rb") as file,
        zstandard.ZstdDecompressor().stream_reader(file) as unpacked,
        tarfile.open(fileobj=unpacked, mode="r|") as archive,
    ):
        for entry in archive:
            content = archive.extractfile(entry) if entry.isreg() else None
            left -= entry.size
            if content is None or not is_below(entry.name) or left < 0:
                raise ValueError(f"{entry.name!r} is none of its files")
            target = folder / entry.name
            target.parent.mkdir(parents=True, exist_ok=True)
            with target.open("xb") as written:
                shutil.copyfileobj(content, written, _PIECE_BYTES)
