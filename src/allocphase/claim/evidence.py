"""The figures of a run that claims ask for; what is not there is said, never guessed."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.analysis.measures import Measure, value_at
from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import cell_metrics
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.analysis.warnings import cell_warnings
from allocphase.claim.clock import Clocked
from allocphase.claim.metric import Cell, Selector
from allocphase.claim.missing import Missing
from allocphase.errors import unknown
from allocphase.probe.probe import Probe
from allocphase.spec import found_arm, found_name
from allocphase.store.record import ProcessRecord, rounds_of

__all__ = ["Evidence"]

# Of the process's own clock: a pair of readings, and the least that two of them can differ by.
_COST, _STEP = measure("clock_floor_ns"), measure("clock_step_ns")

Floats = npt.NDArray[np.float64]


class Evidence:
    """A run as claims see it. Methods raise Missing; without a run, all of them do."""

    def __init__(self, run: Run | None) -> None:
        self._run = run
        self._processes = ProcessMetrics(None if run is None else run.files)
        self._cells: dict[tuple[str, str], Mapping[str, Any]] = {}

    @property
    def run(self) -> Run:
        """The run itself."""
        if self._run is None:
            raise Missing("there is no run")
        return self._run

    @cached_property
    def rounds(self) -> int:
        """How many rounds the run has, finished or not."""
        return rounds_of(self.run.records)

    def key(self, cell: Cell) -> tuple[str, str]:
        """The names that the run has for a cell: an allocator's without the settings that it was
        named with, a scenario's with its numbers as the run writes them (share=1.0 for share=1).
        """
        allocator, scenario = cell.key
        arms = {entry.name: entry.config for entry in self.run.manifest.allocators}
        return (
            found_arm(allocator, arms) or allocator,
            found_name(scenario, self.run.scenarios) or scenario,
        )

    @property
    def machine(self) -> str:
        """The processor's name, as the run has it."""
        return str(self.run.manifest.environment.get("cpu") or "this machine")

    def records(self, cell: Cell, probe: Probe) -> list[ProcessRecord]:
        """The good processes of one probe; a cell of which any process failed has none."""
        allocator, scenario = self.key(cell)
        found = self.run.records_of(allocator, scenario)
        bad = next((record for record in found if not record.ok), None)
        if bad is not None:
            raise Missing(f"{allocator} on {scenario}: {bad.probe}: {bad.status}: {bad.message}")
        chosen = [record for record in found if record.probe == probe]
        if not chosen:
            raise Missing(self._why_no(probe, allocator, scenario))
        return chosen

    def _why_no(self, probe: Probe, allocator: str, scenario: str) -> str:
        is_program = scenario in self.run.programs
        if scenario in self.run.scenarios and probe.of_programs != is_program:
            what, of = ("a program", "traces") if is_program else ("a trace", "programs")
            return f"{scenario} is {what}, and what the {probe} probe measures is of {of}"
        return f"the run has no {probe} probe of {allocator} on {scenario}"

    def counts(self, selector: Selector) -> Floats:
        """A counted figure, shape (processes,): what each process of its probe says, in the order
        of finishing. A figure that one of them lacks is no figure.
        """
        found = []
        for record in self.records(selector.cell, selector.probe):
            metrics = self._processes.of(record)
            value = selector.measure.read(metrics)
            if math.isnan(value):
                raise Missing(_why_not(selector, metrics))
            found.append(value)
        return np.array(found)

    def by_round(self, selector: Selector) -> Floats:
        """A timed figure, shape (rounds,): one process, one number; NaN where there is none."""
        return self._by_round(selector, selector.measure)

    def without_clock(self, selector: Selector) -> Clocked:
        """The same without what reading the clock costs, if the figure has it in it."""
        values = self.by_round(selector)
        name = f"{selector.metric} of {self.key(selector.cell)[0]}"
        if not selector.has_clock:
            return Clocked(name, values, np.zeros_like(values), np.zeros_like(values))
        cost_ns, step_ns = (self._by_round(selector, one) for one in (_COST, _STEP))
        return Clocked(name, values, cost_ns, step_ns)

    def _by_round(self, selector: Selector, one: Measure) -> Floats:
        values = np.full(self.rounds, np.nan)
        for record in self.records(selector.cell, selector.probe):
            value = self.of_process(record, one)
            if 0 < value < np.inf:
                values[record.round] = value
        if np.isnan(values).all():
            allocator, scenario = self.key(selector.cell)
            raise Missing(f"{allocator} on {scenario}: {one.path} has no value")
        return values

    def of_process(self, record: ProcessRecord, one: Measure) -> float:
        """What one process says of a metric; NaN where it says nothing."""
        return one.read(self._processes.of(record))

    def doubts(self, cells: Sequence[Cell]) -> tuple[str, ...]:
        """What a reader should know before believing the figures of these cells."""
        keys = dict.fromkeys(self.key(cell) for cell in cells)
        names = [allocator for allocator, _ in keys]
        lines: dict[str, None] = {}
        for allocator, scenario in keys:
            name = allocator if names.count(allocator) == 1 else f"{allocator} on {scenario}"
            records = self.run.records_of(allocator, scenario)
            metrics = self._metrics((allocator, scenario)) if records else {}
            ignored = self.run.manifest.ignored_settings(allocator)
            found = cell_warnings(records, metrics, ignored_settings=ignored)
            lines |= {f"{name}: {warning.text}": None for warning in found}
        return tuple(lines)

    def _metrics(self, key: tuple[str, str]) -> Mapping[str, Any]:
        """Of a whole cell; read once."""
        if key not in self._cells:
            latencies = self.run.latencies_by_replay(*key)
            self._cells[key] = cell_metrics(self.run.records_of(*key), latencies)
        return self._cells[key]


def _why_not(selector: Selector, metrics: Mapping[str, Any]) -> str:
    """Why a cell has no such figure, though its probe ran."""
    path = selector.metric
    if path.startswith("syscalls"):
        phase = ".".join(path.split(".")[:2])
        return f"{phase}: out of sight, of a preloaded malloc or on this machine"
    root = path.partition(".")[0]
    group = value_at(metrics, root)
    names = [f"{root}.{name}" for name in group] if isinstance(group, Mapping) else []
    allocator, scenario = selector.cell.key
    known = unknown("metric", path, names) if names else f"there is no {path}"
    return f"{allocator} on {scenario}: {known}"
