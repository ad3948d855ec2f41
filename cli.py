"""The `allocphase` command: parse, call, print.

stdout is data, stderr is progress. Every error is one line and carries its exit code. Heavy
modules are imported by the command that needs them, so that --help stays quick.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from allocphase import __version__
from allocphase.commands.baseline import baseline
from allocphase.commands.claims import claims
from allocphase.commands.compare import compare
from allocphase.commands.gate import gate
from allocphase.commands.selftest import selftest
from allocphase.commands.shared import (
    command_line,
    out_option,
    scenario_option,
    timeout_option,
    write_json,
)
from allocphase.errors import AllocphaseError, NothingMeasuredError

PROBES = ("throughput", "latency", "syscalls", "memory", "verify")
QUICK_PROBES = PROBES[:-1]
QUICK_ROUNDS = 2
BACKENDS = ("auto", "dispatch", "ptrace")


class Command(click.Group):
    """The group that turns an AllocphaseError into one line and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AllocphaseError as error:
            click.echo(f"allocphase: {error}", err=True)
            ctx.exit(error.exit_code)


@click.group(cls=Command, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, "--version", "-V")
def main() -> None:
    """Compare memory allocators: the latency of every call, the system calls behind it, and the
    memory it costs.

    \b
    Start with:
      allocphase run --report          every allocator here, the default scenarios
      allocphase list                  what there is to choose from
      allocphase doctor                what this machine can measure
    """


@main.command()
@click.option(
    "-a",
    "--allocator",
    "allocators",
    multiple=True,
    metavar="NAME[=FILE][?KEY=VALUE]",
    help="An allocator; repeat for more. Without it: all that are installed.",
)
@scenario_option
@click.option(
    "--sweep",
    metavar="PARAMETER=VALUE,VALUE",
    help="Run each scenario at several values of a parameter, and fit how time grows.",
)
@click.option(
    "-p",
    "--probe",
    "probes",
    multiple=True,
    type=click.Choice(PROBES),
    help="What to measure; repeat for more. Without it: everything.",
)
@click.option(
    "-r",
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Processes of each timed cell.",
)
@click.option(
    "--quick",
    is_flag=True,
    help="A first look: two rounds, short passes, no verify. Never to be gated.",
)
@click.option(
    "--time-budget",
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
    "--syscall-backend",
    default="auto",
    show_default=True,
    type=click.Choice(BACKENDS),
    help="How system calls are seen.",
)
@out_option
@click.option("--label", default="run", show_default=True, help="Part of the directory's name.")
@click.option("--json", "json_path", metavar="PATH|-", help="Write the cells as JSON; - is stdout.")
@click.option("--report", "with_report", is_flag=True, help="Render the report afterwards.")
def run(
    allocators: Sequence[str],
    scenarios: Sequence[str],
    sweep: str | None,
    probes: Sequence[str],
    rounds: int,
    quick: bool,
    time_budget: float | None,
    seed: int | None,
    timeout: float,
    syscall_backend: str,
    out: Path,
    label: str,
    json_path: str | None,
    with_report: bool,
) -> None:
    """Measure allocators on scenarios; each cell in fresh processes, in random order.

    \b
    Example:
      allocphase run -a phase2 -a phase21 -s phase-report --probe syscalls --json -
      allocphase run -a libc -a mine=./libmine.so -s 'random*' --report
    """
    from allocphase import frames
    from allocphase.driver import DriverExecutor, Probe
    from allocphase.export import cells_document
    from allocphase.progress_line import progress_line
    from allocphase.report.table import print_summary
    from allocphase.runner import Request, draw_seed
    from allocphase.runner import run as run_plan
    from allocphase.selection import chosen_allocators, chosen_scenarios, default_cells

    chosen = chosen_allocators(allocators, say=partial(click.echo, err=True))
    wanted = chosen_scenarios(scenarios, sweep=sweep)
    request = Request(
        allocators=chosen,
        scenarios=wanted,
        probes=[Probe(name) for name in probes or (QUICK_PROBES if quick else PROBES)],
        rounds=min(rounds, QUICK_ROUNDS) if quick else rounds,
        quick=quick,
        time_budget_s=time_budget or math.inf,
        seed=draw_seed() if seed is None else seed,
        timeout_s=timeout,
        syscall_backend=syscall_backend,
        out=out,
        label=label,
        command=command_line(),
        only=None if allocators else default_cells(chosen, wanted),
    )
    with progress_line(sys.stderr) as progress:
        folder = run_plan(request, DriverExecutor(), progress=progress)
    finished = frames.load(folder)
    finished.cells.to_csv(folder / "results.csv", index=False)
    if json_path:
        write_json(cells_document(finished), json_path)
    if json_path != "-":
        print_summary(finished)
    if with_report:
        from allocphase.report import render

        click.echo(f"report: {render(finished)}", err=json_path == "-")
    click.echo(f"run directory: {folder}", err=True)
    if not any(cell["metrics"] and cell["status"] == "ok" for cell in finished.cell_list):
        raise NothingMeasuredError("no cell was measured: see the statuses above")


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path), required=False)
@click.option("--figure", metavar="NAME", help="Only this figure; ? lists the names.")
@click.option("--svg", is_flag=True, help="Figures as SVG too.")
@click.option("--open", "show", is_flag=True, help="Open the report in the browser.")
def report(directory: Path, other: Path | None, figure: str | None, svg: bool, show: bool) -> None:
    """Render a run: report.html, report.md and every figure, into its own directory.

    With OTHER, the report shows two runs side by side.

    \b
    Example:
      allocphase report out/20261123-101500-bench --open
      allocphase report out/20261123-101500-bench --figure time-per-op --svg
      allocphase report out/20261120-090000-bench out/20261123-101500-bench
    """
    from allocphase import frames
    from allocphase.report import figure_names, render, render_figure, render_pair

    run = frames.load(directory)
    if figure == "?":
        click.echo("\n".join(figure_names(run)))
        return
    if figure is not None:
        path = render_figure(run, figure, suffix="svg" if svg else "png")
    elif other is not None:
        path = render_pair(run, frames.load(other))
    else:
        path = render(run, formats=("png", "svg") if svg else ("png",))
    click.echo(f"report: {path}")
    if show:
        click.launch(str(path))


@main.command(name="list")
@click.argument("what", type=click.Choice(["allocators", "scenarios", "all"]), default="all")
@click.option("-v", "--verbose", is_flag=True, help="Say what each is, and where it comes from.")
def list_command(what: str, verbose: bool) -> None:
    """List allocators and scenarios.

    \b
    Example:
      allocphase list scenarios -v
    """
    from allocphase import listing

    if what in ("allocators", "all"):
        click.echo(listing.allocators(verbose=verbose))
    if what in ("scenarios", "all"):
        click.echo(listing.scenarios(verbose=verbose))


@main.command()
def doctor() -> None:
    """Say what this machine can measure, what would disturb it, and what is missing.

    \b
    Example:
      allocphase doctor
    """
    from allocphase import doctor as examination

    for finding in examination.findings():
        click.echo(finding.line())


@main.command()
def abi() -> None:
    """Print the path of the C header that a plug-in is built against.

    \b
    Example:
      cc -shared -fPIC -I"$(dirname "$(allocphase abi)")" -o mine.so mine.c
    """
    from allocphase import data

    click.echo(data.find("driver/allocphase.h"))


for command in (baseline, claims, compare, gate, selftest):
    main.add_command(command)

if __name__ == "__main__":
    main()
