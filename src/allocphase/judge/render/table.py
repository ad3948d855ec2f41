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
    saved_texts,
    seen_text,
    suggestion,
    value_text,
)
from allocphase.judge.verdict import GateRow, GateVerdict
from allocphase.text.fitted import Column
from allocphase.text.table import Cell, Table

__all__ = ["LIMIT", "remarks", "shown_rows", "table"]

LIMIT = "limit"
_FIGURES = ("baseline", "candidate", "change", "95% interval", LIMIT, "sees")
_SAVED = ("time saved", "95% interval")
_STYLES = {
    Outcome.REGRESSED: "bold red",
    Outcome.NOT_MEASURED: "bold red",
    Outcome.INCONCLUSIVE: "yellow",
    Outcome.IMPROVED: "green",
}


def shown_rows(verdict: GateVerdict, *, everything: bool = False) -> list[GateRow]:
    """All but counts that are unchanged, which a table may leave out."""
    return [row for row in verdict.rows if everything or not _quiet(row)]


def table(rows: Sequence[GateRow], *, names_scenario: bool) -> Table:
    """A line a row, named with its scenario or, under a heading that has it, without."""
    word = 14 if any(row.advisory for row in rows) else 12  # advice is in brackets
    columns = [Column("", figure=False, width=15), Column("", figure=False, width=word)]
    timed = any(row.row.measure.timed for row in rows)
    columns += [Column(name) for name in (*_FIGURES, *(_SAVED if timed else ()))]
    named = [row.row.id if names_scenario else row.row.measure.name for row in rows]
    return Table(
        columns,
        [_cells(row, name, timed=timed) for row, name in zip(rows, named, strict=True)],
    )


def _cells(row: GateRow, name: str, *, timed: bool) -> list[Cell]:
    """Of the session that says more of the row."""
    judged = _telling(row)
    word = f"({row.outcome})" if row.advisory else str(row.outcome)
    texts = (
        value_text(row, judged.base),
        value_text(row, judged.candidate),
        change_text(judged),
        interval_text(judged.ratio),
        limit_text(judged),
        seen_text(judged),
        *(saved_texts(judged.saved_ns) if timed else ()),
    )
    outcome = Cell(word, _STYLES.get(row.outcome, ""), strong=row.fails)
    return [Cell(name), outcome, *map(Cell, texts)]


def remarks(verdict: GateVerdict, shown: Sequence[GateRow]) -> Iterator[str]:
    """What a reader must know beside the table, a line each."""
    hidden = [row for row in verdict.rows if row not in shown]
    equal = sum(row.first.exact and row.first.base == row.first.candidate for row in hidden)
    if equal:
        yield f"{equal} further count{'s are' if equal > 1 else ' is'} equal."
    if within := len(hidden) - equal:
        yield f"{within} further count{'s are' if within > 1 else ' is'} within the limit."
    yield from (failure_text(failure) for failure in verdict.failures)
    yield from (f"another machine: {line}" for line in verdict.machine_mismatch)
    for row in shown:
        if row.again and not row.first.exact:
            first, again = change_text(row.first), change_text(row.again)
            yield f"{row.row.id}: {first} at first, {again} when measured again"
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
