"""Programs that are to run under an allocator: where one is, and whether a preload gets into it.

Place in the pipeline: beside environment; used by the doors.
"""

from __future__ import annotations

import errno
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path

from allocphase.allocator.collection import loader
from allocphase.files.elf import ElfHead, elf_head
from allocphase.files.regular import MAX_OBJECT_BYTES, opened

__all__ = ["find_program", "interpreter_of", "obstacle"]

# A script's interpreter may be a script; the kernel follows as many.
MOST_SCRIPTS = 5
_SHEBANG_BYTES = 256  # the kernel's BINPRM_BUF_SIZE
_LOADER = re.compile(r"ld(-[\w-]+)?\.so(\.\d+)?")


def find_program(name: str, environ: Mapping[str, str]) -> Path:
    """The file that a shell would run for `name`, by the PATH of `environ`.

    Raises FileNotFoundError, and PermissionError for one that may not be executed.
    """
    if "/" in name:
        return _executable(Path(name))
    refused: OSError | None = None
    for folder in environ.get("PATH", os.defpath).split(":"):
        try:
            return _executable(Path(folder or ".", name))
        except PermissionError as error:
            refused = refused or error
        except OSError:
            continue
    raise refused or FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), name)


def obstacle(program: Path, environ: Mapping[str, str]) -> str | None:
    """Why nothing can be preloaded into it, to follow its name; None where nothing is known of it.

    Of a script it is its interpreter's. What a program does itself is not seen: one may have
    another malloc linked in, or clear its environment.
    """
    try:
        program = _behind_scripts(program, environ)
        head = elf_head(program)
        if _has_other_rights(program):
            return "runs with more rights than its user (setuid, setgid or a capability)"
        if head is None or _LOADER.fullmatch(program.name):
            return None
        return _of_another_kind(head)
    except OSError:  # who runs it will see
        return None


def interpreter_of(script: Path) -> list[str]:
    """The words behind the #! of a script; none of what is no script. Raises OSError."""
    with opened(script, max_bytes=MAX_OBJECT_BYTES, follow=True) as file:
        line = file.read(_SHEBANG_BYTES).partition(b"\n")[0]
    return os.fsdecode(line[2:]).split() if line.startswith(b"#!") else []


def _executable(path: Path) -> Path:
    """Raises FileNotFoundError, PermissionError."""
    mode = path.stat().st_mode
    if stat.S_ISDIR(mode):
        raise PermissionError(errno.EISDIR, os.strerror(errno.EISDIR), str(path))
    if not os.access(path, os.X_OK):
        raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(path))
    return path


def _behind_scripts(program: Path, environ: Mapping[str, str]) -> Path:
    """What the kernel ends up executing, and behind env the program that it starts."""
    for _ in range(MOST_SCRIPTS):
        words = interpreter_of(program)
        if not words:
            break
        program = Path(words[0])
        if program.name == "env":
            named = [word for word in words[1:] if "=" not in word and not word.startswith("-")]
            program = find_program(named[0], environ) if named else program
    return program


def _has_other_rights(program: Path) -> bool:
    """Whether its process has rights that its user has not: then the loader takes no preload."""
    status = program.stat()
    if status.st_mode & stat.S_ISUID and status.st_uid != os.getuid():
        return True
    if status.st_mode & stat.S_ISGID and status.st_mode & stat.S_IXGRP:
        return status.st_gid != os.getgid()
    return os.getuid() != 0 and _has_capability(program)


def _has_capability(program: Path) -> bool:
    try:
        return bool(os.getxattr(program, "security.capability"))
    except OSError:
        return False


def _of_another_kind(head: ElfHead) -> str | None:
    """Than allocators here: they are built for the C library that the driver is built for."""
    ours = loader()
    mine = elf_head(ours) if ours is not None else None
    if ours is None or mine is None:
        return None
    if (head.bits, head.machine) != (mine.bits, mine.machine):
        return "is of another kind of machine than the allocator"
    if head.interpreter is None:
        return "is linked statically"
    if head.interpreter.name != ours.name:
        return f"is of another C library than the allocator ({head.interpreter.name})"
    return None
