"""All rows of one session: what must still be measured, and where each row stands.

Pure: it reads evidence and says which (scenario, probe) pairs the next round needs. Who runs the
processes is another module's business.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field, replace

from allocphase.errors import UsageError
from allocphase.judge.counted import judge_counted
from allocphase.judge.evidence import Evidence
from allocphase.judge.limits import Limits
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.rows import Row, call_rows
from allocphase.judge.sampled import judge_timed
from allocphase.probe.probe import Probe
from allocphase.stats import SequentialRank
from allocphase.stats.values import median
from allocphase.text.units import counted

__all__ = ["ALPHA", "CONFIRM_ALPHA", "COUNT_BUDGET", "Judge", "SessionResult", "TooFewRoundsError"]

# The chance that a session without any regression flags a time, and the same for counts. A flagged
# row must be flagged again in a session of its own, at CONFIRM_ALPHA: 1 gate in 2,000 by chance.
ALPHA = 0.01
CONFIRM_ALPHA = 0.05
# Processes of an arm that a count which varies may take; they are cheap, and run side by side.
COUNT_BUDGET = 40

# Whose calls have rows by name.
_CALL_PROBES = (Probe.SYSCALLS, Probe.PROGRAM_SYSCALLS)

Need = tuple[str, Probe]  # scenario, probe


class TooFewRoundsError(UsageError):
    """The rounds can never decide a row; `needed` rounds can."""

    def __init__(self, message: str, needed: int) -> None:
        super().__init__(message)
        self.needed = needed


@dataclass(frozen=True, slots=True)
class SessionResult:
    """Every row of one session with its judgement, in the order of the plan."""

    rows: tuple[tuple[Row, Judged], ...]
    rounds: int


@dataclass(frozen=True, slots=True)
class Judge:
    """Judges the rows of one session.

    max_rounds: of times; the boundary is made for so many. min_rounds: timed rows go on to this
    many even when decided, for experiments. until_improved: those that pass go on until they are
    improved, for who looks for that. confirms: it is the second session. has_twin: a copy of the
    baseline is measured beside it. by_name: adds a row for each system call by name, once it is
    known which were made.
    """

    rows: Sequence[Row]
    limits: Limits
    max_rounds: int = 40
    min_rounds: int = 1
    until_improved: bool = False
    confirms: bool = False
    has_twin: bool = True
    by_name: bool = True
    _rules: dict[tuple[float, int, int], SequentialRank] = field(
        default_factory=dict, compare=False
    )

    def within(self, max_rounds: int) -> Judge:
        """The same for at most so many rounds. Raises TooFewRoundsError if they decide nothing."""
        judge = replace(self, max_rounds=min(max_rounds, self.max_rounds), _rules={})
        needed = self.least_rounds
        if self._timed_count and judge.max_rounds < needed:
            rows = counted(self._timed_count, "time")
            raise TooFewRoundsError(
                f"{counted(judge.max_rounds, 'round')} can never decide {rows}: {needed} can",
                needed,
            )
        return judge

    @property
    def least_rounds(self) -> int:
        """The least budget of rounds by which a time can be called regressed."""
        budget = 1
        while self._rule(0.0, self._timed_count, budget).least_rounds is None:
            budget += 1
        return budget

    def wanted(self, evidence: Evidence) -> set[Need]:
        """What the next round must measure; empty when every row is decided."""
        if evidence.rounds == 0:
            return {(row.scenario, row.measure.probe) for row in self.rows}
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
        if not row.measure.timed:
            return not judged.decided and judged.rounds < COUNT_BUDGET
        wanted = not judged.decided or rounds < self.min_rounds
        if self.until_improved and judged.outcome not in (Outcome.IMPROVED, Outcome.REGRESSED):
            wanted = True
        return wanted and rounds < self.max_rounds

    def _judged(self, evidence: Evidence, *, final: bool) -> list[tuple[Row, Judged]]:
        rows = [row for row in self._all_rows(evidence) if not _is_left_out(row, evidence)]
        counts = max(1, sum(not row.measure.timed for row in rows))
        return [(row, self._judge(row, evidence, counts, final=final)) for row in rows]

    def _all_rows(self, evidence: Evidence) -> list[Row]:
        """The planned rows, and those of system calls by name after their scenario's."""
        rows: dict[str, Row] = {}
        for scenario in dict.fromkeys(row.scenario for row in self.rows):
            planned = [row for row in self.rows if row.scenario == scenario]
            counted = any(row.measure.probe in _CALL_PROBES for row in planned)
            named = call_rows(evidence, scenario, self.limits) if self.by_name and counted else []
            for row in (*planned, *named):
                rows.setdefault(row.id, row)
        return list(rows.values())

    def _judge(self, row: Row, evidence: Evidence, counts: int, *, final: bool) -> Judged:
        values = evidence.values(row.measure, row.scenario)
        if not row.measure.timed:
            values = values.first(COUNT_BUDGET)

            def sampled(theta: float) -> SequentialRank:
                return self._rule(theta, counts, COUNT_BUDGET)

            return judge_counted(values, row.rule, sampled, final=final, grain=row.measure.grain)
        theta, step = row.rule.theta, 0.0
        if row.measure.probe is Probe.LATENCY:
            # No limit is finer than what the clock tells.
            step = evidence.clock_step_ns(row.scenario)
            theta = max(theta, step / median(values.base) if step > 0.0 else 0.0)
        rule = self._rule(theta, self._timed_count, self.max_rounds)
        return judge_timed(values, rule, final=final, step_ns=step)

    @property
    def _timed_count(self) -> int:
        return sum(row.measure.timed for row in self.rows)

    def _rule(self, theta: float, rows: int, max_rounds: int) -> SequentialRank:
        key = (theta, rows, max_rounds)
        if key not in self._rules:
            self._rules[key] = SequentialRank(
                theta=theta,
                alpha=CONFIRM_ALPHA if self.confirms else ALPHA,
                better_error=ALPHA * CONFIRM_ALPHA,
                max_rounds=max_rounds,
                rows=max(1, rows),
                others=2 if self.has_twin else 1,
            )
        return self._rules[key]


def _is_left_out(row: Row, evidence: Evidence) -> bool:
    """Many containers permit no ptrace: of what nobody asked for and nobody can count, a note."""
    is_of_program = row.measure.probe is Probe.PROGRAM_SYSCALLS
    return is_of_program and not row.rule.named and bool(evidence.uncounted(row.scenario))
