"""A fleet's verdict as Markdown and JSON."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from allocphase.files.typed import plain
from allocphase.fleet.render.table import headline, overview, remarks, told_rows
from allocphase.fleet.verdict import FleetVerdict
from allocphase.text.markdown import escaped
from allocphase.text.table import markdown_lines

__all__ = ["document", "markdown"]

SCHEMA = 1


def document(verdict: FleetVerdict) -> dict[str, Any]:
    """Plain values, ready for json.dumps with allow_nan=False: what has no value is null."""
    told = [
        {"id": row.id, "finding": row.finding, "decided": row.decided, **plain(row)}
        for row in verdict.rows
    ]
    head = {"schema": SCHEMA, "verdict": verdict.word, "exit_code": verdict.exit_code}
    return {**head, **plain(verdict), "rows": told}


def markdown(verdict: FleetVerdict) -> str:
    """The whole document, ends with a newline."""
    return "\n".join(_lines(verdict)) + "\n"


def _lines(verdict: FleetVerdict) -> Iterator[str]:
    yield f"### allocphase fleet: {escaped(headline(verdict))}"
    yield ""
    candidate = f", candidate {escaped(verdict.candidate)}" if verdict.candidate else ""
    yield f"Baseline {escaped(verdict.against)}{candidate}."
    shown = told_rows(verdict)
    if shown:
        yield ""
        yield from markdown_lines(overview(shown))
    told = [escaped(line) for line in remarks(verdict, shown)]
    if told:
        yield ""
        yield from (f"- {line}" for line in told)
