"""All rows of one session: what must still be measured, and where each row stands.

Pure: it reads evidence and says which (scenario, probe) pairs the next round needs. Who runs the
processes is another module's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

from allocphase.errors import UsageError
from allocphase.judge.counted import judge_counted
from allocphase.judge.evidence import Evidence
from allocphase.judge.limits import Limits
from allocphase.judge.outcome import Judged
from allocphase.judge.rows import Row, call_rows
from allocphase.judge.timed import judge_timed
from allocphase.probe.probe import Probe
from allocphase.stats import SequentialSign

__all__ = ["ALPHA", "Judge", "SessionResult"]

# The chance that a session without any regression flags a timed row. A flagged row must be
# flagged again in a session of its own, so that a false alarm takes two such accidents.
ALPHA = 0.01

Need = tuple[str, Probe]  # scenario, probe


@dataclass(frozen=True, slots=True)
class SessionResult:
    """Every row of one session with its judgement, in the order of the plan."""

    rows: tuple[tuple[Row, Judged], ...]
    rounds: int

    @property
    def valid(self) -> bool:
        """Whether no copy of the baseline passed for a change."""
        return not any(judged.twin_moved for _, judged in self.rows)


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the rows of one session. Raises UsageError if its rounds cannot decide anything.

    min_rounds: timed rows go on to this many rounds even when decided, for experiments.
    by_name: adds a row for each system call by name, once it is known which were made.
    """

    rows: Sequence[Row]
    limits: Limits
    max_rounds: int = 40
    min_rounds: int = 1
    alpha: float = ALPHA
    by_name: bool = True
    _rules: dict[float, SequentialSign] = field(default_factory=dict, compare=False)

    def __post_init__(self) -> None:
        for row in self.rows:
            if row.measure.timed and not self._rule(row.rule.theta).can_regress:
                raise UsageError(
                    f"{self.max_rounds} rounds can never decide {self._timed_count} timed rows: "
                    "raise --max-rounds or choose fewer scenarios"
                )

    def wanted(self, evidence: Evidence) -> set[Need]:
        """What the next round must measure; empty when every row is decided."""
        if evidence.rounds == 0:
            return {(row.scenario, row.measure.probe) for row in self.rows}
        if evidence.rounds >= self.max_rounds:
            return set()
        broken = {record.scenario for record in evidence.failures()}
        return {
            (row.scenario, row.measure.probe)
            for row, judged in self._judged(evidence, final=False)
            if row.scenario not in broken and self._goes_on(row, judged, evidence.rounds)
        }

    def result(self, evidence: Evidence) -> SessionResult:
        """Where every row stands when no round follows."""
        return SessionResult(tuple(self._judged(evidence, final=True)), evidence.rounds)

    def _goes_on(self, row: Row, judged: Judged, rounds: int) -> bool:
        return not judged.decided or (row.measure.timed and rounds < self.min_rounds)

    def _judged(self, evidence: Evidence, *, final: bool) -> list[tuple[Row, Judged]]:
        return [(row, self._judge(row, evidence, final=final)) for row in self._all_rows(evidence)]

    def _all_rows(self, evidence: Evidence) -> list[Row]:
        """The planned rows, and those of system calls by name after their scenario's."""
        rows: dict[str, Row] = {}
        for scenario in dict.fromkeys(row.scenario for row in self.rows):
            planned = [row for row in self.rows if row.scenario == scenario]
            counted = any(row.measure.probe is Probe.SYSCALLS for row in planned)
            named = call_rows(evidence, scenario, self.limits) if self.by_name and counted else []
            for row in (*planned, *named):
                rows.setdefault(row.id, row)
        return list(rows.values())

    def _judge(self, row: Row, evidence: Evidence, *, final: bool) -> Judged:
        values = evidence.values(row.measure, row.scenario)
        if row.measure.timed:
            return judge_timed(values, self._rule(row.rule.theta), final=final)
        return judge_counted(values, row.rule, final=final)

    @property
    def _timed_count(self) -> int:
        return max(1, sum(row.measure.timed for row in self.rows))

    def _rule(self, theta: float) -> SequentialSign:
        if theta not in self._rules:
            self._rules[theta] = SequentialSign(
                theta=theta,
                alpha=self.alpha,
                max_rounds=self.max_rounds,
                rows=self._timed_count,
            )
        return self._rules[theta]
