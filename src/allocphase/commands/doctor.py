"""`allocphase doctor`: what this machine can measure."""

from __future__ import annotations

import click

__all__ = ["doctor"]


@click.command()
def doctor() -> None:
    """Say what this machine can measure, what would disturb it, and what is missing.

    \b
    Example:
      allocphase doctor
    """
    from allocphase import doctor as examination

    for finding in examination.findings():
        click.echo(finding.line())
