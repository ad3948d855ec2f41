"""`allocphase abi`: where the header of the plug-ins lies."""

from __future__ import annotations

import click

__all__ = ["abi"]


@click.command()
def abi() -> None:
    """Print the path of the C header that a plug-in is built against.

    \b
    Example:
      cc -shared -fPIC -I"$(dirname "$(allocphase abi)")" -o mine.so mine.c
    """
    from allocphase import resources

    click.echo(resources.find("driver/allocphase.h"))
