"""`allocphase run`: measure allocators on scenarios, or go on with a run that was broken off."""

from __future__ import annotations

import functools
import math
from collections.abc import Sequence
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click
from click.core import ParameterSource

from allocphase.commands.shared import (
    cache_sim_option,
    command_line,
    interruptible_executor,
    keep_environment_option,
    out_option,
    program_options,
    progress,
    quiet_option,
    replay_options,
    require_targets,
    rounds_option,
    say,
    scenario_option,
    target_option,
    timeout_option,
    write_json,
    write_text,
)
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.files.durable import require_writable
from allocphase.probe.probe import Probe
from allocphase.text.units import counted, format_bytes

if TYPE_CHECKING:
    from allocphase.analysis.cell import Cell
    from allocphase.interruption import InterruptionError
    from allocphase.process.driver import Executor
    from allocphase.run.prepare import Begun
    from allocphase.run.request import RunOptions

__all__ = ["run"]

RESULTS = "results.csv"
REPORTS = ("report.html", "report.md")
# Of the cells that failed, in a run's last line.
MOST_NAMED = 5
BACKENDS = ("auto", "dispatch", "ptrace")


@click.command()
@click.option(
    "-a",
    "--allocator",
    "allocators",
    multiple=True,
    metavar="NAME[=FILE]|FOLDER[?KEY=VALUE,VALUE]|GLOB|all|default",
    help="An allocator, one for each value; repeat for more. Of a glob those that are installed. "
    "Without it: the default set, all but second builds and older versions of one.",
)
@scenario_option
@replay_options
@program_options
@click.option(
    "--sweep",
    metavar="PARAMETER=VALUE,VALUE",
    help="Run every scenario at several values of a parameter, and fit how time grows; of "
    "threads, how throughput does.",
)
@click.option(
    "-p",
    "--probe",
    "probes",
    multiple=True,
    type=click.Choice([probe.value for probe in Probe]),
    help="What to measure; repeat for more. Without it: everything but instructions, which takes "
    "valgrind, and hardware, which takes the processor's counters.",
)
@rounds_option(default=5, most=1000)
@click.option(
    "--quick",
    is_flag=True,
    help="A first look: one round, short passes, no verify. Never to be gated.",
)
@click.option(
    "--time-budget",
    "time_budget_s",
    default=math.inf,
    type=click.FloatRange(1),
    metavar="SECONDS",
    help="Start no round that would end later.",
)
@click.option(
    "--seed",
    default=None,
    type=click.IntRange(0, 2**32 - 1),
    help="Of the order of processes. Without it: drawn, and recorded.",
)
@timeout_option
@click.option(
    "--cflags",
    metavar="'FLAGS'",
    help="More flags for the compiler of NAME=FILE.c.",
)
@cache_sim_option
@click.option(
    "--check-every",
    type=click.IntRange(1, 2**31 - 1),
    metavar="N",
    help="In verify, look at all live objects after every N operations. 1 is slow, and exact.",
)
@click.option(
    "--keep-failed",
    is_flag=True,
    help="Keep what repeats each failed process, also under gdb, valgrind and ASan, and say how.",
)
@click.option(
    "--keep-profiles",
    is_flag=True,
    help="Keep what callgrind writes of each process of the instructions probe, for KCachegrind.",
)
@click.option(
    "--syscall-backend",
    default="auto",
    show_default=True,
    type=click.Choice(BACKENDS),
    help="How system calls are seen.",
)
@keep_environment_option
@out_option
@quiet_option
@click.option("--label", default="run", show_default=True, help="Part of the directory's name.")
@click.option(
    "--resume",
    metavar="DIR",
    type=click.Path(path_type=Path),
    help="Go on with a run that was broken off, as it was planned.",
)
@click.option(
    "-v",
    "--verbose",
    is_flag=True,
    help="Print all: the floor, causes of slow calls, ranges, and every doubt about a figure.",
)
@click.option("--strict", is_flag=True, help="Exit code 5 where any cell failed.")
@target_option("--json", "json_path", help="Write the cells as JSON; - is stdout.")
@click.option("--report", "with_report", is_flag=True, help="Render the report afterwards.")
@click.pass_context
def run(
    ctx: click.Context,
    /,
    resume: Path | None,
    verbose: bool,
    strict: bool,
    json_path: str | None,
    with_report: bool,
    **options: Any,
) -> None:
    """Measure allocators on scenarios; each cell in fresh processes, in random order.

    A signal (Ctrl-C) ends it early: what is finished is kept and shown, the exit code is 128 + the
    signal's number, and --resume goes on from there. Where cells failed, the last line says which.

    \b
    Example:
      allocphase run -a phase2 -a phase21 -s phase-report --probe syscalls --json -
      allocphase run -a libc -a mine=./libmine.so -s 'random*' --report
      allocphase run -a libc -a jemalloc --program './server selftest'
      allocphase run -a mine=mine.c --cflags=-O0 -p verify --check-every 1 --keep-failed
      allocphase run --resume out/20261123-101500-run
    """
    require_targets(ctx)
    with interruptible_executor() as executor:
        from allocphase.run.request import RunOptions

        chosen = RunOptions(**options)
        begun = _begun(chosen) if resume is None else _resumed(ctx, resume)
        _require_reports(begun.path, with_report=with_report)
        ended_by = _fill(begun, executor)
        cells = _show(begun.path, json_path, verbose=verbose, with_report=with_report)
    if ended_by is not None:
        raise ended_by
    if not any(cell.metrics and cell.ok for cell in cells):
        raise NothingMeasuredError("no cell was measured: see the statuses above")
    if failed := [cell for cell in cells if not cell.ok]:
        text = _failed_text(failed, len(cells))
        if strict:
            raise NothingMeasuredError(text)
        say(f"{text}; exit code 0, which --strict makes 5", err=True)


def _failed_text(failed: Sequence[Cell], count: int) -> str:
    named = [f"{cell.allocator} on {cell.scenario} ({cell.status.value})" for cell in failed]
    rest = [f"{len(named) - MOST_NAMED} more"] if len(named) > MOST_NAMED else []
    cells = counted(count, "cell")
    return f"{len(failed)} of {cells} failed: {', '.join(named[:MOST_NAMED] + rest)}"


def _require_reports(folder: Path, *, with_report: bool) -> None:
    """A run that is gone on with may have something else under their names."""
    for name in (RESULTS, *(REPORTS if with_report else ())):
        require_writable(folder / name)


def _begun(options: RunOptions) -> Begun:
    from allocphase.run.prepare import begin
    from allocphase.run.request import requested

    tell = functools.partial(say, err=True)
    return begin(requested(options, command=command_line(), say=tell))


def _resumed(ctx: click.Context, folder: Path) -> Begun:
    """What the run is, is in its folder: here one can only say how it is shown."""
    from allocphase.run.request import RunOptions
    from allocphase.run.resume import resume

    planned = {field.name for field in fields(RunOptions)}
    for parameter in ctx.command.params:
        name = str(parameter.name)
        if name in planned and ctx.get_parameter_source(name) is ParameterSource.COMMANDLINE:
            raise UsageError(
                f"--resume goes on with a run as it was planned: {parameter.opts[-1]} is no part "
                "of it; leave it out, or start a run of its own"
            )
    begun = resume(folder)
    if begun.ended:
        click.echo(f"{begun.path} is finished: there is nothing left to measure", err=True)
    return begun


def _fill(begun: Begun, executor: Executor) -> InterruptionError | None:
    """Measures; returns the signal that ended it, if one did."""
    from allocphase.interruption import InterruptionError
    from allocphase.run.session import fill

    try:
        with progress() as shown:
            fill(begun, executor, progress=shown)
    except InterruptionError as error:
        return error
    return None


def _show_failed(folder: Path) -> None:
    """How to repeat what failed, once for each cell and probe; the others are as well kept."""
    from allocphase.store.failed import kept_failures

    kept = kept_failures(folder)
    for failure in kept.shown:
        say(f"\n{failure.text}", err=True)
        if failure.others:
            say(f"and as well: {', '.join(failure.others)}", err=True)
    if kept.shown:
        size = format_bytes(kept.size_bytes)
        say(f"\nkept of {counted(kept.count, 'failed process')}: {size} in {kept.folder}", err=True)


def _show(
    folder: Path, json_path: str | None, *, verbose: bool, with_report: bool
) -> Sequence[Cell]:
    """Everything that a run prints and writes; returns its cells."""
    from allocphase.analysis import frames
    from allocphase.export.cells import cells_document
    from allocphase.report.text.brief import print_brief
    from allocphase.report.text.terminal import print_summary
    from allocphase.run.session import PROFILES

    finished = frames.load(folder)
    write_text(finished.cells.to_csv(index=False), str(folder / RESULTS))
    if json_path:
        write_json(cells_document(finished), json_path)
    if json_path != "-":
        (print_summary if verbose else print_brief)(finished)
    if (partial := finished.files.partial()) is not None:
        say(partial, err=True)  # unbroken, to be copied, whatever the summary's width
    if with_report:
        from allocphase.report.render import render

        click.echo(f"report: {render(finished)}", err=json_path == "-")
    _show_failed(folder)
    if (folder / PROFILES).is_dir():
        say(f"profiles, for kcachegrind: {folder / PROFILES}/callgrind.out.*", err=True)
    click.echo(f"run directory: {folder}", err=True)
    return finished.cell_list
