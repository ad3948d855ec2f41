"""`allocphase compare`: cells that were measured, against a baseline's."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import click

from allocphase.analysis.measures import COMPARED_NAMES
from allocphase.commands.fleet_results import FleetOutputs, compare_of_fleet, refuse_of_fleet
from allocphase.commands.shared import (
    require_targets,
    share,
    target_option,
    write_json,
    write_text,
)
from allocphase.errors import UsageError

__all__ = ["compare"]


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN [RUN]"
)
@click.option("--baseline", metavar="NAME", help="Allocator of one run that the others face.")
@click.option(
    "--theta",
    default="2%",
    show_default=True,
    callback=share,
    help="A smaller change of a time is none.",
)
@click.option(
    "--memory-theta",
    default="5%",
    show_default=True,
    callback=share,
    help="The same for resident memory; counts are compared exactly.",
)
@click.option(
    "--metric",
    "metrics",
    multiple=True,
    metavar="NAME",
    help=f"{', '.join(COMPARED_NAMES)}, or the name that --json has for it; repeat for more.",
)
@target_option("--json", "json_path", help="Write the rows as JSON.")
@target_option("--csv", "csv_path", help="Write them as CSV.")
@target_option("--export-markdown", "markdown_path", help="And as Markdown.")
@click.pass_context
def compare(
    ctx: click.Context,
    /,
    runs: Sequence[Path],
    baseline: str | None,
    theta: float,
    memory_theta: float,
    metrics: Sequence[str],
    json_path: str | None,
    csv_path: str | None,
    markdown_path: str | None,
) -> None:
    """Compare cells with a baseline: within one run, or the cells of two runs.

    Times are paired within the round. Runs of different scenarios are refused; of runs from
    different machines only counts are compared. Of a fleet's run every host's cells are compared
    with its own baseline's, and then the hosts with one another.

    \b
    Example:
      allocphase compare out/20261123-101500-bench --baseline libc
      allocphase compare out/20261123-101500-old out/20261123-103000-new
      allocphase compare out/20261128-100000-fleet
    """
    from allocphase.compare import CompareSettings, compare_runs
    from allocphase.compare.console import print_comparison
    from allocphase.compare.export import csv_text, document, markdown
    from allocphase.fleet.hosts import is_fleet

    require_targets(ctx)
    fleet = next((folder for folder in runs if is_fleet(folder)), None)
    if len(runs) > 2:
        raise UsageError(f"compare takes one run or two, not {len(runs)}")
    settings = CompareSettings(
        baseline=baseline,
        theta=theta,
        memory_theta=memory_theta,
        metrics=metrics or None,
    )
    if fleet is not None:
        refuse_of_fleet(fleet, {"a second run": len(runs) > 1, "--csv": csv_path})
        outputs = FleetOutputs(json_path=json_path, markdown_path=markdown_path)
        compare_of_fleet(fleet, settings, outputs)
        return
    found = compare_runs(runs, settings)
    if "-" not in (json_path, csv_path, markdown_path):
        print_comparison(found)
    if json_path:
        write_json(document(found), json_path)
    if csv_path:
        write_text(csv_text(found), csv_path)
    if markdown_path:
        write_text(markdown(found), markdown_path)
