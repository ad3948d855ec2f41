"""A section on the terminal, at 80 columns: each claim, its verdict, and under it the figures."""

from __future__ import annotations

import sys
from typing import IO

from rich.console import Console, Group
from rich.table import Table
from rich.text import Text

from allocphase.claims.finding import Finding
from allocphase.claims.section import Judged, Section
from allocphase.claims.verdict import Verdict

__all__ = ["WIDTH", "print_section"]

WIDTH = 80
_STYLES = {
    Verdict.INCONSISTENT: "magenta",
    Verdict.CONTRADICTED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_MEASURED: "yellow",
    Verdict.REPRODUCED: "green",
    Verdict.NOT_COMPARABLE: "cyan",
    Verdict.CONSISTENT: "green",
}
_VERDICT_WIDTH = max(len(verdict) for verdict in Verdict)


def print_section(section: Section, stream: IO[str] | None = None) -> None:
    """Prints every claim to `stream` (stdout). Colour only on a terminal."""
    console = Console(file=stream or sys.stdout, width=WIDTH, highlight=False, markup=False)
    console.print(Text(section.title, style="bold"))
    console.print(Text(f"{section.source}\nrun: {section.run}, {section.machine}\n", style="dim"))
    console.print(_table(section))
    for sentence in section.thesis:
        console.print(Text(f"{sentence}\n"))
    console.print(Text(_summary(section), style="bold"))


def _table(section: Section) -> Table:
    table = Table(box=None, padding=(0, 1, 0, 0), pad_edge=False, show_header=False)
    table.add_column(no_wrap=True, max_width=12)
    table.add_column(width=_VERDICT_WIDTH)
    table.add_column(overflow="fold", ratio=1)
    for claim in section.claims:
        style = _STYLES[claim.verdict]
        table.add_row(
            Text(claim.id, style="bold", overflow="fold"),
            Text(claim.verdict.value, style=f"bold {style}"),
            _evidence(claim),
        )
    return table


def _evidence(claim: Judged) -> Group:
    lines = [line for finding in claim.findings for line in _lines(finding)]
    return Group(Text(claim.text, style="bold"), *lines, Text())


def _lines(finding: Finding) -> list[Text]:
    lines = [
        Text(finding.subject, style="dim"),
        Text.assemble(
            "  ",
            (finding.verdict.value, _STYLES[finding.verdict]),
            f": {finding.measured}; claimed: {finding.expected}",
        ),
    ]
    return lines + [Text(f"  ! {note}", style="dim") for note in finding.notes]


def _summary(section: Section) -> str:
    parts = ", ".join(f"{count} {verdict.value}" for verdict, count in section.counts.items())
    return f"{len(section.claims)} claims: {parts}"
