"""A section as Markdown: one row a check, for a pull request or a README."""

from __future__ import annotations

from allocphase.claim.finding import Finding
from allocphase.claim.section import Judged, Section
from allocphase.text.markdown import escaped

__all__ = ["section_markdown"]


def section_markdown(section: Section) -> str:
    """A heading, a table, and the sentences on the thesis."""
    head = [
        f"## {escaped(section.title)}",
        "",
        f"{escaped(section.source)} Run: {escaped(section.run)}, {escaped(section.machine)}.",
        "",
        "| claim | verdict | what was checked | claimed | found |",
        "| --- | --- | --- | --- | --- |",
    ]
    rows = [row for claim in section.claims for row in _rows(claim)]
    thesis = [line for sentence in section.thesis for line in ("", escaped(sentence))]
    return "\n".join([*head, *rows, *thesis]) + "\n"


def _rows(claim: Judged) -> list[str]:
    first, *others = claim.checks
    title = f"{claim.id}: {claim.text}"
    return [
        _row(title, claim.verdict.value, first),
        *(_row("", "", finding) for finding in others),
    ]


def _row(title: str, verdict: str, finding: Finding) -> str:
    checked = f"{finding.part}: {finding.subject}" if finding.part else finding.subject
    tie = f" (need not travel: tied to {finding.tied_to})" if finding.tied_to else ""
    found = f"{finding.verdict.value}: {finding.measured}{tie}"
    strong = f"**{escaped(verdict)}**" if verdict else ""
    others = (escaped(text) for text in (checked, finding.expected, found))
    return f"| {' | '.join((escaped(title), strong, *others))} |"
