"""`allocphase profile`: where the time of an allocator goes."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import click

from allocphase.commands.shared import (
    command_line,
    interruptible_executor,
    program_options,
    quiet_option,
    say,
    timeout_option,
    write_text,
)
from allocphase.errors import UsageError
from allocphase.files.durable import require_writable

if TYPE_CHECKING:
    from allocphase.profile.profiling import Tool
    from allocphase.scenario import Program

__all__ = ["profile"]


@click.command()
@click.option(
    "-a",
    "--allocator",
    "allocators",
    multiple=True,
    required=True,
    metavar="NAME[=FILE]|FOLDER[?KEY=VALUE]",
    help="An allocator; repeat for more, which stand under one another.",
)
@click.option("-s", "--scenario", metavar="NAME|FILE[?KEY=VALUE]", help="What it is to do.")
@program_options
@click.option(
    "--tool",
    default="auto",
    show_default=True,
    type=click.Choice(["auto", "perf", "callgrind"]),
    help="perf samples the time, callgrind counts instructions. auto: perf, and callgrind where "
    "perf is not installed, not permitted, or finds no names in an allocator.",
)
@click.option(
    "--output",
    default=Path("profile.html"),
    show_default=True,
    metavar="FILE",
    type=click.Path(path_type=Path),
    help="The page. Nothing is overwritten.",
)
@timeout_option
@quiet_option
def profile(
    allocators: Sequence[str],
    scenario: str | None,
    program: Program | None,
    tool: Tool,
    output: Path,
    timeout_s: float,
) -> None:
    """Show in which of its functions an allocator spends its time: a flame graph, in one page.

    Of the allocator alone, from the function that is called from outside on; what the replay or the
    program takes by itself is told beside it.

    \b
    Example:
      allocphase profile -a libc -a jemalloc -s larson
      allocphase profile -a mine=./libmine.so -s random-churn --tool callgrind
      allocphase profile -a jemalloc --program 'jq . big.json' --output jq.html
    """
    from allocphase.profile.page import page
    from allocphase.profile.profiling import profile as profiled
    from allocphase.run.request import chosen_allocators, one_scenario

    if (scenario is None) == (program is None):
        raise UsageError("profile wants one of -s SCENARIO and --program 'COMMAND...'")
    if output.exists() or output.is_symlink():
        raise UsageError(f"{output}: is there already: remove it or name another one")
    require_writable(output)
    tell = partial(say, err=True)
    chosen = program or one_scenario(str(scenario), reason="a profile is of one")
    subjects = chosen_allocators(allocators, say=tell)
    with interruptible_executor() as executor:
        found = profiled(subjects, chosen, executor, tool=tool, timeout_s=timeout_s, say=tell)
    write_text(page(found, command=command_line()), str(output))
    click.echo(output)
