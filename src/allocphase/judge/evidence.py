"""The values of the arms, round by round, out of the records of one session.

A round without a good process of an arm has NaN there. A saved baseline stands in for an arm
that was measured another day: its values take the place of the rounds'.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from allocphase.analysis.measures import CALL_PREFIX, CALL_PREFIXES, PROGRAM_CALL_PREFIX, Measure
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.probe.probe import Probe
from allocphase.probe.result import Instructions, ProgramSyscalls, Syscalls, Throughput
from allocphase.stats import matched
from allocphase.stats.values import FloatArray
from allocphase.store.record import ProcessRecord, rounds_of

__all__ = ["BASELINE", "CANDIDATE", "TWIN", "Evidence", "Saved", "Values"]

# The arms' names in a run directory.
BASELINE, TWIN, CANDIDATE = "baseline", "twin", "candidate"
_ARMS = (BASELINE, TWIN, CANDIDATE)

# What the passes of arms that take turns give.
_TURNS = "time"

# Saved values by (metric, scenario), in base units.
Saved = Mapping[tuple[str, str], Sequence[float]]

Cell = tuple[str, str, str]  # allocator, scenario, probe
Place = tuple[int, int]  # round, and which of its processes


@dataclass(frozen=True, slots=True, eq=False)
class Values:
    """One row's values: each of shape (processes,), in the measure's unit, NaN where missing.

    What stands at one place was measured together: in one round, or as the same one of several
    processes that count.
    """

    base: FloatArray
    twin: FloatArray
    candidate: FloatArray

    @property
    def has_twin(self) -> bool:
        """Whether a copy of the baseline was measured beside it."""
        return bool(np.isfinite(self.twin).any())

    @property
    def measured(self) -> tuple[FloatArray, ...]:
        """The arms that there are."""
        twin = (self.twin,) if self.has_twin else ()
        return (self.base, *twin, self.candidate)

    def first(self, size: int) -> Values:
        """At most so many processes of each arm."""
        return Values(self.base[:size], self.twin[:size], self.candidate[:size])


@dataclass(slots=True)
class Evidence:
    """What a session has measured so far. `processes` reads its files, for latencies only.

    A process that was repeated stands for the one before it.
    """

    saved: Saved | None = None
    processes: ProcessMetrics = field(default_factory=ProcessMetrics)
    _cells: dict[Cell, dict[Place, ProcessRecord]] = field(default_factory=dict)

    @property
    def records(self) -> list[ProcessRecord]:
        """Those that count, cell by cell."""
        return [record for places in self._cells.values() for record in places.values()]

    def add(self, records: Iterable[ProcessRecord]) -> None:
        """Takes the records of a round, whose samples are on disk."""
        for record in records:
            cell = (record.allocator, record.scenario, record.probe)
            self._cells.setdefault(cell, {})[record.round, record.repeat] = record

    @property
    def rounds(self) -> int:
        """How many rounds have begun."""
        return rounds_of(self.records)

    def values(self, measure: Measure, scenario: str) -> Values:
        """One row's values."""
        arms = [self._arm(measure, scenario, arm) for arm in _ARMS]
        if measure.name == _TURNS:
            self._match(scenario, arms)
        places = sorted(set().union(*arms))
        base, twin, candidate = (
            np.array([arm.get(place, math.nan) for place in places]) for arm in arms
        )
        if self.saved is not None:
            base = self._saved(measure, scenario)
            size = max(base.size, candidate.size)
            base, twin, candidate = (_filled(arm, size) for arm in (base, twin, candidate))
        return Values(base, twin, candidate)

    def calls(self, scenario: str) -> list[str]:
        """The metrics of the system calls that any arm made, in operation or as a program, sorted:
        "syscalls.mmap".
        """
        names: set[str] = set()
        for arm in _ARMS:
            for record in self._good(arm, scenario, Probe.SYSCALLS):
                names.update(CALL_PREFIX + call for call in record.part(Syscalls).operation or {})
            for record in self._good(arm, scenario, Probe.PROGRAM_SYSCALLS):
                calls = record.part(ProgramSyscalls).calls or {}
                names.update(PROGRAM_CALL_PREFIX + call for call in calls)
        for metric, where in self.saved or {}:
            if where == scenario and metric.startswith(CALL_PREFIXES):
                names.add(metric)
        return sorted(names)

    def kinds(self, scenario: str) -> list[str]:
        """The metrics of the kinds of call whose instructions any arm counted, sorted:
        "instructions.malloc".
        """
        return sorted(
            f"{Probe.INSTRUCTIONS}.{kind}"
            for kind in {
                kind
                for arm in _ARMS
                for record in self._good(arm, scenario, Probe.INSTRUCTIONS)
                for kind in record.part(Instructions).counted
            }
        )

    def uncounted(self, scenario: str) -> str:
        """Why nobody could count a program's system calls, where no arm's processes could, and no
        saved baseline's; else "".
        """
        arms = (self._good(arm, scenario, Probe.PROGRAM_SYSCALLS) for arm in _ARMS)
        records = [record for found in arms for record in found]
        was_saved = ("program_syscalls", scenario) in (self.saved or {})
        if was_saved or any(r.part(ProgramSyscalls).calls is not None for r in records):
            return ""
        return next((why for r in records if (why := r.result.lacking("system calls"))), "")

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

    def clock_step_ns(self, scenario: str) -> float:
        """The coarsest clock of the scenario's latency processes; NaN without any."""
        arms = (self._good(arm, scenario, Probe.LATENCY) for arm in (BASELINE, CANDIDATE))
        return max((r.clock.step_ns for records in arms for r in records), default=math.nan)

    def _good(self, arm: str, scenario: str, probe: Probe) -> list[ProcessRecord]:
        places = self._cells.get((arm, scenario, probe), {})
        return [record for record in places.values() if record.ok]

    def _arm(self, measure: Measure, scenario: str, arm: str) -> dict[Place, float]:
        """A time of nothing has no logarithm; a clock that gave one gave no figure."""
        found = {}
        for record in self._good(arm, scenario, measure.probe):
            value = measure.read(self.processes.of(record))
            given = value > 0.0 if measure.timed else True
            found[record.round, record.repeat] = value if given else math.nan
        return found

    def _match(self, scenario: str, arms: Sequence[dict[Place, float]]) -> None:
        """Where arms took turns, as if all had met with the same machine (`stats.matched`)."""
        cells = [self._cells.get((arm, scenario, Probe.THROUGHPUT), {}) for arm in _ARMS]
        for place in set().union(*arms):
            there = [at for at, values in enumerate(arms) if values.get(place, math.nan) > 0.0]
            passes = [cells[at][place].part(Throughput) for at in there]
            if len(there) > 1 and all(one.turns for one in passes):
                for at, value in zip(
                    there, matched([one.warm_ns_per_op for one in passes]), strict=True
                ):
                    arms[at][place] = float(value)

    def _saved(self, measure: Measure, scenario: str) -> FloatArray:
        assert self.saved is not None
        kept = list(self.saved.get((measure.name, scenario), ()))
        if not kept and measure.name.startswith(CALL_PREFIXES):
            total = measure.name.partition(".")[0]
            kept = [0.0] * len(self.saved.get((total, scenario), ()))
        return np.array(kept, dtype=np.float64)


def _filled(values: FloatArray, size: int) -> FloatArray:
    """NaN where an arm has fewer."""
    return np.concatenate([values, np.full(size - values.size, math.nan)])
