"""The result of a gate: rows with both sessions' judgements, failures, and the exit code.

One object for every renderer, and for gate.json: `document` writes and reads it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any

from allocphase.analysis.lost import BROKEN
from allocphase.analysis.measures import MEASURES
from allocphase.analysis.metric_names import is_compared, measure
from allocphase.errors import unknown
from allocphase.files.typed import Amount, Count, FieldError
from allocphase.judge.judge import SessionResult
from allocphase.judge.limits import Rule
from allocphase.judge.openness import Openness, Told, openness
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.rows import Row

__all__ = [
    "ArmEntry",
    "Failure",
    "GateRow",
    "GateVerdict",
    "MetricName",
    "SessionEntry",
    "Settings",
    "candidates_own",
    "final_rows",
]

_PASSED = frozenset(
    {
        Outcome.IMPROVED,
        Outcome.UNCHANGED,
        Outcome.NOT_WORSE,
        Outcome.UNDECIDED,
        Outcome.UNCONFIRMED,
    }
)


def _metric_name(value: Any) -> str:
    """A demand: some rows are of system calls by name, which no list has."""
    if not isinstance(value, str) or not is_compared(value):
        raise FieldError(unknown("metric", str(value), MEASURES))
    return value


MetricName = Annotated[str, _metric_name]


@dataclass(frozen=True, slots=True, kw_only=True)
class ArmEntry:
    """What was compared. `path`, `sha256`: of its object, None for libc."""

    name: str
    kind: str
    path: str | None
    sha256: str | None
    config: Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionEntry:
    """One session. `path`: its run directory; planned: the rounds that its times could have had;
    repeated: processes that the machine disturbed or that did not end, and ran once more.
    """

    path: str
    rounds: Count
    planned: Count
    repeated: Count
    seconds: Amount


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """How it was gated. limits: the lines of the user; max_rounds: of each session."""

    theta: Amount
    memory_theta: Amount
    limits: tuple[str, ...]
    max_rounds: Count
    time_budget_s: Amount
    seed: Count
    scenarios: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """A process that did not end well: in whose name, where, and what it said."""

    arm: str
    scenario: str
    probe: str
    status: str
    message: str

    @property
    def place(self) -> tuple[str, str]:
        """Where it failed: the scenario and the probe."""
        return self.scenario, self.probe


def candidates_own(failures: Iterable[Failure]) -> list[Failure]:
    """Where the candidate did what an allocator must not, and the baseline and its twin did not:
    what breaks all arms makes none of them the worse one.
    """
    broken = [failure for failure in failures if failure.status in BROKEN]
    others = {failure.place for failure in broken if failure.arm != "candidate"}
    return [one for one in broken if one.arm == "candidate" and one.place not in others]


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRow:
    """One row of the verdict. `again`: the judgement of the confirming session, where it ran.

    fails: it keeps the gate from passing by itself (an inconclusive row may be waived). Of
    inconclusive rows only those do that were flagged, or whose limit names that very row; the
    others are judged together (openness.py). advisory: it is printed and never fails (against a
    saved baseline: what does not hold on this machine, and times without a limit of their own).
    """

    id: str = field(init=False)
    metric: MetricName
    scenario: str
    unit: str = field(init=False)
    rule: Rule
    outcome: Outcome
    fails: bool = field(init=False)
    advisory: bool
    first: Judged
    again: Judged | None

    def __post_init__(self) -> None:
        weighs = self.outcome not in _PASSED
        if self.outcome is Outcome.INCONCLUSIVE:
            weighs = self.rule.required or self.first.outcome is Outcome.REGRESSED
        fails = weighs and not self.advisory
        derived = {"id": self.row.id, "unit": self.row.measure.unit, "fails": fails}
        for name, value in derived.items():
            object.__setattr__(self, name, value)

    @classmethod
    def of(
        cls,
        row: Row,
        outcome: Outcome,
        *,
        first: Judged,
        again: Judged | None = None,
        advisory: bool = False,
    ) -> GateRow:
        """The row as planned, and what came of it."""
        return cls(
            metric=row.measure.name,
            scenario=row.scenario,
            rule=row.rule,
            outcome=outcome,
            advisory=advisory,
            first=first,
            again=again,
        )

    @property
    def row(self) -> Row:
        """The row as it was planned."""
        return Row(measure(self.metric), self.scenario, self.rule)

    @property
    def flagged(self) -> bool:
        """Whether it regressed in the first session."""
        return self.first.outcome is Outcome.REGRESSED


@dataclass(frozen=True, slots=True, kw_only=True)
class GateVerdict:
    """Everything a reader of the gate is told.

    environment: facts of the machine by name. machine_mismatch: what of a saved baseline does not
    hold on this machine, and why. fail_inconclusive: whether rows that the rounds do not tell fail
    the gate.
    """

    baseline: ArmEntry
    candidate: ArmEntry
    environment: Mapping[str, object]
    settings: Settings
    fail_inconclusive: bool
    sessions: tuple[SessionEntry, ...]
    notes: tuple[str, ...]
    machine_mismatch: tuple[str, ...]
    failures: tuple[Failure, ...]
    rows: tuple[GateRow, ...]

    @property
    def openness(self) -> Openness:
        """Of the rows that the first session left open without more ado."""
        return openness(
            [
                Told(
                    (row.scenario, row.row.measure.probe),
                    row.outcome is Outcome.INCONCLUSIVE,
                    row.first.open_chance,
                )
                for row in self.rows
                if not row.advisory and not row.fails
            ]
        )

    @property
    def is_open(self) -> bool:
        """Whether a row keeps it from a verdict, or too many do together."""
        fails = any(row.fails and row.outcome is Outcome.INCONCLUSIVE for row in self.rows)
        return fails or self.openness.too_many

    @property
    def exit_code(self) -> int:
        """3 regressed, 5 not measured, 4 inconclusive, else 0; the first that holds."""
        outcomes = {row.outcome for row in self.rows if row.fails}
        if Outcome.REGRESSED in outcomes or candidates_own(self.failures):
            return 3
        if Outcome.NOT_MEASURED in outcomes or self.failures or not self.rows or self._refused:
            return 5
        return 4 if self.is_open and self.fail_inconclusive else 0

    @property
    def word(self) -> str:
        """The verdict in a word or two."""
        outcomes = {row.outcome for row in self.rows if row.fails}
        if self.exit_code == 3:
            return "regressed" if Outcome.REGRESSED in outcomes else "candidate is broken"
        if self.exit_code == 5:
            return "another machine" if self._refused else "not measured"
        return "inconclusive" if self.exit_code == 4 else "passed"

    @property
    def _refused(self) -> bool:
        """Rows that do not hold on this machine are left out: nobody wanted them as advice. Times
        depend on every fact, so none of them is advice for another reason then.
        """
        return bool(self.machine_mismatch) and not any(row.advisory for row in self.rows)


def final_rows(first: SessionResult, again: SessionResult | None) -> tuple[GateRow, ...]:
    """Joins the sessions: a row has regressed if both say so."""
    second = {row.id: judged for row, judged in again.rows} if again else {}
    return tuple(_join(row, judged, second.get(row.id)) for row, judged in first.rows)


def _join(row: Row, first: Judged, again: Judged | None) -> GateRow:
    flagged = first.outcome is Outcome.REGRESSED
    return GateRow.of(
        row, _confirmed(again) if flagged else first.outcome, first=first, again=again
    )


def _confirmed(again: Judged | None) -> Outcome:
    """A flagged row has not been cleared before a second session decides that it has not
    regressed.
    """
    if again is None or again.outcome is Outcome.UNDECIDED:
        return Outcome.INCONCLUSIVE
    if again.outcome in (Outcome.REGRESSED, Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED):
        return again.outcome
    return Outcome.UNCONFIRMED
