"""`allocphase exec`: a command under an allocator, as if it had been started by itself."""

from __future__ import annotations

import errno
import os
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NoReturn

import click

from allocphase.commands.shared import say
from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.regular import read_regular

if TYPE_CHECKING:
    from allocphase.allocator import Allocator

__all__ = [
    "NotExecutableError",
    "NotFoundError",
    "allocator_for_programs",
    "exec_command",
    "no_command",
    "own_environment",
    "start_failure",
]

# What shells run that has no #! line.
SHELL = "/bin/sh"
# A quarter of the largest stack that anybody sets.
MAX_ENVIRONMENT_BYTES = 1 << 28
# Python ignores these, and a command would inherit that.
IGNORED_BY_PYTHON = (signal.SIGPIPE, signal.SIGXFSZ)


class NotFoundError(AllocphaseError):
    """There is no such command: exit code 127, as of shells."""

    exit_code = 127


class NotExecutableError(AllocphaseError):
    """It cannot be executed: exit code 126, as of shells."""

    exit_code = 126


@click.command(
    name="exec",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "-a",
    "--allocator",
    "spec",
    required=True,
    metavar="NAME[=FILE]|FOLDER[?KEY=VALUE]",
    help="The allocator, with its settings.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
def exec_command(spec: str, command: Sequence[str]) -> None:
    """Run a command under an allocator: a preload, one of ours, a plug-in, or libc's.

    The command takes the place of this process: its exit code, signals, standard streams and
    working folder are its own. Its environment is yours with what the allocator needs; what you
    preload yourself comes after it.

    \b
    Exit codes beside the command's: 127 no such command, 126 it cannot be
    executed, 2 usage, 1 the tool failed.

    \b
    Example:
      allocphase exec -a mimalloc -- python3 app.py
      allocphase exec -a 'jemalloc?narenas=1&dirty_decay_ms=0' -- make -j4
      allocphase exec -a phase3 -- sqlite3 data.db .dump
    """
    from allocphase.allocator.environment import environment_of
    from allocphase.allocator.program import find_program

    chosen = allocator_for_programs(spec)
    inherited = own_environment()
    variables = environment_of(chosen, inherited)
    name = command[0]
    try:
        program = find_program(name, inherited)
    except PermissionError as error:
        raise NotExecutableError(f"{name}: {error.strerror}") from None
    except OSError as error:
        raise NotFoundError(f"{name}: {no_command(name, error)}") from None
    _warn(program, chosen, inherited, preloads=variables.get("LD_PRELOAD"))
    _become(program, command, variables)


def allocator_for_programs(spec: str) -> Allocator:
    from allocphase.allocator import resolve

    found = resolve(spec)
    if len(found) != 1:
        raise UsageError(f"allocator {spec!r} names {len(found)}, a command runs under one")
    (chosen,) = found
    if chosen.missing:
        raise UsageError(f"allocator {chosen.name}: {chosen.missing}")
    if not chosen.correct:
        raise UsageError(
            f"allocator {chosen.name} is the floor: its blocks overlap, and no program can use it"
        )
    return chosen


def own_environment() -> dict[str, str]:
    """As this process was started with; Python changes it where the locale is C (PEP 538)."""
    try:
        entries = read_regular(Path("/proc/self/environ"), MAX_ENVIRONMENT_BYTES).split(b"\0")
    except OSError:
        return dict(os.environ)
    found: dict[str, str] = {}
    for entry in entries:
        name, equals, value = os.fsdecode(entry).partition("=")
        if equals:
            found.setdefault(name, value)  # of one that is there twice, getenv takes the first
    return found


def no_command(name: str, error: OSError) -> str:
    found_nowhere = error.errno == errno.ENOENT and "/" not in name
    return "command not found" if found_nowhere else str(error.strerror)


def _warn(
    program: Path, chosen: Allocator, inherited: Mapping[str, str], *, preloads: str | None
) -> None:
    """On stderr, where the allocator does not get into the program, as far as can be told."""
    from allocphase.allocator.program import obstacle

    if preloads == inherited.get("LD_PRELOAD"):
        return
    if (reason := obstacle(program, inherited)) is not None:
        say(f"allocphase: {program} {reason}: it runs without {chosen.name}", err=True)


def _become(program: Path, command: Sequence[str], variables: Mapping[str, str]) -> NoReturn:
    """This process is the command's from here on. Raises NotExecutableError."""
    for number in IGNORED_BY_PYTHON:
        signal.signal(number, signal.SIG_DFL)
    path = command[0] if "/" in command[0] else os.path.join(".", program)  # noqa: PTH118
    try:
        try:
            os.execve(path, list(command), dict(variables))  # noqa: S606 (what the command is for)
        except OSError as error:
            if error.errno != errno.ENOEXEC:
                raise
            shell = [SHELL, path, *command[1:]]
            os.execve(SHELL, shell, dict(variables))  # noqa: S606
    except OSError as error:
        raise NotExecutableError(f"{command[0]}: {start_failure(program, error)}") from None
    raise AssertionError("execve returns with an error only")


def start_failure(program: Path, error: OSError) -> str:
    """The kernel says of an interpreter that is not there no more than of a file."""
    from allocphase.allocator.program import interpreter_of
    from allocphase.files.elf import elf_head

    if error.errno == errno.ENOENT:
        head = elf_head(program)
        named = head.interpreter if head else next(iter(interpreter_of(program)), None)
        return f"its interpreter {named} is not there"
    return str(error.strerror)
