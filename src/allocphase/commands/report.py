"""`allocphase report`: the page, the Markdown and the figures of a run that was measured."""

from __future__ import annotations

from functools import partial
from pathlib import Path

import click

from allocphase.commands.fleet_results import refuse_of_fleet
from allocphase.commands.shared import say

__all__ = ["report"]


@click.command()
@click.argument("directory", type=click.Path(path_type=Path))
@click.argument("other", type=click.Path(path_type=Path), required=False)
@click.option("--figure", metavar="NAME", help="Only this figure; ? lists the names.")
@click.option("--svg", is_flag=True, help="Figures as SVG too.")
@click.option("--open", "show", is_flag=True, help="Open the report in the browser.")
def report(directory: Path, other: Path | None, figure: str | None, svg: bool, show: bool) -> None:
    """Render a run: report.html, report.md and every figure, into its own directory.

    With OTHER, the report shows two runs side by side. Of a fleet: fleet.html, with every host's
    report linked in it; those that are there already are not made again.

    \b
    Example:
      allocphase report out/20261123-101500-bench --open
      allocphase report out/20261123-101500-bench --figure time-per-op --svg
      allocphase report out/20261120-090000-bench out/20261123-101500-bench
      allocphase report out/20261128-100000-fleet
    """
    from allocphase.analysis import frames
    from allocphase.report.render import figure_names, render, render_figure, render_pair

    if (directory / "fleet.json").is_file():
        refuse_of_fleet(directory, {"OTHER": other, "--figure": figure})
        _shown(_of_fleet(directory, svg=svg), show=show)
        return
    run = frames.load(directory)
    if figure == "?":
        say("\n".join(figure_names(run)))
        return
    if figure is not None:
        path = render_figure(run, figure, suffix="svg" if svg else "png")
    elif other is not None:
        path = render_pair(run, frames.load(other))
    else:
        path = render(run, formats=("png", "svg") if svg else ("png",))
    _shown(path, show=show)


def _of_fleet(directory: Path, *, svg: bool) -> Path:
    from allocphase.fleet import read_files
    from allocphase.fleet.render.report import render_fleet

    formats = ("png", "svg") if svg else ("png",)
    return render_fleet(read_files(directory), formats=formats, say=partial(say, err=True))


def _shown(path: Path, *, show: bool) -> None:
    click.echo(f"report: {path}")
    if show:
        click.launch(str(path))
