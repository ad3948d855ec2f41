"""The gate: is the candidate worse than the baseline? Judged from measured values alone.

Place in the pipeline: after analysis and stats. Nothing here starts a process or knows the driver;
gate runs sessions and asks this room what to measure next.

    limits, rows         what is gated, and from which ratio on it counts as worse
    evidence             the values of three arms, round by round, out of process records
    timed, counted       the two rules: one row's values to a judgement
    judge                all rows of a session: what is still wanted, and where each row stands
    verdict, document    the result of a gate, its exit code, and gate.json
    calls                which calls differ between the arms, by kind and size
    render/              the same verdict for a terminal, Markdown, JUnit, GitHub, and in sentences
"""

from __future__ import annotations

from allocphase.judge.evidence import BASELINE, CANDIDATE, TWIN, Evidence, Values
from allocphase.judge.judge import Judge, SessionResult
from allocphase.judge.limits import Limits, Rule, read_limits
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.rows import Row, planned_rows, row_id
from allocphase.judge.verdict import (
    ArmEntry,
    Failure,
    GateRow,
    GateVerdict,
    SessionEntry,
    Settings,
    candidates_own,
    final_rows,
)

__all__ = [
    "BASELINE",
    "CANDIDATE",
    "TWIN",
    "ArmEntry",
    "Evidence",
    "Failure",
    "GateRow",
    "GateVerdict",
    "Judge",
    "Judged",
    "Limits",
    "Outcome",
    "Row",
    "Rule",
    "SessionEntry",
    "SessionResult",
    "Settings",
    "Values",
    "candidates_own",
    "final_rows",
    "planned_rows",
    "read_limits",
    "row_id",
]
