"""`allocphase export`: a run in a format that others read."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import click

from allocphase.commands.shared import require_targets, say, target_option, write_text
from allocphase.errors import UsageError
from allocphase.export.formats import FORMATS, format_of
from allocphase.files import durable
from allocphase.operation import LATENCY_KINDS

__all__ = ["export"]

_NAMES = ", ".join(one.name for one in FORMATS)


@click.command()
@click.argument(
    "runs", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="RUN [RUN...]"
)
@click.option("--to", "name", required=True, metavar="FORMAT", help=f"One of {_NAMES}.")
@target_option("--output", "target", help="The file; without it, stdout.")
@click.option("-a", "--allocator", metavar="NAME", help="Of a format of one cell: which.")
@click.option("-s", "--scenario", metavar="NAME", help="The same for the scenario.")
@click.option(
    "--kind",
    default="malloc",
    show_default=True,
    type=click.Choice(LATENCY_KINDS),
    help="Of a format of one distribution: the calls.",
)
@click.pass_context
def export(
    ctx: click.Context,
    /,
    runs: Sequence[Path],
    name: str,
    target: str | None,
    allocator: str | None,
    scenario: str | None,
    kind: str,
) -> None:
    """Write a run in a format that others read.

    What a format has no place for is left out, and said on stderr; docs/formats.md has a table of
    what each keeps. What was not measured is left out, never a 0.

    \b
    Example:
      allocphase export out/20261123-101500-bench --to go --output new.txt
      allocphase export out/20261123-101500-bench --to csv
    """
    require_targets(ctx)
    chosen = format_of(name)
    if len(runs) > 1 and not chosen.several:
        raise UsageError(f"{name} is of one run, not of {len(runs)}")
    if not chosen.of_cell and (allocator or scenario):
        option = "-a" if allocator else "-s"
        raise UsageError(f"{option}: {name} is of the whole run")
    if not chosen.of_kind and ctx.get_parameter_source("kind") is not _DEFAULT:
        raise UsageError(f"--kind: {name} is of all calls")
    if chosen.binary and target in (None, "-") and sys.stdout.isatty():
        raise UsageError(f"{name} is no text: give it a file by --output FILE")
    from allocphase.analysis import frames
    from allocphase.export.exported import Choice

    choice = Choice(allocator=allocator, scenario=scenario, kind=kind)
    found = chosen.write([frames.load(run) for run in runs], choice)
    for note in found.notes:
        say(f"not in the file: {note}", err=True)
    _write(found.content, target or "-", binary=chosen.binary)


_DEFAULT = click.core.ParameterSource.DEFAULT


def _write(content: bytes, target: str, *, binary: bool) -> None:
    if target != "-":
        durable.write_whole(Path(target), lambda file: file.write(content), synced=False)
    elif binary:
        sys.stdout.buffer.write(content)
    else:
        write_text(content.decode("utf-8"), "-")
