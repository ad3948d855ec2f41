"""The values of the arms, round by round, out of the records of one session.

A round without a good process of an arm has NaN there. A saved baseline stands in for an arm
that was measured another day: its values take the place of the rounds'.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from allocphase.analysis.measures import CALL_PREFIX, Measure
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.probe.probe import Probe
from allocphase.probe.result import Syscalls
from allocphase.stats.values import FloatArray
from allocphase.store.record import ProcessRecord, rounds_of

__all__ = ["BASELINE", "CANDIDATE", "TWIN", "Evidence", "Saved", "Values"]

# The arms' names in a run directory.
BASELINE, TWIN, CANDIDATE = "baseline", "twin", "candidate"

# Saved values by (metric, scenario), in base units.
Saved = Mapping[tuple[str, str], Sequence[float]]

Cell = tuple[str, str, str]  # allocator, scenario, probe


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """One row's values: each of shape (rounds,), in the measure's unit, NaN where missing."""

    base: FloatArray
    twin: FloatArray
    candidate: FloatArray

    @property
    def has_twin(self) -> bool:
        """Whether a copy of the baseline was measured beside it."""
        return bool(np.isfinite(self.twin).any())


@dataclass(slots=True)
class Evidence:
    """What a session has measured so far. `processes` reads its files, for latencies only."""

    saved: Saved | None = None
    processes: ProcessMetrics = field(default_factory=ProcessMetrics)
    records: list[ProcessRecord] = field(default_factory=list)
    _good: dict[Cell, list[ProcessRecord]] = field(default_factory=dict)

    def add(self, records: Iterable[ProcessRecord]) -> None:
        """Takes the records of a round, whose samples are on disk."""
        for record in records:
            self.records.append(record)
            if record.ok:
                cell = (record.allocator, record.scenario, record.probe)
                self._good.setdefault(cell, []).append(record)

    @property
    def rounds(self) -> int:
        """How many rounds have begun."""
        return rounds_of(self.records)

    def values(self, measure: Measure, scenario: str) -> Values:
        """One row's values."""
        base = self._arm(measure, scenario, BASELINE)
        if self.saved is not None:
            base = self._saved(measure, scenario)
        twin, candidate = (self._arm(measure, scenario, arm) for arm in (TWIN, CANDIDATE))
        return Values(base, twin, candidate)

    def calls(self, scenario: str) -> list[str]:
        """The system calls that any arm made in operation, by name, sorted."""
        names: set[str] = set()
        for arm in (BASELINE, TWIN, CANDIDATE):
            for record in self._good.get((arm, scenario, Probe.SYSCALLS), ()):
                names.update(record.part(Syscalls).operation or {})
        for metric, where in self.saved or {}:
            if where == scenario and metric.startswith(CALL_PREFIX):
                names.add(metric.removeprefix(CALL_PREFIX))
        return sorted(names)

    def failures(self) -> list[ProcessRecord]:
        """The first process of each arm and scenario that did not end well.

        Whether the baseline is correct is not the question: only the candidate must be.
        """
        found: dict[tuple[str, str], ProcessRecord] = {}
        for record in self.records:
            excused = record.probe == Probe.VERIFY and record.allocator != CANDIDATE
            if not record.ok and not excused:
                found.setdefault((record.allocator, record.scenario), record)
        return list(found.values())

    def _arm(self, measure: Measure, scenario: str, arm: str) -> FloatArray:
        records = self._good.get((arm, scenario, measure.probe), ())
        return self.processes.by_round(records, measure, rounds=self.rounds)

    def _saved(self, measure: Measure, scenario: str) -> FloatArray:
        """As many as rounds for a timed measure, all of them for a count."""
        assert self.saved is not None
        kept = list(self.saved.get((measure.name, scenario), ()))
        if not kept and measure.name.startswith(CALL_PREFIX):
            kept = [0.0] * len(self.saved.get(("syscalls", scenario), ()))
        size = self.rounds if measure.timed else len(kept)
        values = np.full(size, np.nan)
        values[: len(kept)] = kept[:size]
        return values
