"""The verdict as Markdown: a comment on a change, or GitHub's step summary."""

from __future__ import annotations

from collections.abc import Iterator

from allocphase.judge.render.words import (
    change_text,
    failure_text,
    headline,
    interval_text,
    limit_text,
    quiet,
    seen_text,
    value_text,
)
from allocphase.judge.verdict import GateRow, GateVerdict
from allocphase.text.markdown import escaped

__all__ = ["markdown"]

_COLUMNS = ("", "row", "baseline", "candidate", "change", "interval", "limit", "sees")


def markdown(verdict: GateVerdict) -> str:
    """The whole document, ends with a newline."""
    return "\n".join(_lines(verdict)) + "\n"


def _lines(verdict: GateVerdict) -> Iterator[str]:
    yield f"### allocphase gate: {headline(verdict)}"
    yield ""
    baseline, candidate = escaped(verdict.baseline.name), escaped(verdict.candidate.name)
    yield f"Baseline {baseline}, candidate {candidate}."
    shown = [row for row in verdict.rows if not quiet(row)]
    if shown:
        yield ""
        yield f"| {' | '.join(_COLUMNS)} |"
        yield "| --- | --- |" + " ---: |" * (len(_COLUMNS) - 2)
        yield from (f"| {' | '.join(_cells(row))} |" for row in shown)
    remarks = list(_remarks(verdict, hidden=len(verdict.rows) - len(shown)))
    if remarks:
        yield ""
        yield from (f"- {line}" for line in remarks)


def _cells(row: GateRow) -> list[str]:
    judged = row.first
    again = f", again {change_text(row.again)}" if row.again else ""
    word = f"({row.outcome})" if row.advisory else str(row.outcome)
    texts = [
        row.row.id,
        value_text(row, judged.base),
        value_text(row, judged.candidate),
        f"{change_text(judged)}{again}",
        interval_text(judged.ratio) if row.row.measure.timed else "-",
        limit_text(judged),
        seen_text(judged),
    ]
    return [f"**{word}**" if row.fails else word, *(escaped(text) for text in texts)]


def _remarks(verdict: GateVerdict, *, hidden: int) -> Iterator[str]:
    if hidden:
        yield f"{hidden} further counts are equal."
    yield from (escaped(failure_text(failure)) for failure in verdict.failures)
    for line in verdict.machine_mismatch:
        yield f"another machine: {escaped(line)}"
    yield from (escaped(note) for note in verdict.notes)
