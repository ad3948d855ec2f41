"""The verdict as Markdown: a comment on a change, or GitHub's step summary."""

from __future__ import annotations

from collections.abc import Iterator

from allocphase.judge.render.table import COLUMNS, cells, outcome_text, remarks, shown_rows
from allocphase.judge.render.words import change_text, headline
from allocphase.judge.verdict import GateRow, GateVerdict
from allocphase.text.markdown import escaped

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
        yield f"| {' | '.join(('', 'row', *COLUMNS))} |"
        yield "| --- | --- |" + " ---: |" * len(COLUMNS)
        yield from (f"| {' | '.join(_cells(row))} |" for row in shown)
    told = [escaped(line) for line in remarks(verdict, shown)]
    if told:
        yield ""
        yield from (f"- {line}" for line in told)


def _cells(row: GateRow) -> list[str]:
    word = outcome_text(row)
    if row.again:
        word = f"{word}, at first {change_text(row.first)}"
    texts = (escaped(text) for text in (row.row.id, *cells(row)))
    return [f"**{word}**" if row.fails else word, *texts]
