"""The verdict as JSON, and back: gate.json in the run directory, and `gate --json`.

What is infinite or has no value is null. Read again, null is NaN: that renders alike.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from allocphase.analysis.measures import compared
from allocphase.errors import DataError, UsageError
from allocphase.files.checks import (
    COUNT,
    FLAG,
    NUMBER,
    TEXT,
    anything,
    entries,
    listing,
    nullable,
    one_of,
    table,
)
from allocphase.files.documents import read_json
from allocphase.judge.limits import Rule
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.rows import Row
from allocphase.judge.verdict import Failure, GateRow, GateVerdict
from allocphase.stats import Interval

__all__ = ["FILE", "document", "from_document", "read_verdict"]

FILE = "gate.json"
SCHEMA = 1

_KEPT = ("baseline", "candidate", "environment", "settings", "fail_inconclusive")
_LISTS = ("sessions", "notes", "machine_mismatch")
_NUMBERS = ("base", "candidate", "floor_spread", "theta", "min_detectable_ratio")
_FAILURE = ("arm", "scenario", "probe", "status", "message")

_INTERVAL = table(dict.fromkeys(("estimate", "lower", "upper", "confidence"), nullable(NUMBER)))
_OUTCOME = one_of([outcome.value for outcome in Outcome])
_JUDGED = table(
    {
        "outcome": _OUTCOME,
        **dict.fromkeys(_NUMBERS, nullable(NUMBER)),
        **dict.fromkeys(("decided", "twin_moved", "varies"), FLAG),
        "ratio": _INTERVAL,
        "twin": nullable(_INTERVAL),
        "pairs": COUNT,
        "values": listing(listing(NUMBER), length=2),
    }
)
_ROW = table(
    {
        "metric": TEXT,
        "scenario": TEXT,
        "rule": table({"theta": NUMBER, "exact": FLAG, "named": FLAG}),
        "outcome": _OUTCOME,
        "advisory": FLAG,
        "first": _JUDGED,
        "again": nullable(_JUDGED),
    }
)
_SHAPE = table(
    {
        **dict.fromkeys(("baseline", "candidate"), anything),
        **dict.fromkeys(("environment", "settings"), entries(anything)),
        "fail_inconclusive": FLAG,
        "sessions": listing(table({"path": TEXT, "valid": FLAG})),
        **dict.fromkeys(("notes", "machine_mismatch"), listing(TEXT)),
        "failures": listing(table(dict.fromkeys(_FAILURE, TEXT))),
        "rows": listing(_ROW),
    }
)


def document(verdict: GateVerdict) -> dict[str, Any]:
    """Plain values, ready for json.dumps with allow_nan=False."""
    return {
        "schema": SCHEMA,
        "verdict": verdict.word,
        "exit_code": verdict.exit_code,
        **{key: getattr(verdict, key) for key in _KEPT},
        **{key: list(getattr(verdict, key)) for key in _LISTS},
        "failures": [{key: getattr(one, key) for key in _FAILURE} for one in verdict.failures],
        "rows": [_row(row) for row in verdict.rows],
    }


def from_document(values: Mapping[str, Any]) -> GateVerdict:
    """The verdict again. Raises DataError when it is no document of this schema."""
    if not isinstance(values, Mapping) or values.get("schema") != SCHEMA:
        raise DataError(f"gate verdict: schema: this version reads schema {SCHEMA}")
    if fault := _SHAPE(values):
        raise DataError(f"gate verdict: {fault[1:]}")
    try:
        kept: dict[str, Any] = {key: values[key] for key in _KEPT}
        kept.update({key: tuple(values[key]) for key in _LISTS})
        failures = tuple(Failure(**one) for one in values["failures"])
        rows = tuple(_read_row(row) for row in values["rows"])
        return GateVerdict(**kept, failures=failures, rows=rows)
    except (TypeError, ValueError) as error:  # a key that no dataclass has
        raise DataError(f"gate verdict: not readable: {error!r}") from None


def read_verdict(folder: Path) -> GateVerdict:
    """The verdict that a gate left in its run directory.

    Raises UsageError where there is none, DataError where it is damaged.
    """
    path = folder / FILE
    try:
        return from_document(read_json(path))
    except FileNotFoundError:
        raise UsageError(f"{folder}: no gate ran there: there is no {FILE} in it") from None


def _row(gated: GateRow) -> dict[str, Any]:
    row = gated.row
    return {
        "id": row.id,
        "metric": row.measure.name,
        "scenario": row.scenario,
        "unit": row.measure.unit,
        "rule": {"theta": row.rule.theta, "exact": row.rule.exact, "named": row.rule.named},
        "outcome": gated.outcome.value,
        "fails": gated.fails,
        "advisory": gated.advisory,
        "first": _judged(gated.first),
        "again": _judged(gated.again) if gated.again else None,
    }


def _judged(judged: Judged) -> dict[str, Any]:
    return {
        "outcome": judged.outcome.value,
        "decided": judged.decided,
        **{key: _number(getattr(judged, key)) for key in _NUMBERS},
        "ratio": _interval(judged.ratio),
        "twin": _interval(judged.twin) if judged.twin else None,
        "twin_moved": judged.twin_moved,
        "pairs": judged.pairs,
        "varies": judged.varies,
        "values": [list(values) for values in judged.values],
    }


def _interval(found: Interval) -> dict[str, float | None]:
    keys = ("estimate", "lower", "upper", "confidence")
    return {key: _number(getattr(found, key)) for key in keys}


def _number(value: float) -> float | None:
    return value if math.isfinite(value) else None


def _read_row(entry: Mapping[str, Any]) -> GateRow:
    return GateRow(
        row=Row(compared(entry["metric"]), entry["scenario"], Rule(**entry["rule"])),
        outcome=Outcome(entry["outcome"]),
        first=_read_judged(entry["first"]),
        again=_read_judged(entry["again"]) if entry["again"] else None,
        advisory=entry["advisory"],
    )


def _read_judged(entry: Mapping[str, Any]) -> Judged:
    first, second = entry["values"]
    return Judged(
        outcome=Outcome(entry["outcome"]),
        decided=entry["decided"],
        **{key: _read_number(entry[key]) for key in _NUMBERS},
        ratio=_read_interval(entry["ratio"]),
        twin=_read_interval(entry["twin"]) if entry["twin"] else None,
        twin_moved=entry["twin_moved"],
        pairs=entry["pairs"],
        varies=entry["varies"],
        values=(tuple(first), tuple(second)),
    )


def _read_interval(entry: Mapping[str, float | None]) -> Interval:
    return Interval(**{key: _read_number(value) for key, value in entry.items()})


def _read_number(value: float | None) -> float:
    return math.nan if value is None else value
