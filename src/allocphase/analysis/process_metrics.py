"""The metrics of one process: those of a cell that has no other."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field, replace

import numpy as np

from allocphase.analysis.latency import (
    Replay,
    arrays_of,
    kinds_of,
    malloc_quantiles,
    pool,
    without_samples,
)
from allocphase.analysis.measures import Measure
from allocphase.analysis.metrics import Metrics, cell_metrics
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.stats.values import FloatArray
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord

__all__ = ["ProcessMetrics"]


@dataclass(slots=True)
class ProcessMetrics:
    """What each process of one run says by itself, computed once.

    files: the run's, read for latencies only; without it there are none. No causes: they take more
    than one process.
    """

    files: RunFiles | None = None
    _found: dict[int, Metrics] = field(default_factory=dict)
    # Of the last scenario that was asked for, with its name: they are long.
    _operations: tuple[str, Arrays] = ("", {})

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

    def condensed(self, record: ProcessRecord, arrays: Arrays) -> tuple[ProcessRecord, Arrays]:
        """What to keep of a process that has just run where its figures will do: of one of latency
        its steady quantiles and no arrays, of others all. Needs `files`.
        """
        if record.probe is not Probe.LATENCY or not record.ok:
            return record, arrays
        assert self.files is not None, "the kinds of operations are in the run's files"
        steady = kinds_of(self._operations_of(self.files, record.scenario), Replay.WARM)
        found = malloc_quantiles(record, arrays_of(arrays, Replay.WARM), steady)
        return replace(record, quantiles_ns=found), {}

    def _metrics(self, record: ProcessRecord) -> Metrics:
        if record.probe is not Probe.LATENCY or not record.ok:
            return cell_metrics([record])
        if not record.has_samples:
            return cell_metrics([record], without_samples(record.quantiles_ns))
        if self.files is None:
            return {}
        operations = self._operations_of(self.files, record.scenario)
        return cell_metrics([record], pool([record], self.files.samples, operations))

    def _operations_of(self, files: RunFiles, scenario: str) -> Arrays:
        if self._operations[0] != scenario:
            self._operations = (scenario, files.operations(scenario))
        return self._operations[1]
