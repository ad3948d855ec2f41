"""The verdict as a table: which rows are shown, its columns, and the remarks below.

Every rendering for readers takes them from here, the terminal and Markdown alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.render.words import (
    change_text,
    failure_text,
    interval_text,
    limit_text,
    open_text,
    seen_text,
    suggestion,
    value_text,
)
from allocphase.judge.verdict import GateRow, GateVerdict

__all__ = ["COLUMNS", "cells", "outcome_text", "remarks", "shown_rows"]

COLUMNS = ("baseline", "candidate", "change", "95% interval", "limit", "sees")


def shown_rows(verdict: GateVerdict, *, everything: bool = False) -> list[GateRow]:
    """All but counts that are equal, which a table may leave out."""
    return [row for row in verdict.rows if everything or not _quiet(row)]


def outcome_text(row: GateRow) -> str:
    """The row's outcome, in brackets where it is advice."""
    return f"({row.outcome})" if row.advisory else str(row.outcome)


def cells(row: GateRow) -> tuple[str, ...]:
    """One text for each of COLUMNS, of the session that says more of the row."""
    judged = _telling(row)
    return (
        value_text(row, judged.base),
        value_text(row, judged.candidate),
        change_text(judged),
        interval_text(judged.ratio),
        limit_text(judged),
        seen_text(judged),
    )


def remarks(verdict: GateVerdict, shown: Sequence[GateRow]) -> Iterator[str]:
    """What a reader must know beside the table, a line each."""
    hidden = len(verdict.rows) - len(shown)
    if hidden:
        yield f"{hidden} further count{'s are' if hidden > 1 else ' is'} equal."
    yield from (failure_text(failure) for failure in verdict.failures)
    yield from (f"another machine: {line}" for line in verdict.machine_mismatch)
    for row in shown:
        if row.outcome is Outcome.INCONCLUSIVE and not row.advisory:
            yield f"{row.row.id}: {suggestion(row)}"
    if verdict.openness.rows:
        yield open_text(verdict.openness)
    yield from verdict.notes


def _telling(row: GateRow) -> Judged:
    """The second session's figures were not chosen for being high."""
    return row.again or row.first


def _quiet(row: GateRow) -> bool:
    return not row.row.measure.timed and row.outcome is Outcome.UNCHANGED
