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
from allocphase.text.units import counted

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
    "measures_cost",
    is_flag=True,
    help="Run the command once more, before and without the recorder, and say what recording cost.",
)
@click.option(
    "--touched",
    "learns_touched",
    is_flag=True,
    help="Run the command once more, before, and learn how much of its blocks it touches.",
)
@click.option(
    "--validate",
    "validates",
    is_flag=True,
    help="Then make a trace of it, FILE with .trace, and hold its replay against the command.",
)
@click.argument("command", nargs=-1, required=True, type=click.UNPROCESSED)
@click.pass_context
def record_command(
    ctx: click.Context,
    path: Path | None,
    spec: str | None,
    max_bytes: int | None,
    measures_cost: bool,
    learns_touched: bool,
    validates: bool,
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
      allocphase record --touched --validate -- ./app --selftest
    """
    from allocphase.allocator.environment import environment_of
    from allocphase.allocator.program import find_program, obstacle
    from allocphase.recorder.start import record, wall_without_ns

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
    learnt = target.with_name(f"{target.stem}.touched{target.suffix}") if learns_touched else None
    trace = target.with_suffix(".trace") if validates else None
    _require_new(target, learnt, trace)
    hindrance = obstacle(program, inherited)
    try:
        if learnt is not None:
            _learn(program, command, inherited, path=learnt, max_bytes=max_bytes)
        tree = record(
            program,
            command,
            variables,
            path=target,
            max_bytes=max_bytes,
            wall_without_ns=wall_without_ns(program, command, variables) if measures_cost else 0,
        )
    except OSError as error:
        raise NotExecutableError(f"{name}: {start_failure(program, error)}") from None
    _report(tree)
    if not any(image.events for image in tree.images) and tree.ended is None:
        raise NothingMeasuredError(_nothing(name, tree, hindrance))
    if trace is not None:
        _validate(ctx, tree, trace, learnt)
    _end_alike(ctx, tree)


def _require_new(target: Path, learnt: Path | None, trace: Path | None) -> None:
    """Before anything runs. Raises UsageError."""
    from allocphase.recorder.tree_files import require_new

    require_new(target)
    for other in (learnt, trace):
        if other is not None:
            require_new(other)


def _learn(
    program: Path,
    command: Sequence[str],
    variables: Mapping[str, str],
    *,
    path: Path,
    max_bytes: int | None,
) -> None:
    from allocphase.recorder.start import learn_touched
    from allocphase.recorder.summary import ending_line, touched_line

    tree = learn_touched(program, command, variables, path=path, max_bytes=max_bytes)
    say(f"allocphase: {ending_line(tree) or touched_line(tree)}", err=True)


def _report(tree: RecordedTree) -> None:
    from allocphase.recorder.summary import cost_line, ending_line, summary_lines

    for line in summary_lines(tree):
        say(f"allocphase: {line}", err=True)
    for more in (cost_line(tree.cost), ending_line(tree)):
        if more is not None:
            say(f"allocphase: {more}", err=True)


def _validate(ctx: click.Context, tree: RecordedTree, trace: Path, learnt: Path | None) -> None:
    """As `trace import` and `validate` would, of the first process that called."""
    from allocphase.commands.validate import validate
    from allocphase.recorder.imported import import_trace

    if tree.exit_status != 0 or tree.ended is not None:
        say("allocphase: not validated: the command failed, or was not recorded whole", err=True)
        return
    first, *others = [image.path for image in tree.images if image.path is not None]
    if others:
        say(f"allocphase: of {counted(len(others) + 1, 'process')} {first} is validated", err=True)
    for line in import_trace(first, trace, touched=learnt):
        say(line, err=True)
    ctx.invoke(validate, trace=str(trace))


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
