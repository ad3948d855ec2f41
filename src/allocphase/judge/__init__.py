"""The gate: is the candidate worse than the baseline? Judged from measured values alone.

Place in the pipeline: after the result store and stats. Nothing here starts a process or knows
the driver; `allocphase.gate` runs sessions and asks this package what to measure next.

    measures, limits     what is gated, and from which ratio on it counts as worse
    evidence             the values of three arms, round by round, out of process records
    timed, counted       the two rules: one row's values to a judgement
    judge                all rows of a session: what is still wanted, and where each row stands
    verdict              the result of a gate, its exit code and its JSON
    explain, console, markdown, junit, github    the same verdict for different readers
"""

from __future__ import annotations

from allocphase.judge.evidence import BASELINE, CANDIDATE, TWIN, Evidence, Values
from allocphase.judge.judge import Judge, SessionResult
from allocphase.judge.limits import Limits, Rule, parse_share, read_limits
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.rows import Row, planned_rows, row_id
from allocphase.judge.verdict import (
    ArmEntry,
    Failure,
    GateRow,
    GateVerdict,
    SessionEntry,
    Settings,
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
    "final_rows",
    "parse_share",
    "planned_rows",
    "read_limits",
    "row_id",
]
