"""`allocphase list`: what there is to choose from, and what something of one's own comes to."""

from __future__ import annotations

from collections.abc import Sequence

import click

from allocphase.commands.shared import say
from allocphase.errors import UsageError

__all__ = ["list_command"]


@click.command(name="list")
@click.argument(
    "what", type=click.Choice(["allocators", "scenarios", "families", "all"]), required=False
)
@click.option("-v", "--verbose", is_flag=True, help="Say what each is, and where it comes from.")
@click.option(
    "-a",
    "--allocator",
    "specs",
    multiple=True,
    metavar="NAME[=FILE]|FOLDER[?KEY=VALUE,VALUE]",
    help="Only this one, as `run` takes it; repeat for more.",
)
@click.option(
    "-s",
    "--scenario",
    "scenario_specs",
    multiple=True,
    metavar="NAME|GLOB|FILE[?KEY=VALUE,VALUE]",
    help="Only this one, and what its trace comes to; repeat for more.",
)
def list_command(
    what: str | None, verbose: bool, specs: Sequence[str], scenario_specs: Sequence[str]
) -> None:
    """List allocators, scenarios, and the families that scenario files name.

    With -a or -s an allocator or a scenario of one's own is read, checked and described.

    \b
    Example:
      allocphase list scenarios -v
      allocphase list families -v
      allocphase list -a ./my_alloc -s my_scenario.toml
    """
    from allocphase import allocator, scenario
    from allocphase.commands import listing

    if what is not None and (specs or scenario_specs):
        raise UsageError(f"{what}: either all of a kind, or those of -a and -s")
    what = what or "all"
    if specs or scenario_specs:
        chosen = [found for spec in specs for found in allocator.resolve(spec)]
        if chosen:
            say(listing.allocators(chosen, verbose=True))
        wanted = [found for spec in scenario_specs for found in scenario.resolve(spec)]
        if wanted:
            say(listing.scenarios(wanted, verbose=True, traced=True))
        return
    if what in ("allocators", "all"):
        say(listing.allocators(list(allocator.collected().values()), verbose=verbose))
    if what in ("scenarios", "all"):
        say(listing.scenarios(scenario.collected(), verbose=verbose))
    if what in ("families", "all"):
        say(listing.families(verbose=verbose))
