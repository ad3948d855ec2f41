"""The rows of a gate: which measure of which scenario is held against which rule."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

from allocphase.analysis.measures import MEASURES, Measure
from allocphase.analysis.metric_names import compared
from allocphase.judge.evidence import Evidence
from allocphase.judge.limits import Limits, Rule

__all__ = ["Row", "call_measures", "call_rows", "planned_rows", "row_id"]


def row_id(metric: str, scenario: str) -> str:
    """How a row is named on the command line and in every rendering: `time:random-churn`."""
    return f"{metric}:{scenario}"


@dataclass(frozen=True, slots=True)
class Row:
    """One row, before it is measured."""

    measure: Measure
    scenario: str
    rule: Rule

    @property
    def id(self) -> str:
        """See `row_id`."""
        return row_id(self.measure.name, self.scenario)


def planned_rows(
    scenarios: Sequence[str], limits: Limits, *, programs: Collection[str] = ()
) -> list[Row]:
    """Every row that the limits leave on, in the order of the scenarios. `programs`: which of these
    are: what there is of a trace is not of them, nor the reverse.
    """
    named = [compared(name) for name in limits.named_members()]
    return [
        Row(found, scenario, rule)
        for scenario in scenarios
        for found in (*MEASURES.values(), *named)
        if found.probe.of_programs == (scenario in programs)
        and (rule := limits.rule(found, scenario)) is not None
    ]


def call_measures(evidence: Evidence, scenario: str) -> list[Measure]:
    """The system calls that were seen, by name."""
    return [compared(name) for name in evidence.calls(scenario)]


def call_rows(evidence: Evidence, scenario: str, limits: Limits) -> list[Row]:
    """A row for each system call by name: which they are is known once they were made."""
    return [
        Row(one, scenario, rule)
        for one in call_measures(evidence, scenario)
        if (rule := limits.rule(one, scenario)) is not None
    ]
