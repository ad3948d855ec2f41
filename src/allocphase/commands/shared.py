"""What several commands have in common: options, scratch folders, writing files."""

from __future__ import annotations

import functools
import json
import sys
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar, cast

import click

from allocphase.errors import UsageError, shown
from allocphase.files import durable
from allocphase.operation import MODES, TOUCHES
from allocphase.text.line import inert
from allocphase.text.share import parse_share

if TYPE_CHECKING:
    from allocphase.process.driver import Executor
    from allocphase.run.progress_bar import Progress
    from allocphase.scenario import Program

__all__ = [
    "baseline_dir_option",
    "branch_option",
    "cache_sim_option",
    "command_line",
    "db_option",
    "interruptible_executor",
    "keep_environment_option",
    "measuring",
    "out_option",
    "program_options",
    "progress",
    "quiet_option",
    "replay_options",
    "require_targets",
    "rounds_option",
    "say",
    "scenario_option",
    "scratch_folder",
    "share",
    "target_option",
    "timeout_option",
    "write_json",
    "write_text",
]

_Command = TypeVar("_Command", bound=Callable[..., Any])


def share(ctx: click.Context, param: click.Parameter, value: str) -> float:
    """An option's callback: "2%" or "0.02" -> 0.02."""
    try:
        return parse_share(value)
    except ValueError as error:
        raise click.BadParameter(f"{shown(value)} {error}", ctx, param) from None


def scenario_option(command: _Command) -> _Command:
    """-s, as `run` has it."""
    return click.option(
        "-s",
        "--scenario",
        "scenarios",
        multiple=True,
        metavar="NAME|GLOB|FILE|all[?KEY=VALUE,VALUE]",
        help="A scenario, one for each value (a list is written 16+64); repeat for more. Without "
        "it: the default set.",
    )(command)


def replay_options(command: _Command) -> _Command:
    """--mode and --touch, of recorded scenarios."""
    command = click.option(
        "--touch",
        type=click.Choice(list(TOUCHES)),
        help="What a replay of a recording touches of new memory; the same as -s "
        "'FILE.trace?touch=...' for all of them.",
    )(command)
    return click.option(
        "--mode",
        type=click.Choice(MODES),
        help="How a recording is replayed: call after call, or paced by its recorded gaps.",
    )(command)


def program_options(command: _Command) -> _Command:
    """--program and what belongs to it; the command gets one value, `program`."""

    @functools.wraps(command)
    def with_program(
        *arguments: Any,
        program: str | None,
        program_name: str | None,
        program_env: Sequence[str],
        program_folder: Path | None,
        program_stdin: Path | None,
        **options: Any,
    ) -> Any:
        belonging: dict[str, object] = {"--name": program_name, "--env": program_env}
        belonging |= {"--cwd": program_folder, "--stdin": program_stdin}
        given = [flag for flag, value in belonging.items() if value]
        if program is None and given:
            raise UsageError(f"{given[0]} is for a program, and there is none: add --program")
        return command(
            *arguments,
            program=None
            if program is None
            else _ad_hoc(program, program_name, program_env, program_folder, program_stdin),
            **options,
        )

    found: Any = with_program
    for option in reversed(_PROGRAM_OPTIONS):
        found = option(found)
    return cast(_Command, found)


def _ad_hoc(
    program: str,
    name: str | None,
    environment: Sequence[str],
    folder: Path | None,
    stdin: Path | None,
) -> Program:
    from allocphase.scenario.program import ad_hoc

    return ad_hoc(program, name=name, environment=environment, folder=folder, stdin=stdin)


_PROGRAM_OPTIONS = (
    click.option(
        "--program",
        metavar="'COMMAND...'",
        help="A command to run whole, taken apart as a shell does and run without one.",
    ),
    click.option(
        "--name",
        "program_name",
        metavar="NAME",
        help="What the program is called in the run. Without it: its command.",
    ),
    click.option(
        "--env",
        "program_env",
        multiple=True,
        metavar="NAME=VALUE",
        help="An environment variable of the program; repeat for more.",
    ),
    click.option(
        "--cwd",
        "program_folder",
        metavar="FOLDER",
        type=click.Path(path_type=Path),
        help="Where the program runs. Without it: here.",
    ),
    click.option(
        "--stdin",
        "program_stdin",
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="What the program reads. Without it: nothing.",
    ),
)


def rounds_option(*, default: int, most: int) -> Callable[[_Command], _Command]:
    """-r, as `run` has it."""
    return click.option(
        "-r",
        "--rounds",
        default=default,
        show_default=True,
        type=click.IntRange(1, most),
        help="Processes of each timed cell; an interval needs five.",
    )


def out_option(command: _Command) -> _Command:
    """--out, as `run` has it."""
    return click.option(
        "--out",
        default=Path("out"),
        show_default=True,
        type=click.Path(path_type=Path),
        help="Folder that run directories go into.",
    )(command)


def timeout_option(command: _Command) -> _Command:
    """--timeout, as `run` has it."""
    return click.option(
        "--timeout",
        "timeout_s",
        default=60.0,
        show_default=True,
        type=click.FloatRange(0.1, 86400),
        help="Seconds after which a process is killed.",
    )(command)


def keep_environment_option(command: _Command) -> _Command:
    """--keep-allocator-environment, as `run` has it."""
    return click.option(
        "--keep-allocator-environment",
        is_flag=True,
        help="Leave MALLOC_CONF, GLIBC_TUNABLES and the like as your shell exports them; without "
        "it they are taken out.",
    )(command)


def cache_sim_option(command: _Command) -> _Command:
    """--cache-sim, alone or with sizes."""
    return click.option(
        "--cache-sim",
        is_flag=False,
        flag_value="machine",
        metavar="[I1=SIZE,WAYS,LINE,D1=...,LL=...]",
        help="With instructions, also simulate caches and branches: misses and mispredictions an "
        "operation. Sizes in bytes; what is not given is this machine's.",
    )(command)


def baseline_dir_option(command: _Command) -> _Command:
    """--baseline-dir: where saved baselines lie."""
    return click.option(
        "--baseline-dir",
        default=Path(".allocphase/baselines"),
        show_default=True,
        type=click.Path(path_type=Path),
        help="Folder of the saved baselines.",
    )(command)


def db_option(command: _Command) -> _Command:
    """--db: where a history is."""
    return click.option(
        "--db",
        default=Path(".allocphase/history.db"),
        show_default=True,
        metavar="FILE",
        type=click.Path(path_type=Path),
        help="The history.",
    )(command)


def branch_option(command: _Command) -> _Command:
    """--branch: whose runs of a history are looked at."""
    return click.option(
        "--branch",
        metavar="NAME",
        help="Whose runs are looked at, an asterisk for all. Without it: that with most runs.",
    )(command)


_QUIET = "allocphase.quiet"


def _hush(ctx: click.Context, _: click.Parameter, value: bool) -> None:
    ctx.meta[_QUIET] = value


def quiet_option(command: _Command) -> _Command:
    """--quiet, as `run` has it."""
    return click.option(
        "-q",
        "--quiet",
        is_flag=True,
        expose_value=False,
        callback=_hush,
        help="No progress on stderr.",
    )(command)


@contextmanager
def progress() -> Iterator[Progress]:
    """On stderr, unless --quiet was given."""
    from allocphase.run.progress_bar import progress_line

    if click.get_current_context().meta.get(_QUIET):
        yield _say_nothing
        return
    with progress_line(sys.stderr) as found:
        yield found


def _say_nothing(*_: object) -> None:
    pass


@contextmanager
def interruptible_executor() -> Iterator[Executor]:
    """What runs processes; a signal kills those that run, and ends the measuring.

    Raises InterruptionError out of whatever measures.
    """
    from allocphase.interruption import interruptible
    from allocphase.process.driver import DriverExecutor
    from allocphase.process.program import ProgramExecutor
    from allocphase.process.watched import WatchingExecutor

    executor = DriverExecutor()
    with interruptible(executor.stop):
        yield WatchingExecutor(ProgramExecutor(executor))


@contextmanager
def measuring() -> Iterator[tuple[Executor, Progress]]:
    """The same, with progress."""
    with interruptible_executor() as executor, progress() as shown:
        yield executor, shown


@contextmanager
def scratch_folder(out: Path) -> Iterator[Path]:
    """A folder in `out` for sessions that nobody will look at again. Raises as `making`."""
    from allocphase.run.prepare import making

    with making(out, out=out):
        out.mkdir(parents=True, exist_ok=True)
        scratch = tempfile.TemporaryDirectory(prefix=".scratch-", dir=out)
    with scratch as name:
        yield Path(name)


class _Target(click.types.StringParamType):
    """Of a file to be written, or "-"."""


_TARGET = _Target()


def target_option(flag: str, name: str, *, help: str) -> Callable[[_Command], _Command]:  # noqa: A002 (click's)
    """A file that the command writes at its end: found by `require_targets` before it measures."""
    return click.option(flag, name, metavar="PATH|-", type=_TARGET, help=help)


def require_targets(ctx: click.Context) -> None:
    """Raises UsageError where a file that the command is to write cannot be, and for two on stdout:
    before it measures.

    A target in the folder of --out may be the first thing there.
    """
    out = ctx.params.get("out")
    targets = {
        option.opts[0]: ctx.params[str(option.name)]
        for option in ctx.command.params
        if option.type is _TARGET and ctx.params.get(str(option.name)) is not None
    }
    on_stdout = [flag for flag, given in targets.items() if given == "-"]
    if len(on_stdout) > 1:
        raise UsageError(f"{' and '.join(on_stdout)}: one of them can be -, and the others files")
    for given in targets.values():
        if given == "-":
            continue
        target = Path(given)
        if out is not None and out.absolute() in target.absolute().parents:
            with durable.named_errors(out):
                target.parent.mkdir(parents=True, exist_ok=True)
        durable.require_writable(target)


def say(text: str, *, err: bool = False) -> None:
    """Lines with words from elsewhere: names, and what a file says."""
    click.echo(inert(text), err=err)


def command_line() -> list[str]:
    """What run.json keeps as the command."""
    return ["allocphase", *sys.argv[1:]]


def write_text(text: str, target: str) -> None:
    """To a file, or to stdout for "-". Raises AllocphaseError."""
    if target == "-":
        click.echo(inert(text), nl=False)
        return
    durable.write_text(Path(target), text, synced=False)


def write_json(document: Mapping[str, Any], target: str) -> None:
    """The same for a document."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False)
    if target == "-":  # inert, but for a reader of JSON the same
        text = text.replace("##", "#\\u0023")
    write_text(text + "\n", target)
