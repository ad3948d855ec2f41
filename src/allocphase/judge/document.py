"""The verdict as JSON, and back: gate.json in the run directory, and `gate --json`.

What is infinite or has no value is null. Read again, null is NaN: that renders alike.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from allocphase.errors import UsageError
from allocphase.files.typed import load_json, plain
from allocphase.judge.verdict import GateVerdict

__all__ = ["FILE", "document", "read_verdict"]

FILE = "gate.json"
SCHEMA = 2


def document(verdict: GateVerdict) -> dict[str, Any]:
    """Plain values, ready for json.dumps with allow_nan=False."""
    head = {"schema": SCHEMA, "verdict": verdict.word, "exit_code": verdict.exit_code}
    return {**head, **plain(verdict)}


def read_verdict(folder: Path) -> GateVerdict:
    """The verdict that a gate left in its run directory. Raises UsageError."""
    try:
        return load_json(GateVerdict, folder / FILE, schema=SCHEMA)
    except FileNotFoundError:
        raise UsageError(f"{folder}: no gate ran there: there is no {FILE} in it") from None
