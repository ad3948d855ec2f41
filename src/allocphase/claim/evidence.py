"""The figures of a run that claims ask for; what is not there is said, never guessed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cache, cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.analysis.metrics import cell_metrics, flatten
from allocphase.analysis.warnings import cell_warnings
from allocphase.claim.metric import Cell, Selector
from allocphase.errors import unknown
from allocphase.store.record import ProcessRecord

__all__ = ["Evidence", "Missing"]

Floats = npt.NDArray[np.float64]


class Missing(Exception):  # noqa: N818 (no error: a verdict)
    """A figure is not in the run; the message says why."""


class Evidence:
    """A run as claims see it. Methods raise Missing; without a run, all of them do."""

    def __init__(self, run: Run | None) -> None:
        self._run = run
        self._flat = cache(self._flat_metrics)
        self._of_process: dict[int, Mapping[str, Any]] = {}

    @property
    def run(self) -> Run:
        """The run itself."""
        if self._run is None:
            raise Missing("there is no run")
        return self._run

    @cached_property
    def rounds(self) -> int:
        """How many rounds the run has, finished or not."""
        return 1 + max((record.round for record in self.run.records), default=-1)

    @property
    def machine(self) -> str:
        """The processor's name, as the run has it."""
        return str(self.run.manifest.environment.get("cpu") or "this machine")

    def records(self, cell: Cell, probe: str) -> list[ProcessRecord]:
        """The good processes of one probe; a cell of which any process failed has none."""
        allocator, scenario = cell.key
        found = self.run.records_of(allocator, scenario)
        bad = next((record for record in found if not record.ok), None)
        if bad is not None:
            raise Missing(f"{allocator} on {scenario}: {bad.probe}: {bad.status}: {bad.message}")
        chosen = [record for record in found if record.probe == probe]
        if not chosen:
            raise Missing(f"the run has no {probe} probe of {allocator} on {scenario}")
        return chosen

    def count(self, selector: Selector) -> float:
        """An exact figure: what the one process of its probe says."""
        self.records(selector.cell, selector.probe)
        metrics = self._flat(selector.cell.key)
        path = selector.metric
        if selector.probe == "syscalls" and path.startswith("syscalls"):
            return _system_calls(metrics, path)
        if path in metrics and metrics[path] is not None:
            return float(metrics[path])
        group = path.partition(".")[0] + "."
        names = [name for name in metrics if name.startswith(group)]
        allocator, scenario = selector.cell.key
        known = unknown("metric", path, names) if names else f"there is no {path}"
        raise Missing(f"{allocator} on {scenario}: {known}")

    def by_round(self, selector: Selector) -> Floats:
        """A timed figure, shape (rounds,): one process, one number; NaN where there is none."""
        values = np.full(self.rounds, np.nan)
        for record in self.records(selector.cell, selector.probe):
            value = self.of_process(record).get(selector.metric)
            if value is not None and 0 < value < np.inf:
                values[record.round] = value
        if np.isnan(values).all():
            allocator, scenario = selector.cell.key
            raise Missing(f"{allocator} on {scenario}: {selector.metric} has no value")
        return values

    def of_process(self, record: ProcessRecord) -> Mapping[str, Any]:
        """The metrics that one process supports, with dots for levels."""
        if record.id not in self._of_process:
            self._of_process[record.id] = flatten(self._metrics(record.scenario, [record]))
        return self._of_process[record.id]

    def doubts(self, cells: Sequence[Cell]) -> tuple[str, ...]:
        """What a reader should know before believing the figures of these cells."""
        lines: dict[str, None] = {}
        for cell in dict.fromkeys(cells):
            records = self.run.records_of(*cell.key)
            metrics = self._metrics(cell.key[1], records) if records else {}
            found = cell_warnings(records, metrics)
            lines |= {f"{cell.key[0]}: {warning.text}": None for warning in found}
        return tuple(lines)

    def _flat_metrics(self, key: tuple[str, str]) -> Mapping[str, Any]:
        return flatten(self._metrics(key[1], self.run.records_of(*key)))

    def _metrics(self, scenario: str, records: Sequence[ProcessRecord]) -> dict[str, Any]:
        kinds = self.run.files.operations(scenario)["kind"]
        return cell_metrics(records, self.run.files.samples, kinds)


def _system_calls(metrics: Mapping[str, Any], path: str) -> float:
    """A call that never happened has no entry, and a phase that nobody sees is null."""
    phase = ".".join(path.split(".")[:2])
    if path == "syscalls_per_op" and path in metrics:
        return float(metrics[path])
    if metrics.get(phase, 0) is None or "syscalls_per_op" not in metrics:
        raise Missing(f"{phase}: out of sight, of a preloaded malloc or on this machine")
    if path != phase:
        return float(metrics.get(path, 0))
    return float(sum(value for name, value in metrics.items() if name.startswith(f"{phase}.")))
