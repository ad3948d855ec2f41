"""The result of a gate: rows with both sessions' judgements, failures, and the exit code.

One object for every renderer; `document` writes and reads it as JSON.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from allocphase.judge.judge import SessionResult
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.rows import Row

__all__ = ["Failure", "GateRow", "GateVerdict", "final_rows"]

# What a candidate does that an allocator must not: it counts as worse. The other statuses say
# that the object could not be measured at all.
_BROKEN = frozenset({"crashed", "timeout", "out-of-memory", "corrupt"})

_PASSED = frozenset(
    {
        Outcome.IMPROVED,
        Outcome.UNCHANGED,
        Outcome.NOT_WORSE,
        Outcome.UNDECIDED,
        Outcome.UNCONFIRMED,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A process that did not end well: in whose name, where, and what it said."""

    arm: str
    scenario: str
    probe: str
    status: str
    message: str

    @property
    def broken_candidate(self) -> bool:
        """Whether the candidate did what an allocator must not."""
        return self.arm == "candidate" and self.status in _BROKEN


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One row of the verdict. `again`: the judgement of the confirming session, where it ran.

    advisory: it is printed and never fails (times of a baseline from another machine).
    """

    row: Row
    outcome: Outcome
    first: Judged
    again: Judged | None = None
    advisory: bool = False

    @property
    def fails(self) -> bool:
        """Whether it keeps the gate from passing (an inconclusive row may be waived as a whole)."""
        return not self.advisory and self.outcome not in _PASSED

    @property
    def flagged(self) -> bool:
        """Whether it regressed in the first session."""
        return self.first.outcome is Outcome.REGRESSED


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """Everything a reader of the gate is told.

    baseline, candidate: name, kind, path, sha256, config of each. sessions: run directory,
    rounds, seconds and validity of each. fail_inconclusive: whether rows that the rounds do not
    tell fail the gate.
    """

    baseline: Mapping[str, Any]
    candidate: Mapping[str, Any]
    environment: Mapping[str, Any]
    rows: tuple[GateRow, ...]
    failures: tuple[Failure, ...] = ()
    sessions: tuple[Mapping[str, Any], ...] = ()
    notes: tuple[str, ...] = ()
    machine_mismatch: tuple[str, ...] = ()
    fail_inconclusive: bool = True
    settings: Mapping[str, Any] = field(default_factory=dict)

    @property
    def valid(self) -> bool:
        """Whether no session told copies of the baseline apart."""
        return all(session["valid"] for session in self.sessions)

    @property
    def exit_code(self) -> int:
        """3 regressed, 5 not measured, 4 invalid or inconclusive, else 0; the first that holds."""
        outcomes = {row.outcome for row in self.rows if row.fails}
        if Outcome.REGRESSED in outcomes or any(f.broken_candidate for f in self.failures):
            return 3
        if Outcome.NOT_MEASURED in outcomes or self.failures or not self.rows or self._refused:
            return 5
        if not self.valid or Outcome.INVALID in outcomes:
            return 4
        return 4 if Outcome.INCONCLUSIVE in outcomes and self.fail_inconclusive else 0

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        outcomes = {row.outcome for row in self.rows if row.fails}
        if self.exit_code == 3:
            return "regressed" if Outcome.REGRESSED in outcomes else "candidate is broken"
        if self.exit_code == 5:
            return "another machine" if self._refused else "not measured"
        if self.exit_code == 4:
            return "inconclusive" if self.valid else "invalid session"
        return "passed"

    @property
    def _refused(self) -> bool:
        """Times of another machine, and nobody said that they may be shown as advice."""
        return bool(self.machine_mismatch) and not any(row.advisory for row in self.rows)


def final_rows(first: SessionResult, again: SessionResult | None) -> tuple[GateRow, ...]:
    """Joins the sessions: a row has regressed if both say so; a time, if both are valid too."""
    second = {row.id: judged for row, judged in again.rows} if again else {}
    sound = first.valid and (again is None or again.valid)
    return tuple(_join(row, judged, second.get(row.id), sound) for row, judged in first.rows)


def _join(row: Row, first: Judged, again: Judged | None, sound: bool) -> GateRow:
    outcome = first.outcome
    if outcome is Outcome.REGRESSED:
        outcome = Outcome.INVALID if row.measure.timed and not sound else _confirmed(again)
    return GateRow(row=row, outcome=outcome, first=first, again=again)


def _confirmed(again: Judged | None) -> Outcome:
    """A flagged row without a second judgement has not been confirmed, nor cleared."""
    if again is None:
        return Outcome.INCONCLUSIVE
    if again.outcome in (Outcome.REGRESSED, Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED):
        return again.outcome
    return Outcome.UNCONFIRMED
