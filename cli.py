"""The `allocphase` command: parse, call, print.

stdout is data, stderr is progress. Every error is one line and carries its exit code. Heavy
modules are imported by the command that needs them, so that --help stays quick.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import click

from allocphase import __version__
from allocphase.commands.baseline import baseline
from allocphase.commands.claims import claims
from allocphase.commands.compare import compare
from allocphase.commands.gate import gate
from allocphase.commands.run import run
from allocphase.commands.selftest import selftest
from allocphase.errors import AllocphaseError

# What shells say of a command that Ctrl-C ended.
INTERRUPTED = 130


class Command(click.Group):
    """The group that turns an AllocphaseError into one line and its exit code."""

    def invoke(self, ctx: click.Context) -> Any:
        try:
            return super().invoke(ctx)
        except AllocphaseError as error:
            click.echo(f"allocphase: {error}", err=True)
            ctx.exit(error.exit_code)
        except KeyboardInterrupt:
            ctx.exit(INTERRUPTED)


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
    from allocphase.analysis import frames
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
    from allocphase.commands import listing

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
    from allocphase import resources

    click.echo(resources.find("driver/allocphase.h"))


for command in (baseline, claims, compare, gate, run, selftest):
    main.add_command(command)

if __name__ == "__main__":
    main()
