"""The gate: is the candidate worse than the baseline? Judged from measured values alone.

Place in the pipeline: after the result store and stats. Nothing here starts a process or knows
the driver; `allocphase.gating` runs sessions and asks this package what to measure next.

    measures, limits     what is gated, and from which ratio on it counts as worse
    evidence             the values of three arms, round by round, out of process records
    timed, counted       the two rules: one row's values to a judgement
    judge                all rows of a session: what is still wanted, and where each row stands
    verdict              the result of a gate, its exit code and its JSON
    explain, console, markdown, junit, github    the same verdict for different readers
"""

from __future__ import annotations

from allocphase.gate.evidence import BASELINE, CANDIDATE, TWIN, Evidence, Values
from allocphase.gate.judge import Judge, SessionResult
from allocphase.gate.limits import Limits, Rule, parse_share, read_limits
from allocphase.gate.outcome import Judged, Outcome
from allocphase.gate.rows import Row, planned_rows, row_id
from allocphase.gate.verdict import Failure, GateRow, GateVerdict, final_rows

__all__ = [
    "BASELINE",
    "CANDIDATE",
    "TWIN",
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
    "SessionResult",
    "Values",
    "final_rows",
    "parse_share",
    "planned_rows",
    "read_limits",
    "row_id",
]
