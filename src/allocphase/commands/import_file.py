"""`allocphase import`: a team's own benchmarks as a run directory."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

import click

from allocphase.commands.shared import command_line, out_option, say
from allocphase.errors import UsageError

__all__ = ["import_command"]

_NAMES = ("google-benchmark", "go")


@click.command("import")
@click.argument("file", type=click.Path(path_type=Path))
@click.option("--from", "name", required=True, type=click.Choice(_NAMES), help="What wrote it.")
@click.option(
    "--allocator",
    metavar="NAME",
    help="What the benchmarks ran on; or of those that their names say (allocator=NAME), which.",
)
@click.option(
    "--paired", is_flag=True, help="Repetition k of all benchmarks was taken in one round."
)
@click.option("--label", default="import", show_default=True, help="A name for the run.")
@click.option(
    "--output",
    metavar="RUN",
    type=click.Path(path_type=Path),
    help="The run directory. Without it: a new one below --out.",
)
@out_option
def import_command(
    file: Path,
    name: str,
    allocator: str | None,
    paired: bool,
    label: str,
    output: Path | None,
    out: Path,
) -> None:
    """Make a run directory of benchmarks that Google Benchmark or Go has run.

    A benchmark is a scenario, a repetition a process with one time. compare, report and export take
    it like any run; times of two runs are compared unpaired. Measure with ten repetitions or more.

    \b
    Example:
      allocphase import --from google-benchmark old.json --allocator mine --output out/old
      allocphase import --from google-benchmark new.json --allocator mine --output out/new
      allocphase compare out/old out/new
    """
    from allocphase.run.foreign.imported import BenchmarkSource, read_benchmarks, write_imported
    from allocphase.run.prepare import new_folder

    for option, given in (("--allocator", allocator), ("--label", label)):
        if given is not None and not (given and given.isprintable()):
            raise UsageError(f"{option}: a name that can be printed")
    source = BenchmarkSource(
        path=file,
        name=name,
        allocator=allocator,
        paired=paired,
        label=label,
        command=tuple(command_line()),
    )
    found = read_benchmarks(source)
    if output is None:
        output = new_folder(out, label, datetime.now().astimezone())
    elif output.exists() or output.is_symlink():
        raise UsageError(f"{output}: is there already")
    write_imported(found, source, output)
    for note in found.notes:
        say(note, err=True)
    click.echo(f"run: {output}")
