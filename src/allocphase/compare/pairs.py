"""Which cells are held against which: of one run against its baseline's, or of two runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from allocphase.analysis.baseline import default_baseline
from allocphase.analysis.comparable import Replayed, holds, refuse_changed_scenarios
from allocphase.analysis.frames import Run
from allocphase.analysis.lost import first_broken, lost_line, message_of
from allocphase.analysis.measures import Measure
from allocphase.errors import NothingMeasuredError, UsageError, unknown
from allocphase.machine.fingerprint import TIME_FACTS, differences, machine_facts
from allocphase.store.record import ProcessRecord

__all__ = ["Cell", "CellPair", "Pairs", "between_runs", "lost_cells", "within_run"]


@dataclass(frozen=True, slots=True)
class Cell:
    """One allocator on one scenario in one run."""

    run: Run
    allocator: str
    scenario: str

    @property
    def records(self) -> list[ProcessRecord]:
        """Its processes, in order of finishing."""
        return self.run.records_of(self.allocator, self.scenario)

    @property
    def is_broken(self) -> bool:
        """Whether its allocator did what none must, in any process."""
        return first_broken(self.records) is not None

    @property
    def is_program(self) -> bool:
        """Whether the scenario is one, and has no trace."""
        return self.scenario in self.run.programs


@dataclass(frozen=True, slots=True)
class CellPair:
    """Two cells of one scenario; the candidate's allocator names the row."""

    base: Cell
    candidate: Cell


@dataclass(frozen=True, slots=True)
class Pairs:
    """The pairs, what they are compared with, and the notes that go with them.

    differing: the facts of the machine in which the runs differ, a line a fact.
    """

    against: str
    pairs: tuple[CellPair, ...]
    notes: tuple[str, ...]
    counts_only: bool
    differing: Mapping[str, str] = field(default_factory=dict)

    def holds(self, one: Measure) -> bool:
        """Whether a difference in it may be the cells': no quick run's time, and nothing that
        depends on what differs between the machines.
        """
        return holds(one, self.differing) and not (one.timed and self.counts_only)


def within_run(run: Run, baseline: str | None) -> Pairs:
    """Every other allocator against `baseline`, scenario by scenario."""
    if baseline is not None and baseline not in run.allocators:
        raise UsageError(unknown("allocator", baseline, run.allocators))
    chosen = baseline or default_baseline(run.allocators)
    others = [name for name in run.allocators if name != chosen]
    if chosen is None or not others:
        raise NothingMeasuredError(f"{run.path}: there are no two allocators in it to compare")
    pairs = [
        CellPair(Cell(run, chosen, scenario), Cell(run, other, scenario))
        for scenario in run.scenarios
        for other in others
    ]
    quick = _quick([run])
    notes = (*quick, *_lost_notes(pairs))
    return Pairs(chosen, tuple(pairs), notes, counts_only=bool(quick))


def between_runs(before: Run, after: Run, baseline: str | None) -> Pairs:
    """The cells that both runs have, those of `before` as the baseline."""
    if baseline is not None:
        raise UsageError("--baseline chooses among the allocators of one run, not of two")
    refuse_changed_scenarios(_replayed(before), _replayed(after))
    names = [name for name in after.allocators if name in before.allocators]
    pairs = [
        CellPair(Cell(before, name, scenario), Cell(after, name, scenario))
        for scenario in after.scenarios
        for name in names
        if scenario in before.scenarios
    ]
    if not pairs:
        raise NothingMeasuredError(f"{before.path} and {after.path} have no cell in common")
    notes = _quick([before, after])
    counts_only, differing = bool(notes), differences(_facts(before), _facts(after))
    if not counts_only and not differing.keys() & set(TIME_FACTS):
        notes.append(
            "two sessions: what changed on the machine between them is in these ratios; "
            "`allocphase gate` measures both sides together"
        )
    notes += [*_lonely(before, after), *_lost_notes(pairs)]
    return Pairs(str(before.path), tuple(pairs), tuple(notes), counts_only, differing)


def lost_cells(pairs: Sequence[CellPair]) -> dict[Cell, str]:
    """Of each cell with a process that did not end well a line of the first one that is broken, or
    else of the first one; with its run where they are of two.
    """
    cells = dict.fromkeys(cell for pair in pairs for cell in (pair.base, pair.candidate))
    names_run = len({cell.run.path for cell in cells}) > 1
    return {
        cell: f"{cell.run.path}: {line}" if names_run else line
        for cell in cells
        if (line := _lost_line(cell))
    }


def _lost_line(cell: Cell) -> str:
    records = cell.records
    bad = first_broken(records) or next((record for record in records if not record.ok), None)
    if bad is None:
        return ""
    return lost_line(bad.status, cell.allocator, cell.scenario, message_of(bad, records))


def _lost_notes(pairs: Sequence[CellPair]) -> list[str]:
    """Those lines, and what a candidate that is broken is never called."""
    broken = {pair.candidate for pair in pairs if pair.candidate.is_broken}
    return [
        f"{line.rstrip('.')}; so it is neither improved nor unchanged" if cell in broken else line
        for cell, line in lost_cells(pairs).items()
    ]


def _replayed(run: Run) -> dict[str, Replayed]:
    return {entry.name: Replayed(entry.digest, entry.work_ns) for entry in run.manifest.scenarios}


def _quick(runs: Sequence[Run]) -> list[str]:
    return [
        f"{run.path}: a quick run: its times are a first look, only counts are compared"
        for run in runs
        if run.manifest.plan.quick
    ]


def _facts(run: Run) -> dict[str, Any]:
    return machine_facts(run.manifest.environment, driver=run.manifest.driver_sha256)


def _lonely(before: Run, after: Run) -> list[str]:
    """A cell that went away must not pass for one that is unchanged."""
    cells = [{(a, s) for a in run.allocators for s in run.scenarios} for run in (before, after)]
    lonely = sorted(cells[0] ^ cells[1])
    return [f"in one run only: {', '.join(f'{a} on {s}' for a, s in lonely)}"] if lonely else []
