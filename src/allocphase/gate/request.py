"""What somebody asks of a gate, resolved."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from allocphase.analysis.comparable import holds
from allocphase.gate.arms import Arms
from allocphase.judge import ArmEntry, Limits, Row
from allocphase.judge.evidence import Saved
from allocphase.run.request import TIMEOUT_S, draw_seed
from allocphase.scenario import AnyScenario

__all__ = ["GateRequest", "SavedArm"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedArm:
    """A baseline that was measured before, where the baseline's arm would be.

    rounds: what its times rest on, 0 where it has none. allocator: as by describe_arm. note: what
    the verdict says of it. differing: the machine's facts that are others now, a line a fact; what
    depends on one of them does not hold here, and is left out, or with `allow_mismatch` shown as
    advice.
    """

    values: Saved
    rounds: int
    allocator: ArmEntry
    note: str
    differing: Mapping[str, str] = field(default_factory=dict)
    allow_mismatch: bool = False

    def is_advice(self, row: Row) -> bool:
        """Whether the row is shown and never fails: where it does not hold here, and of times
        unless the user gave a limit. Both sessions divide by the same stored values, so a second
        one would find again whatever the machine did between the days.
        """
        return not holds(row.measure, self.differing) or (row.measure.timed and not row.rule.named)


# Where nobody names one; and how many times that a slow machine may take to decide anything.
TIME_BUDGET_S = 600.0
STRETCH = 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What to gate, and with which budget: `time_budget_s` of both sessions together.

    stretch: as many times the budget may be taken where fewer rounds than that takes can never
    decide anything; 1 where the user has named the budget.

    until_improved: rows of times that pass go on until they are improved, or the rounds are used
    up. saved: instead of a baseline among the arms. explained: scenarios of which the first session
    keeps what each call takes, whether that is gated or not. notes: what the verdict says
    besides. kept_variables, simulated_caches: as in Request.
    """

    arms: Arms
    scenarios: Sequence[AnyScenario]
    limits: Limits
    out: Path
    seed: int = field(default_factory=draw_seed)
    max_rounds: int = 40
    min_rounds: int = 1
    until_improved: bool = False
    time_budget_s: float = TIME_BUDGET_S
    stretch: float = 1.0
    timeout_s: float = TIMEOUT_S
    label: str = "gate"
    command: Sequence[str] = ()
    verify: bool = True
    fail_inconclusive: bool = True
    saved: SavedArm | None = None
    explained: frozenset[str] = frozenset()
    notes: tuple[str, ...] = ()
    kept_variables: Mapping[str, str] = field(default_factory=dict)
    simulated_caches: str = ""

    @property
    def rounds(self) -> int:
        """Rounds of a session: no more than a saved baseline has values."""
        saved = self.saved.rounds if self.saved else 0
        return min(self.max_rounds, saved or self.max_rounds)
