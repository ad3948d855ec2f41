"""Shared objects: is it one, for this machine, and a plug-in or a preload; where libraries lie."""

from __future__ import annotations

import glob
import hashlib
import os
import platform
import struct
import subprocess
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from allocphase import data
from allocphase.errors import UsageError

__all__ = ["SharedObject", "compile_plugin", "inspect_object", "search_library"]

_ELF_HEADER = struct.Struct("<4sBBB9xHH")  # magic, class, byte order, version, type, machine
_ET_DYN = 3
_MACHINES = {"x86_64": 62, "aarch64": 183}
_PLUGIN_SYMBOL = b"\0allocphase_plugin\0"
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
    """What the file says of itself; `is_plugin`: it names the symbol allocphase_plugin."""

    path: Path
    is_plugin: bool


def inspect_object(path: Path) -> SharedObject:
    """Raises UsageError when `path` is no shared object, or one of another machine."""
    content = path.read_bytes()
    if len(content) < _ELF_HEADER.size or not content.startswith(b"\x7fELF"):
        raise UsageError(f"{path}: not a shared object (no ELF header): build it with cc -shared")
    _, _, order, _, kind, machine = _ELF_HEADER.unpack_from(content)
    wanted = _MACHINES.get(platform.machine())
    if order != 1 or machine != wanted:
        raise UsageError(f"{path}: an object of another machine than {platform.machine()}")
    if kind != _ET_DYN:
        raise UsageError(f"{path}: an ELF file, but no shared object: build it with cc -shared")
    return SharedObject(path, is_plugin=_PLUGIN_SYMBOL in content)


def search_library(names: Iterable[str]) -> Path | None:
    """The first of `names` that exists: absolute glob patterns, or names in library folders.

    `{machine}` in either stands for this machine's name, such as x86_64. Of several matches of a
    pattern the last in order of names is taken: the newest version.
    """
    extra = [folder for folder in os.environ.get("LD_LIBRARY_PATH", "").split(":") if folder]
    for name in names:
        patterns = [name] if name.startswith("/") else _in_folders(name, extra)
        for pattern in patterns:
            matches = glob.glob(pattern.replace("{machine}", platform.machine()))  # noqa: PTH207
            if matches:
                return Path(max(matches)).resolve()
    return None


def _in_folders(name: str, extra: list[str]) -> list[str]:
    return [f"{folder}/{name}" for folder in (*extra, *_LIBRARY_FOLDERS)]


def compile_plugin(source: Path) -> Path:
    """Compiles one C file into a cached shared object; the same source is compiled once.

    Raises UsageError with the compiler's own words.
    """
    header = data.find("driver/allocphase.h")
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-std=gnu11", "-O2", "-g", "-fPIC", "-shared", f"-I{header.parent}"]
    key = hashlib.sha256(" ".join(command).encode() + header.read_bytes() + source.read_bytes())
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "allocphase"
    target = cache / f"{source.stem}-{key.hexdigest()[:16]}.so"
    if target.is_file():
        return target
    cache.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=cache) as scratch:
        built = Path(scratch) / target.name
        arguments = [*command, "-o", str(built), str(source), "-lpthread"]
        try:
            result = subprocess.run(arguments, capture_output=True, text=True, check=False)
        except FileNotFoundError:
            raise UsageError(
                f"{source}: no C compiler {compiler!r}: install one, or set CC"
            ) from None
        if result.returncode != 0:
            first = next((line for line in result.stderr.splitlines() if "error" in line), "")
            raise UsageError(f"{source}: does not compile: {first or result.stderr.strip()}")
        built.replace(target)
    return target
