"""`allocphase list`: what there is to choose from."""

from __future__ import annotations

import click

from allocphase.commands.shared import say

__all__ = ["list_command"]


@click.command(name="list")
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
        say(listing.allocators(verbose=verbose))
    if what in ("scenarios", "all"):
        say(listing.scenarios(verbose=verbose))
