"""The metrics of one process: those of a cell that has no other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt

from allocphase.analysis.measures import Measure
from allocphase.analysis.metrics import Metrics, cell_metrics
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.stats.values import FloatArray
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord

__all__ = ["ProcessMetrics"]

Kinds = npt.NDArray[np.uint8]


@dataclass(slots=True)
class ProcessMetrics:
    """What each process of one run says by itself, computed once.

    files: the run's, read for latencies only; without it there are none. No causes: they take more
    than one process.
    """

    files: RunFiles | None = None
    _found: dict[int, Metrics] = field(default_factory=dict)
    # Of the last scenario that was asked for, with its name: they are long.
    _kinds: tuple[str, Kinds] = ("", np.empty(0, np.uint8))

    def of(self, record: ProcessRecord) -> Metrics:
        """By the names of `--json`; empty where the process failed or measured nothing."""
        if record.id not in self._found:
            self._found[record.id] = self._metrics(record)
        return self._found[record.id]

    def by_round(
        self, records: Iterable[ProcessRecord], one: Measure, *, rounds: int
    ) -> FloatArray:
        """A timed metric of one cell's processes, shape (rounds,), NaN where there is none.

        A time of nothing has no logarithm; a clock that gave one gave no figure.
        """
        values = np.full(rounds, np.nan)
        for record in records:
            if record.probe is one.probe and record.ok:
                values[record.round] = one.read(self.of(record))
        return np.where(values > 0.0, values, np.nan)

    def every(self, records: Iterable[ProcessRecord], one: Measure) -> FloatArray:
        """A counted metric of each of one cell's processes that has it, in the journal's order."""
        good = (record for record in records if record.probe is one.probe and record.ok)
        values = np.array([one.read(self.of(record)) for record in good], dtype=np.float64)
        return values[~np.isnan(values)]

    def _metrics(self, record: ProcessRecord) -> Metrics:
        if record.probe is not Probe.LATENCY:
            return cell_metrics([record], _no_samples, np.empty(0, np.uint8))
        if self.files is None:
            return {}
        if self._kinds[0] != record.scenario:
            self._kinds = (record.scenario, self.files.operations(record.scenario)["kind"])
        return cell_metrics([record], self.files.samples, self._kinds[1])


def _no_samples(_: int) -> Arrays:
    return {}
