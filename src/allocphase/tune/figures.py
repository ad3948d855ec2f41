"""The values of every arm, round by round, out of the records of a search.

A round has of each arm at most one process of each probe. What was measured in one round is paired.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from allocphase.analysis.measures import Measure
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.probe.probe import Probe
from allocphase.stats.values import FloatArray
from allocphase.store.record import ProcessRecord

__all__ = ["Figures"]


@dataclass(slots=True)
class Figures:
    """What a search has measured so far. `processes` reads its files, for latencies only."""

    processes: ProcessMetrics = field(default_factory=ProcessMetrics)
    _records: dict[tuple[str, Probe], dict[int, ProcessRecord]] = field(default_factory=dict)
    _failed: dict[str, ProcessRecord] = field(default_factory=dict)

    def add(self, records: Iterable[ProcessRecord]) -> None:
        """Takes the records of a round."""
        for record in records:
            self._records.setdefault((record.allocator, record.probe), {})[record.round] = record
            if not record.ok:
                self._failed.setdefault(record.allocator, record)

    def failure(self, arm: str) -> ProcessRecord | None:
        """Its first process that did not end well."""
        return self._failed.get(arm)

    def of(self, arm: str, measure: Measure, *, rounds: int) -> FloatArray:
        """One arm's values in the first `rounds`, shape (rounds,), NaN where there is none.

        A time of nothing has no logarithm; a clock that gave one gave no figure.
        """
        values = np.full(rounds, math.nan)
        for place, record in self._records.get((arm, measure.probe), {}).items():
            if record.ok and place < rounds:
                values[place] = measure.read(self.processes.of(record))
        return np.where(values > 0.0, values, math.nan) if measure.timed else values
