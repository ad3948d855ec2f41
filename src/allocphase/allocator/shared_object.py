"""Shared objects: is it one, for this machine, and a plug-in or a preload; where libraries lie."""

from __future__ import annotations

import difflib
import glob
import os
import platform
import re
import struct
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from allocphase.errors import UsageError
from allocphase.files.regular import MAX_OBJECT_BYTES, is_there, read_regular
from allocphase.text.line import plain

__all__ = ["SharedObject", "inspect_object", "search_library"]

_ELF_HEADER = struct.Struct("<4sBBB9xHH")  # magic, class, byte order, version, type, machine
_ET_DYN = 3
_MACHINES = {"x86_64": 62, "aarch64": 183}
_PLUGIN_SYMBOL = "allocphase_plugin"
# A section header's name (4 bytes), type, flags, address, offset, size, link; and a symbol's name,
# information, visibility, section. Elf64_Shdr and Elf64_Sym.
_SECTIONS_AT = struct.Struct("<Q")
_SECTION = struct.Struct("<4xI16xQQI20x")
_SYMBOL = struct.Struct("<IBBH16x")
_DYNSYM = 11
# Of a misspelt name; allocphase_allocator is less alike.
_ALIKE = 0.8
_LIBRARY_FOLDERS = (
    "/usr/local/lib",
    "/usr/lib/{machine}-linux-gnu",
    "/lib/{machine}-linux-gnu",
    "/usr/lib64",
    "/lib64",
    "/usr/lib",
    "/lib",
)


@dataclass(frozen=True, slots=True)
class SharedObject:
    """What the file says of itself; `is_plugin`: it exports the symbol allocphase_plugin."""

    path: Path
    is_plugin: bool


def inspect_object(path: Path) -> SharedObject:
    """Raises UsageError when `path` is no shared object, or one of another machine.

    And where it has something like a plug-in's symbol, but neither that nor a malloc.
    """
    content = _content(path)
    if len(content) < _ELF_HEADER.size or not content.startswith(b"\x7fELF"):
        raise UsageError(f"{path}: not a shared object (no ELF header): build it with cc -shared")
    _, _, order, _, kind, machine = _ELF_HEADER.unpack_from(content)
    wanted = _MACHINES.get(platform.machine())
    if order != 1 or machine != wanted:
        raise UsageError(f"{path}: an object of another machine than {platform.machine()}")
    if kind != _ET_DYN:
        raise UsageError(f"{path}: an ELF file, but no shared object: build it with cc -shared")
    names = _exported_names(content)
    if names is None:  # no section headers: who asks for a plug-in will see
        return SharedObject(path, is_plugin=b"\0%s\0" % _PLUGIN_SYMBOL.encode() in content)
    if _PLUGIN_SYMBOL not in names and "malloc" not in names:
        _check_spelling(path, names, content)
    return SharedObject(path, is_plugin=_PLUGIN_SYMBOL in names)


def _check_spelling(path: Path, names: set[str], content: bytes) -> None:
    if alike := difflib.get_close_matches(_PLUGIN_SYMBOL, names, n=1, cutoff=_ALIKE):
        (name,) = alike
        language = ' (C++ wants extern "C")' if name.startswith("_Z") else ""
        raise UsageError(
            f"{path}: no plug-in: it exports {plain(name)}: "
            f"did you mean {_PLUGIN_SYMBOL}?{language}"
        )
    if b"\0%s\0" % _PLUGIN_SYMBOL.encode() in content:
        raise UsageError(f"{path}: no plug-in: {_PLUGIN_SYMBOL} is static or hidden, not exported")


def _exported_names(content: bytes) -> set[str] | None:
    """Of the symbols that others can bind to; None where the file does not say.

    Or where it says more than fits into it: names within names, tables within tables.
    """
    try:
        (start,) = _SECTIONS_AT.unpack_from(content, 40)
        count = int.from_bytes(content[60:62], "little")
        if start + count * _SECTION.size > len(content):
            return None
        sections = [_SECTION.unpack_from(content, start + i * _SECTION.size) for i in range(count)]
        found: set[str] = set()
        left = 2 * len(content)
        tables = [section for section in sections if section[0] == _DYNSYM]
        for _, offset, size, link in tables[:1]:  # gABI: an object has one at most
            _, strings_at, length, _ = sections[link]
            strings = content[strings_at : strings_at + length]
            if offset + size > len(content):
                return None
            for at in range(offset, offset + size, _SYMBOL.size):
                name, _, visibility, section = _SYMBOL.unpack_from(content, at)
                if section != 0 and visibility & 3 in (0, 3):
                    end = strings.index(b"\0", name, name + left + 1)
                    left -= end - name
                    found.add(strings[name:end].decode())
    except (struct.error, ValueError, IndexError):
        return None
    return found if tables else None


def _content(path: Path) -> bytes:
    """Of an object or a source that somebody named. Raises UsageError."""
    try:
        return read_regular(path, MAX_OBJECT_BYTES, follow=True)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None


def search_library(
    names: Iterable[str], *, beside: Path | None = None, distribution: str | None = None
) -> Path | None:
    """The first of `names` that exists: absolute glob patterns, or names in library folders. In the
    folder `beside` a name, which may be a path from there on, is looked for first, and then among
    the files of a Python `distribution`, wherever it put them.

    `{machine}` in either stands for this machine's name, such as x86_64. Of several matches of a
    pattern the newest version is taken: numbers in names are numbers, so .so.10 is after .so.9.
    """
    extra = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    installed = _installed_by(distribution) if distribution else {}
    for name in names:
        if beside is not None and is_there(beside / name):
            return (beside / name).resolve()
        if name in installed:
            return installed[name].resolve()
        patterns = [name] if name.startswith("/") else _in_folders(name, extra)
        for pattern in patterns:
            matches = glob.glob(pattern.replace("{machine}", platform.machine()))  # noqa: PTH207
            if matches:
                return Path(max(matches, key=_version)).resolve()
    return None


def _installed_by(distribution: str) -> dict[str, Path]:
    """The files of what pip installed beside this Python, by their names without folders."""
    from importlib.metadata import PackageNotFoundError, files

    try:
        listed = files(distribution) or []
    except PackageNotFoundError:
        return {}
    paths = {entry.name: Path(str(entry.locate())) for entry in listed}
    return {name: path for name, path in paths.items() if is_there(path)}


def _version(path: str) -> list[tuple[int, str]]:
    """Numbers by their value, and what is between them by its letters."""
    return [(int(part or 0), text) for text, part in re.findall(r"(\D*)(\d*)", path)]


def _in_folders(name: str, extra: list[str]) -> list[str]:
    return [f"{folder}/{name}" for folder in (*extra, *_LIBRARY_FOLDERS)]
