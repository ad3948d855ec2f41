"""Objects under test, sent along by digest: what an option names here, and where it lies there.

A file is a shared object, a source, a scenario, a trace, limits or a program's input; a folder is
one with an allocator.toml. A scenario's TOML file takes along the trace and the files that it names
beside it. A source that includes headers of its own is sent as such a folder.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allocphase.errors import DataError, UsageError, shown
from allocphase.files.documents import read_toml
from allocphase.files.durable import named_errors, write_whole
from allocphase.files.regular import MAX_OBJECT_BYTES, read_regular
from allocphase.hosts.document import Option, SentFile, SentObject, is_below
from allocphase.spec import Spec

__all__ = ["Collected", "place", "read_object", "store"]

_ALLOCATORS = frozenset({"--allocator", "--baseline", "--candidate"})
_FILES = frozenset({"--limits", "--stdin"})
# Of what all hosts are to be sent: each of them gets it through the scheduler, in one message.
MOST_SENT_BYTES = 256 << 20
MOST_FILES = 1000


@dataclass(slots=True)
class Collected:
    """Options as they are sent, and the files that they need, kept in `folder` by digest."""

    folder: Path
    options: list[Option] = field(default_factory=list)
    objects: list[SentObject] = field(default_factory=list)
    _sent_bytes: int = 0

    def add(self, flag: str, value: str | None) -> None:
        """Raises UsageError for what is no file or folder, or too much."""
        before, path, rest = _file_of(flag, value or "")
        if path is None:
            self.options.append(Option(flag=flag, value=value))
            return
        index = len(self.objects)
        self.objects.append(self._keep(flag, path))
        self.options.append(Option(flag=flag, value=before or None, sent=index, rest=rest))

    def _keep(self, flag: str, path: Path) -> SentObject:
        root, names = _files(path, where=f"{flag} {path}")
        sent: list[SentFile] = []
        for name in names:
            content = _read(root / name, where=flag)
            self._sent_bytes += len(content)
            if self._sent_bytes > MOST_SENT_BYTES or len(sent) >= MOST_FILES:
                raise UsageError(
                    f"{flag} {path}: more than a fleet sends to each host ({MOST_FILES:,} files, "
                    f"{MOST_SENT_BYTES >> 20} MiB): install it on the hosts"
                )
            digest = store(self.folder, content)
            sent.append(SentFile(path=name, sha256=digest, size_bytes=len(content)))
        return SentObject(main=str(path.absolute().name), files=tuple(sent))


def _file_of(flag: str, value: str) -> tuple[str, Path | None, str]:
    """What comes before the path that an option names, the path, and what comes after it."""
    if flag in _FILES:
        return "", Path(value), ""
    head, mark, settings = value.partition("?")
    if flag in _ALLOCATORS:
        spec = Spec.of_allocator(value)
        if spec.file is not None:
            named = head.removesuffix(spec.file) if spec.named else f"{spec.name}="
            return named, Path(spec.file), mark + settings
    elif flag == "--scenario" and Spec.of_scenario(value).is_path:
        return "", Path(head), mark + settings
    return value, None, ""


def _files(path: Path, *, where: str) -> tuple[Path, list[str]]:
    """The folder that the files lie in, and their paths below it. Raises UsageError."""
    if path.is_dir():
        root = path.absolute().parent
        found = sorted(
            str(one.relative_to(root))
            for one in path.absolute().rglob("*")
            if one.is_file() and not set(one.relative_to(root).parts) & {"__pycache__", ".git"}
        )
        return root, found
    names = [path.name]
    if path.suffix == ".toml":
        names += _named_in(read_toml(path))
    for name in names:
        if not is_below(name):
            raise UsageError(f"{where}: {shown(name)} does not lie beside it, and cannot be sent")
    return path.absolute().parent, list(dict.fromkeys(names))


def _named_in(table: Mapping[str, Any]) -> Iterator[str]:
    """The files that a scenario's TOML file names; what is wrong with it, its reader says."""
    program = table.get("program")
    files = program.get("files") if isinstance(program, dict) else None
    yield from (str(name) for name in (files if isinstance(files, list) else ()))
    if isinstance(table.get("trace"), str):
        yield str(table["trace"])


def _read(path: Path, *, where: str) -> bytes:
    try:
        return read_regular(path, MAX_OBJECT_BYTES, follow=True)
    except OSError as error:
        raise UsageError(f"{where} {path}: {error.strerror or error}") from None


def store(folder: Path, content: bytes) -> str:
    """Keeps it under its digest, in hex, which is returned. Raises AllocphaseError."""
    digest = hashlib.sha256(content).hexdigest()
    with named_errors(folder):
        folder.mkdir(parents=True, exist_ok=True)
    _write(folder / digest, content)
    return digest


def read_object(folder: Path, digest: str) -> bytes:
    """What was kept under it, checked. Raises DataError."""
    path = folder / digest
    try:
        content = read_regular(path, MAX_OBJECT_BYTES)
    except OSError as error:
        raise DataError(f"{path}: {error.strerror or error}") from None
    if hashlib.sha256(content).hexdigest() != digest:
        raise DataError(f"{path}: is no longer what its name says: remove it")
    return content


def _write(path: Path, content: bytes) -> None:
    write_whole(path, lambda file: file.write(content))


def place(objects: Sequence[SentObject], folder: Path, *, kept: Path) -> list[Path]:
    """Writes each object's files into a folder of its own, checked; where each object's path is.

    Raises DataError where one is missing or is another, AllocphaseError.
    """
    return [_placed(one, folder / str(index), kept) for index, one in enumerate(objects)]


def _placed(one: SentObject, folder: Path, kept: Path) -> Path:
    for file in one.files:
        target = folder / file.path
        content = read_object(kept, file.sha256)
        with named_errors(target):
            target.parent.mkdir(parents=True, exist_ok=True)
            if not target.is_file() or target.read_bytes() != content:
                _write(target, content)
    return folder / one.main
