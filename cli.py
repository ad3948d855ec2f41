"""The `allocphase` command: parse, call, print.

stdout is data, stderr is progress. Every error is one line and carries its exit code. Heavy
modules are imported by the command that needs them, so that --help stays quick.
"""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Sequence
from fnmatch import fnmatchcase
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from allocphase import __version__
from allocphase.commands.baseline import baseline
from allocphase.commands.compare import compare
from allocphase.commands.gate import gate
from allocphase.commands.selftest import selftest
from allocphase.errors import AllocphaseError, NothingMeasuredError

if TYPE_CHECKING:
    from allocphase.allocator import Allocator
    from allocphase.claims import ClaimsFile
    from allocphase.frames import Run
    from allocphase.scenario import Scenario

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
@click.option(
    "-s",
    "--scenario",
    "scenarios",
    multiple=True,
    metavar="NAME|GLOB|FILE.toml|all",
    help="A scenario; repeat for more. Without it: the default set.",
)
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
@click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0.1, 86400),
    help="Seconds after which a process is killed.",
)
@click.option(
    "--syscall-backend",
    default="auto",
    show_default=True,
    type=click.Choice(BACKENDS),
    help="How system calls are seen.",
)
@click.option(
    "--out",
    default=Path("out"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder that the run directory goes into.",
)
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
    from allocphase.progress_line import progress_line
    from allocphase.runner import Request, draw_seed
    from allocphase.runner import run as run_plan

    chosen = _chosen_allocators(allocators)
    wanted = _chosen_scenarios(scenarios, sweep)
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
        command=["allocphase", *sys.argv[1:]],
        only=None if allocators else _default_cells(chosen, wanted),
    )
    with progress_line(sys.stderr) as progress:
        folder = run_plan(request, DriverExecutor(), progress=progress)
    finished = frames.load(folder)
    _write_results(finished)
    if json_path:
        _write_json(finished, json_path)
    if json_path != "-":
        _print_summary(finished)
    if with_report:
        _render(finished, aside=json_path == "-")
    click.echo(f"run directory: {folder}", err=True)
    if not any(cell["metrics"] and cell["status"] == "ok" for cell in finished.cell_list):
        raise NothingMeasuredError("no cell was measured: see the statuses above")


@main.command()
@click.argument("directory", type=click.Path(path_type=Path))
def report(directory: Path) -> None:
    """Render a run: report.html and every figure as PNG, into its own directory.

    \b
    Example:
      allocphase report out/20261123-101500-bench
    """
    from allocphase import frames

    _render(frames.load(directory))


@main.command()
@click.argument("file")
@click.option(
    "--run",
    "directory",
    type=click.Path(path_type=Path),
    help="Judge this run directory; measure nothing.",
)
@click.option(
    "-r",
    "--rounds",
    default=5,
    show_default=True,
    type=click.IntRange(1, 1000),
    help="Processes of each timed cell; an interval needs five.",
)
@click.option(
    "--timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(0.1, 86400),
    help="Seconds after which a process is killed.",
)
@click.option(
    "--out",
    default=Path("out"),
    show_default=True,
    type=click.Path(path_type=Path),
    help="Folder that the run directory goes into.",
)
@click.option("--label", default="claims", show_default=True, help="Part of its name.")
@click.option("--json", "json_path", metavar="PATH|-", help="Write the verdicts; - is stdout.")
@click.option("--export-markdown", "markdown_path", metavar="PATH", help="Write them as a table.")
@click.pass_context
def claims(
    ctx: click.Context,
    file: str,
    directory: Path | None,
    rounds: int,
    timeout: float,
    out: Path,
    label: str,
    json_path: str | None,
    markdown_path: str | None,
) -> None:
    """Put claims to the test: measure what they need, and judge each by its figures.

    FILE is a path, or the name of a file that comes with allocphase, such as phase-report. Exit
    code 3 when a measurement contradicts a claim, 5 when nothing was measured.

    \b
    Example:
      allocphase claims phase-report
      allocphase claims promises.toml --run out/20261123-101500-bench --json -
    """
    from allocphase import frames
    from allocphase.claims import (
        exit_code,
        judge,
        load,
        print_section,
        section_document,
        section_markdown,
        write_section,
    )

    promised = load(file)
    measured = frames.load(directory) if directory else None
    if measured is None:
        measured = _measure_claims(promised, rounds, timeout, out, label)
    section = judge(promised, measured)
    if measured is not None:
        write_section(section, measured.path)
    if json_path != "-":
        print_section(section)
    if json_path:
        _write_json_document(section_document(section), json_path)
    if markdown_path:
        _write_text(section_markdown(section), markdown_path)
    ctx.exit(exit_code(section, measured_now=directory is None))


def _measure_claims(
    promised: ClaimsFile, rounds: int, timeout_s: float, out: Path, label: str
) -> Run | None:
    """Runs what the claims need; None when they need nothing."""
    from allocphase import frames
    from allocphase.claims import requirements
    from allocphase.driver import DriverExecutor, Probe
    from allocphase.progress_line import progress_line
    from allocphase.runner import Request, draw_seed
    from allocphase.runner import run as run_plan

    needed = requirements(promised)
    if not needed.cells:
        return None
    request = Request(
        allocators=_chosen_allocators(needed.allocators),
        scenarios=_chosen_scenarios(needed.scenarios, None),
        probes=[Probe(name) for name in needed.probes],
        rounds=rounds,
        seed=draw_seed(),
        timeout_s=timeout_s,
        syscall_backend=BACKENDS[0],
        out=out,
        label=label,
        command=["allocphase", *sys.argv[1:]],
        only=needed.cells,
    )
    with progress_line(sys.stderr) as progress:
        folder = run_plan(request, DriverExecutor(), progress=progress)
    click.echo(f"run directory: {folder}", err=True)
    return frames.load(folder)


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


def _chosen_allocators(specs: Sequence[str]) -> list[Allocator]:
    """What was named, or all that is installed; what is missing is said and left out."""
    from allocphase import allocator
    from allocphase.errors import UsageError

    if specs:
        named = [found for spec in specs for found in allocator.resolve(spec)]
        for found in named:
            if found.missing:
                raise UsageError(f"allocator {found.name}: {found.missing}")
        _refuse_twins("allocator", [found.name for found in named])
        return named
    everything = allocator.collection().values()
    for found in everything:
        if found.missing:
            click.echo(f"{found.name}: {found.missing}", err=True)
    return [found for found in everything if not found.missing]


def _chosen_scenarios(specs: Sequence[str], sweep: str | None) -> list[Scenario]:
    from allocphase import scenario
    from allocphase.sweep import parse_sweep

    found = [chosen for spec in specs or ["default"] for chosen in scenario.resolve(spec)]
    if sweep is not None:
        key, values = parse_sweep(sweep)
        found = [chosen.with_parameters({key: value}) for chosen in found for value in values]
    _refuse_twins("scenario", [chosen.name for chosen in found])
    return found


def _default_cells(
    allocators: Sequence[Allocator], scenarios: Sequence[Scenario]
) -> frozenset[tuple[str, str, str]]:
    """Where nobody was named, a very slow allocator stays out of the long scenarios."""
    return frozenset(
        (found.name, chosen.name, probe)
        for found in allocators
        for chosen in scenarios
        for probe in PROBES
        if any(fnmatchcase(chosen.name, pattern) for pattern in found.default_scenarios)
    )


def _refuse_twins(what: str, names: Sequence[str]) -> None:
    from allocphase.errors import UsageError

    for name in names:
        if names.count(name) > 1:
            raise UsageError(f"{what} {name!r} is named twice: give the second NAME= of its own")


def _write_results(finished: Run) -> None:
    finished.cells.to_csv(finished.path / "results.csv", index=False)


def _write_json(finished: Run, target: str) -> None:
    from allocphase.export import cells_document

    _write_json_document(cells_document(finished), target)


def _write_json_document(document: dict[str, Any], target: str) -> None:
    """`-` is stdout."""
    text = json.dumps(document, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    if target == "-":
        click.echo(text, nl=False)
    else:
        _write_text(text, target)


def _write_text(text: str, target: str) -> None:
    try:
        Path(target).write_text(text, encoding="utf-8")
    except OSError as error:
        raise AllocphaseError(f"{target}: {error.strerror}") from error


def _print_summary(finished: Run) -> None:
    from allocphase.report.table import print_summary

    print_summary(finished)


def _render(finished: Run, *, aside: bool = False) -> None:
    """`aside`: stdout belongs to other data."""
    from allocphase.report import render

    click.echo(f"report: {render(finished)}", err=aside)


for command in (baseline, compare, gate, selftest):
    main.add_command(command)

if __name__ == "__main__":
    main()
