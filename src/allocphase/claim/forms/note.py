"""A figure that stands beside a claim's checks and decides nothing.

    allocator = "phase21"
    scenario = "phase-report?allocations=90000"
    metric = "allocator_stats.pool_misses"

Where a claim ends, say, or what it leaves out. `minus` or `to` make it a difference or a ratio, as
they do in `count` and in `ratio`. No verdict follows from it, nor from its absence.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import ClassVar

from allocphase.claim.evidence import Evidence
from allocphase.claim.fields import Fields
from allocphase.claim.finding import Check, Finding, Need
from allocphase.claim.forms.count import Count
from allocphase.claim.forms.ratio import Ratio
from allocphase.claim.metric import CELL_KEYS
from allocphase.claim.missing import Missing
from allocphase.claim.verdict import Verdict

__all__ = ["KEYS", "Note"]

KEYS = (*CELL_KEYS, "metric", "minus", "to")
# What every figure satisfies.
_ANY = {"at_least": 0}


@dataclass(frozen=True, slots=True)
class Note:
    """What `check` measures."""

    form: ClassVar[str] = "note"
    check: Check

    @classmethod
    def read(cls, fields: Fields, published: Mapping[str, float]) -> Note:
        """Raises UsageError."""
        if "minus" in fields and "to" in fields:
            raise fields.fail("minus / to", "a difference or a ratio, not both")
        reader = Ratio.read if "to" in fields else Count.read
        return cls(reader(Fields({**fields.table, **_ANY}, fields.where), published))

    @property
    def needs(self) -> tuple[Need, ...]:
        """Those of the check."""
        return tuple(self.check.needs)

    @property
    def subject(self) -> str:
        """The check's."""
        return self.check.subject

    @property
    def expected(self) -> str:
        """Nothing is claimed of it."""
        return ""

    def judge(self, evidence: Evidence) -> Finding:
        """Never Missing: a note that is not there is noted."""
        try:
            found = self.check.judge(evidence)
        except Missing as missing:
            return Finding(
                form=self.form,
                subject=self.subject,
                verdict=Verdict.NOTED,
                expected=self.expected,
                measured=f"not measured: {missing}",
            )
        return replace(found, form=self.form, verdict=Verdict.NOTED, expected=self.expected)
