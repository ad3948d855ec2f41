"""A section on the terminal: each claim, its verdict, and under it the figures."""

from __future__ import annotations

from collections.abc import Iterator
from typing import IO

from rich.table import Table
from rich.text import Text

from allocphase.claim.finding import Finding
from allocphase.claim.section import Judged, Section
from allocphase.claim.verdict import Verdict
from allocphase.text.console import terminal, unruled
from allocphase.text.fitted import folded, longest_word
from allocphase.text.units import counted

__all__ = ["print_section"]

_STYLES = {
    Verdict.INCONSISTENT: "magenta",
    Verdict.CONTRADICTED: "red",
    Verdict.INCONCLUSIVE: "yellow",
    Verdict.NOT_MEASURED: "yellow",
    Verdict.DIFFERS_HERE: "cyan",
    Verdict.IN_PART: "green",
    Verdict.REPRODUCED: "green",
    Verdict.NOT_COMPARABLE: "cyan",
    Verdict.CONSISTENT: "green",
    Verdict.NOTED: "dim",
}
_VERDICT_WIDTH = max(len(verdict) for verdict in Verdict)


def print_section(section: Section, stream: IO[str] | None = None) -> None:
    """Prints every claim to `stream` (stdout). Colour only on a terminal."""
    console = terminal(stream)
    console.print(Text(section.title, style="bold"))
    console.print(Text(section.source, style="dim"))
    console.print(
        Text(f"Run: {section.run}, {section.machine}\n".replace(", \n", "\n"), style="dim")
    )
    console.print(_table(section, console.width))
    for sentence in section.thesis:
        console.print(Text(f"{sentence}\n"))
    console.print(Text(_summary(section), style="bold"))


def _table(section: Section, width: int) -> Table:
    ids = [claim.id for claim in section.claims]
    # A longer identifier is folded; the figures keep most of the width.
    id_width = max(12, width // 8, *map(longest_word, ids))
    table = unruled(header=False)
    table.add_column(max_width=id_width, overflow="fold")
    table.add_column(width=_VERDICT_WIDTH)
    table.add_column(overflow="fold", ratio=1)
    for claim in section.claims:
        for row in _rows(claim, id_width):
            table.add_row(*row)
        table.add_row()
    return table


def _rows(claim: Judged, id_width: int) -> Iterator[tuple[Text, Text, Text]]:
    name = Text(folded(claim.id, id_width), style="bold")
    yield name, _verdict(claim.verdict), Text(claim.text, style="bold")
    alone = len(claim.checks) == 1
    for finding in claim.checks:
        first, *others = filter(None, (finding.part, _figures(finding)))
        yield Text(), Text() if alone else _verdict(finding.verdict), Text(first)
        for line in others:
            yield Text(), Text(), Text(line)
        for line in (finding.subject, *_remarks(finding)):
            yield Text(), Text(), Text(line, style="dim")


def _verdict(verdict: Verdict) -> Text:
    return Text(verdict.value, style=_STYLES[verdict])


def _figures(finding: Finding) -> str:
    """A note claims nothing."""
    claimed = f"; claimed: {finding.expected}" if finding.expected else ""
    return f"{finding.measured}{claimed}"


def _remarks(finding: Finding) -> list[str]:
    return [f"! {remark}" for remark in finding.remarks]


def _summary(section: Section) -> str:
    parts = ", ".join(f"{count} {verdict.value}" for verdict, count in section.counts.items())
    return f"{counted(len(section.claims), 'claim')}: {parts}"
