"""Plug-ins from source: one C file becomes a shared object, in a cache.

The name in the cache stands for all that the object is made of: the command, the source, and every
header that either includes. So an object is made again when any of them changed, and not otherwise.

Place in the pipeline: used by collection; `rebuilding` is for whoever looks into a plug-in that
failed.
"""

from __future__ import annotations

import functools
import hashlib
import os
import platform
import re
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase import resources
from allocphase.allocator.shared_object import search_library
from allocphase.errors import UsageError
from allocphase.files.cache import cache_folders
from allocphase.files.regular import MAX_OBJECT_BYTES, opened, read_regular
from allocphase.text.line import plain

__all__ = ["Rebuilding", "Source", "compile_plugin", "rebuilding"]

# As CMakeLists.txt compiles ours. Functions begin a cache line: where they happen to lie in one
# would move their time by 7%. Thread-local variables are read as a preload reads its own, not
# through a call: 2 ns an operation.
_SHARED = ("-std=gnu11", "-g", "-fPIC", "-shared", "-ftls-model=initial-exec")
_AS_MEASURED = ("-O2", "-falign-functions=64")
_LIBRARIES = ("-lpthread",)
# One C file; the largest allocator in one takes 20 s.
COMPILE_S = 180.0
# What the sanitizers' own documentation advises: frames that are there, and little inlined.
_SANITIZED = ("-O1", "-fno-omit-frame-pointer", "-fsanitize=address,undefined")
# A name in a rule of make, as `cc -M` writes it: a blank has a backslash before it, and so has each
# backslash that comes before the blank; # has one, and $ is doubled.
_MAKE_NAME = re.compile(r"(?:\\+[ \t]|\S)+")
_MAKE_ESCAPE = re.compile(r"(?P<doubled>\\*)\\(?P<blank>[ \t])|\\(?P<hash>#)|\$(?P<dollar>\$)")
_TARGET = "plugin"


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """A plug-in's C file. cflags: of its own, behind the usual ones; folder: where cc runs, which
    relative paths among them start from.
    """

    path: Path
    cflags: tuple[str, ...] = ()
    folder: Path


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilding:
    """How a plug-in is built once more, under sanitizers. command: without `-o`. runtime: the
    sanitizer's library, which has to be preloaded; None where the compiler has none.
    """

    command: tuple[str, ...]
    runtime: Path | None


def compile_plugin(source: Source) -> Path:
    """Compiles one C file into a cached shared object; the same source is compiled once.

    Where the cache cannot be written, into a temporary folder. Raises UsageError with the
    compiler's own words.
    """
    headers = _headers()
    command = [_compiler(), *_SHARED, *_AS_MEASURED]
    places = [f"-I{headers}", *_without_places(headers, source.path), *source.cflags]
    key = hashlib.sha256("\0".join([*command, *source.cflags]).encode("utf-8", "surrogateescape"))
    for content in _contents(source, [*command, *places]):
        key.update(hashlib.sha256(content).digest())
    name = f"{source.path.stem}-{key.hexdigest()[:16]}.so"
    for cache in cache_folders():
        if (cache / name).is_file():
            return cache / name
        try:
            cache.mkdir(parents=True, exist_ok=True)
            scratch = tempfile.TemporaryDirectory(dir=cache)
        except OSError:
            continue  # not ours to write: the next one is
        with scratch as folder:
            built = Path(folder) / name
            _run(source, [*command, *places, "-o", str(built), str(source.path), *_LIBRARIES],
                 scratch=folder)  # fmt: skip
            built.replace(cache / name)
        return cache / name
    raise UsageError(
        f"{source.path}: no folder to compile into can be written: set XDG_CACHE_HOME to one"
    )


def rebuilding(source: Source) -> Rebuilding:
    """The same source under the address and undefined-behaviour sanitizers."""
    compiler = _compiler()
    is_clang = _is_clang(compiler)
    shared_runtime = ("-shared-libsan",) if is_clang else ()
    flags = (*_SHARED, *_SANITIZED, *shared_runtime, f"-I{_headers()}", *source.cflags)
    return Rebuilding(
        command=(compiler, *flags, str(source.path), *_LIBRARIES),
        runtime=_sanitizers_runtime(compiler, is_clang=is_clang),
    )


@functools.cache
def _is_clang(compiler: str) -> bool:
    return "clang" in _said_by([compiler, "--version"])


@functools.cache
def _sanitizers_runtime(compiler: str, *, is_clang: bool) -> Path | None:
    """The library; what the compiler names may also be a script of the linker's."""
    clangs = f"libclang_rt.asan-{platform.machine()}.so"
    name = clangs if is_clang else "libasan.so"
    told = Path(_said_by([compiler, f"-print-file-name={name}"]).strip())
    if told.is_absolute() and _is_object(told):
        return told.resolve()
    return None if is_clang else search_library([f"{name}.*"])


def _is_object(path: Path) -> bool:
    try:
        with opened(path, max_bytes=MAX_OBJECT_BYTES, follow=True) as file:
            return file.read(4) == b"\x7fELF"
    except OSError:
        return False


def _said_by(command: Sequence[str]) -> str:
    try:
        done = subprocess.run(command, capture_output=True, check=False)
    except OSError:
        return ""
    return os.fsdecode(done.stdout)


def _compiler() -> str:
    return os.environ.get("CC", "cc")


def _headers() -> Path:
    return resources.find("driver/allocphase.h").parent


def _without_places(headers: Path, source: Path) -> list[str]:
    """What keeps the object the same, wherever its source lies and whoever compiles it."""
    folders = {Path.cwd(): ".", headers: "driver", source.parent: "."}
    return [f"-ffile-prefix-map={folder}={name}" for folder, name in folders.items()]


def _contents(source: Source, command: Sequence[str]) -> Iterator[bytes]:
    """Of the source and of every header that it comes to, in the order of their inclusion."""
    said = _run(source, [*command, "-M", "-MT", _TARGET, str(source.path)])
    for name in _dependencies(said):
        try:
            yield read_regular(source.folder / name, MAX_OBJECT_BYTES, follow=True)
        except OSError as error:
            raise UsageError(f"{source.path}: includes {name}: {error.strerror}") from None


def _dependencies(rule: str) -> list[str]:
    """The names behind the target in a rule of make that `cc -M` has written."""
    names = rule.removeprefix(f"{_TARGET}:").replace("\\\n", " ")
    return [_MAKE_ESCAPE.sub(_unescaped, found) for found in _MAKE_NAME.findall(names)]


def _unescaped(found: re.Match[str]) -> str:
    doubled = found["doubled"] or ""
    return doubled[: len(doubled) // 2] + (found["blank"] or found["hash"] or found["dollar"])


def _run(source: Source, command: Sequence[str], *, scratch: str | None = None) -> str:
    """What the compiler says; its own files go into `scratch`: its /tmp may not be ours to write.

    Raises UsageError with its words about an error.
    """
    variables: Mapping[str, str] = {**os.environ, **({"TMPDIR": scratch} if scratch else {})}
    try:
        done = _finished(command, variables, source.folder)
    except OSError:
        raise UsageError(
            f"{source.path}: no C compiler {command[0]!r}: install one, or set CC"
        ) from None
    except subprocess.TimeoutExpired:
        raise UsageError(f"{source.path}: still being compiled after {COMPILE_S:g} s") from None
    if done.returncode != 0:
        words = done.stderr.decode("utf-8", errors="replace")
        first = next((line for line in words.splitlines() if "error" in line), "")
        raise UsageError(f"{source.path}: does not compile: {plain(first or words)}")
    return os.fsdecode(done.stdout)


def _finished(
    command: Sequence[str], variables: Mapping[str, str], folder: Path
) -> subprocess.CompletedProcess[bytes]:
    """What became of a compiler. A source may include a pipe, and wait for ever.

    Raises OSError, and subprocess.TimeoutExpired, behind which nothing of it is left.
    """
    with subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=variables,
        cwd=folder,
        process_group=0,
    ) as process:
        try:
            said, words = process.communicate(timeout=COMPILE_S)
        except BaseException:
            os.killpg(process.pid, signal.SIGKILL)
            raise
    return subprocess.CompletedProcess(command, process.returncode, said, words)
