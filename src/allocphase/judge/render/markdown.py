"""The verdict as Markdown: a comment on a change, or GitHub's step summary."""

from __future__ import annotations

from collections.abc import Iterator

from allocphase.judge.render.table import remarks, shown_rows, table
from allocphase.judge.render.words import headline
from allocphase.judge.verdict import GateVerdict
from allocphase.text.markdown import escaped
from allocphase.text.table import markdown_lines

__all__ = ["markdown"]


def markdown(verdict: GateVerdict) -> str:
    """The whole document, ends with a newline."""
    return "\n".join(_lines(verdict)) + "\n"


def _lines(verdict: GateVerdict) -> Iterator[str]:
    yield f"### allocphase gate: {headline(verdict)}"
    yield ""
    baseline, candidate = escaped(verdict.baseline.name), escaped(verdict.candidate.name)
    yield f"Baseline {baseline}, candidate {candidate}."
    shown = shown_rows(verdict)
    if shown:
        yield ""
        yield from markdown_lines(table(shown, names_scenario=True))
    told = [escaped(line) for line in remarks(verdict, shown)]
    if told:
        yield ""
        yield from (f"- {line}" for line in told)
