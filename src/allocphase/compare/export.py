"""A comparison as Markdown, CSV and JSON."""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterator
from typing import Any

from allocphase.compare.compare import ComparedRuns
from allocphase.compare.rows import CompareRow
from allocphase.compare.words import table, word
from allocphase.files.typed import plain
from allocphase.stats import Interval
from allocphase.text.markdown import escaped
from allocphase.text.table import markdown_lines

__all__ = ["csv_text", "document", "markdown"]

SCHEMA = 1
_NO_TIME = Interval(math.nan, math.nan, math.nan, math.nan)
_FIELDS = ("allocator", "scenario", "metric", "unit", "base", "candidate")


def markdown(found: ComparedRuns) -> str:
    """A table a scenario; ends with a newline."""
    return "\n".join(_lines(found)) + "\n"


def _lines(found: ComparedRuns) -> Iterator[str]:
    yield f"### allocphase compare: against {escaped(found.against)}"
    for scenario in dict.fromkeys(row.scenario for row in found.rows):
        yield ""
        yield f"#### {escaped(scenario)}"
        yield ""
        rows = [row for row in found.rows if row.scenario == scenario]
        yield from markdown_lines(table(rows, names_allocator=True))
    if found.notes:
        yield ""
        yield from (f"- {escaped(note)}" for note in found.notes)


def csv_text(found: ComparedRuns) -> str:
    """A line a row, plain numbers in base units, empty where there is no value."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(_values_of_nothing()), lineterminator="\n")
    writer.writeheader()
    for row in found.rows:
        writer.writerow(_values(row))
    return stream.getvalue()


def document(found: ComparedRuns) -> dict[str, Any]:
    """`{"schema", "against", "rows", "notes"}`; what has no value is null."""
    rows = [_values(row) for row in found.rows]
    return {"schema": SCHEMA, "against": found.against, "rows": rows, "notes": list(found.notes)}


def _values(row: CompareRow) -> dict[str, Any]:
    ratio, saved = row.ratio, row.saved_ns or _NO_TIME
    return {
        **{key: plain(getattr(row, key)) for key in _FIELDS},
        "ratio": plain(ratio.estimate),
        "ratio_lower": plain(ratio.lower),
        "ratio_upper": plain(ratio.upper),
        "saved_ns": plain(saved.estimate),
        "saved_ns_lower": plain(saved.lower),
        "saved_ns_upper": plain(saved.upper),
        "theta": row.theta,
        "rounds": row.pairs,
        "min_detectable_ratio": plain(row.min_detectable_ratio),
        "verdict": word(row),
    }


def _values_of_nothing() -> tuple[str, ...]:
    ratio = ("ratio", "ratio_lower", "ratio_upper")
    saved = ("saved_ns", "saved_ns_lower", "saved_ns_upper")
    return (*_FIELDS, *ratio, *saved, "theta", "rounds", "min_detectable_ratio", "verdict")
