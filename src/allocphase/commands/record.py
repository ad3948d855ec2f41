"""`allocphase record`: a command, and every call of malloc that it and its children make."""

from __future__ import annotations

import os
import resource
import signal
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import click

from allocphase.commands.exec import (
    NotExecutableError,
    NotFoundError,
    allocator_for_programs,
    no_command,
    own_environment,
    start_failure,
)
from allocphase.commands.shared import say
from allocphase.errors import AllocphaseError, NothingMeasuredError

if TYPE_CHECKING:
    from allocphase.recorder.start import RecordedTree

__all__ = ["record_command"]

# Below it there is no room for what stands beside the events.
LEAST_MAX_BYTES = 1 << 20


def _size(ctx: click.Context, param: click.Parameter, value: str | None) -> int | None:
    """An option's callback: "500M" -> 524288000."""
    if value is None:
        return None
    factors = {"k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
    digits, factor = value, 1
    if value[-1:].lower() in factors:
        digits, factor = value[:-1], factors[value[-1].lower()]
    if not (digits.isascii() and digits.isdigit() and len(digits) <= 15):
        raise click.BadParameter(f"{value!r} is no size: 500M, 2G, 1048576", ctx, param)
    if (size := int(digits) * factor) < LEAST_MAX_BYTES:
        raise click.BadParameter("a recording needs 1M at least", ctx, param)
    return size


@click.command(
    name="record",
    context_settings={"ignore_unknown_options": True, "allow_interspersed_args": False},
)
@click.option(
    "-o",
    "--output",
    "path",
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The event file. Without it: the command's name with .events, here.",
)
@click.option(
    "-a",
    "--allocator",
    "spec",
    metavar="NAME[=FILE]|FOLDER[?KEY=VALUE]",
    help="The allocator that serves it, with its settings. Without it: whichever does anyway.",
)
@click.option(
    "--max-bytes",
    callback=_size,
    metavar="SIZE",
    help="End the recording, and not the command, before its files take more, such as 500M.",
)
@click.option(
    "--measure-cost",
    is_flag=True,
    help="Run the command once more, before and without the recorder, and say what recording cost.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def record_command(
    ctx: click.Context,
    path: Path | None,
    spec: str | None,
    max_bytes: int | None,
    measure_cost: bool,
    command: Sequence[str],
) -> None:
    """Record the malloc calls of a command and of all that it starts, in an event file a process.

    The command's exit code, signals, standard streams and working folder are its own; what was
    recorded is said on stderr. A process that ends in whatever way loses nothing that it wrote.

    \b
    Exit codes beside the command's: 127 no such command, 126 it cannot be
    executed, 5 nothing was recorded, 2 usage, 1 the recording failed.

    \b
    Example:
      allocphase record -- jq . data.json
      allocphase record -o app.events -a jemalloc -- ./app --port 80
      allocphase record --max-bytes 2G -- make -j4
    """
    from allocphase.allocator.environment import environment_of
    from allocphase.allocator.program import find_program, obstacle

    inherited = own_environment()
    variables = environment_of(allocator_for_programs(spec), inherited) if spec else inherited
    name = command[0]
    try:
        program = find_program(name, inherited)
    except PermissionError as error:
        raise NotExecutableError(f"{name}: {error.strerror}") from None
    except OSError as error:
        raise NotFoundError(f"{name}: {no_command(name, error)}") from None
    target = path or Path(f"{Path(name).name}.events")
    hindrance = obstacle(program, inherited)
    before = _seconds_without(program, command, variables) if measure_cost else None
    tree = _recorded(program, command, variables, path=target, max_bytes=max_bytes)
    _report(tree, before)
    if not any(image.events for image in tree.images) and tree.ended is None:
        raise NothingMeasuredError(_nothing(name, tree, hindrance))
    _end_alike(ctx, tree)


def _recorded(
    program: Path,
    command: Sequence[str],
    variables: Mapping[str, str],
    *,
    path: Path,
    max_bytes: int | None,
) -> RecordedTree:
    from allocphase.recorder.start import record

    try:
        return record(program, command, variables, path=path, max_bytes=max_bytes)
    except OSError as error:
        raise NotExecutableError(f"{command[0]}: {start_failure(program, error)}") from None


def _seconds_without(program: Path, command: Sequence[str], variables: Mapping[str, str]) -> float:
    from allocphase.recorder.start import seconds_without

    try:
        return seconds_without(program, command, variables)
    except OSError as error:
        raise NotExecutableError(f"{command[0]}: {start_failure(program, error)}") from None


def _report(tree: RecordedTree, seconds_without: float | None) -> None:
    from allocphase.recorder.summary import cost_line, ending_line, summary_lines

    for line in summary_lines(tree):
        say(f"allocphase: {line}", err=True)
    if seconds_without is not None:
        say(f"allocphase: {cost_line(tree, seconds_without)}", err=True)
    if (reason := ending_line(tree)) is not None:
        say(f"allocphase: {reason}", err=True)


def _nothing(name: str, tree: RecordedTree, hindrance: str | None) -> str:
    seen = len(tree.images)
    if hindrance is not None:
        reason = f"it {hindrance}"
    elif seen:
        reason = (
            "the recorder was loaded and no call came to it: the program has an allocator of its "
            "own linked in"
        )
    else:
        reason = (
            "the recorder was not loaded: the program is linked statically, clears its "
            "environment, or could not see the recorder's memory under /proc"
        )
    status = tree.exit_status
    how = f"exit code {status}" if status >= 0 else f"signal {-status}"
    return f"{name}: nothing was recorded: {reason} (it ended with {how})"


def _end_alike(ctx: click.Context, tree: RecordedTree) -> None:
    """With the command's exit code, or by its signal. Raises AllocphaseError."""
    status = tree.exit_status
    if status < 0:
        resource.setrlimit(resource.RLIMIT_CORE, (0, resource.getrlimit(resource.RLIMIT_CORE)[1]))
        signal.signal(-status, signal.SIG_DFL) if -status not in _UNCATCHABLE else None
        os.kill(os.getpid(), -status)
        ctx.exit(128 - status)  # one that ends no process by itself
    if status == 0 and tree.ended in ("write", "recorder"):
        raise AllocphaseError("the recording is not whole")
    ctx.exit(status)


_UNCATCHABLE = (signal.SIGKILL, signal.SIGSTOP)
