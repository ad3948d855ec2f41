"""All that a report shows of one run, or of two side by side: read once, shared by every part.

An arm is an allocator of a run. A report of one run has an arm an allocator, under its name; a
report of two has both runs' arms, and their names say which run they are of.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property

import numpy as np
import numpy.typing as npt

from allocphase.analysis.baseline import Times, default_baseline
from allocphase.analysis.cell import Cell
from allocphase.analysis.frames import Run
from allocphase.analysis.latency import Latencies, Replay
from allocphase.analysis.measures import Measure
from allocphase.probe.probe import Probe
from allocphase.report.content.compared import Compared, Count, counted_value, values_by_round
from allocphase.report.content.curves import Curve, curves
from allocphase.report.content.doubts import Doubt, doubts
from allocphase.report.content.palette import Look, looks
from allocphase.report.content.points import Points, cell_points, points_per_cell
from allocphase.report.content.ratios import Ratio, both_mostly_replay, ratio
from allocphase.store.manifest import ScenarioEntry

__all__ = ["Arm", "Source"]

DOTS = (2.0, 2.0)
# The metrics that a cell is ranked by: of a trace and of a program.
TIMES = ("time", "wall")


@dataclass(frozen=True, slots=True)
class Arm:
    """`name` is what the report calls it."""

    name: str
    allocator: str
    run: Run


class Source:
    """One report's data; everything is computed at its first use and kept."""

    def __init__(
        self,
        arms: Sequence[Arm],
        *,
        run: Run,
        scenarios: Sequence[str],
        notes: Sequence[str] = (),
    ) -> None:
        """`scenarios`: those that every arm's run has; `notes`: doubts about the whole report."""
        self.run = run
        self.scenarios = list(scenarios)
        self.notes = list(notes)
        self.arms = {arm.name: arm for arm in arms}
        self.names = [arm.name for arm in arms]
        self._points: dict[tuple[str, str], Points] = {}
        self._curves: dict[tuple[str, str], dict[str, Curve]] = {}
        self._compared: dict[tuple[str, str], Compared] = {}

    @classmethod
    def of(cls, run: Run) -> Source:
        """One run."""
        arms = [Arm(name, name, run) for name in run.allocators]
        return cls(arms, run=run, scenarios=run.scenarios, notes=run.files.notes())

    @property
    def runs(self) -> list[Run]:
        """One, or the two that are compared."""
        return list({id(arm.run): arm.run for arm in self.arms.values()}.values()) or [self.run]

    def entry(self, scenario: str) -> ScenarioEntry:
        """What the run says of a scenario."""
        return next(e for e in self.run.manifest.scenarios if e.name == scenario)

    @property
    def traced(self) -> list[str]:
        """The scenarios that have a trace: the others are programs."""
        return [name for name in self.scenarios if self.entry(name).program is None]

    @property
    def programs(self) -> list[str]:
        """The scenarios that are a program, run whole."""
        return [name for name in self.scenarios if self.entry(name).program is not None]

    @cached_property
    def looks(self) -> dict[str, Look]:
        """The look of each arm; with two runs, solid lines are the first's, dotted the second's."""
        by_allocator = looks(arm.allocator for arm in self.arms.values())
        if len(self.runs) == 1:
            return {arm.name: by_allocator[arm.allocator] for arm in self.arms.values()}
        return {
            arm.name: replace(by_allocator[arm.allocator], dash=() if arm.run is self.run else DOTS)
            for arm in self.arms.values()
        }

    @cached_property
    def baseline(self) -> str | None:
        """What ratios are to, until the reader chooses another."""
        chosen = default_baseline([arm.allocator for arm in self.arms.values()])
        return next((arm.name for arm in self.arms.values() if arm.allocator == chosen), None)

    @cached_property
    def _cells(self) -> dict[tuple[str, str], Cell]:
        runs = {id(arm.run): arm.run for arm in self.arms.values()}
        found = {(key, c.allocator, c.scenario): c for key, r in runs.items() for c in r.cell_list}
        return {
            (arm.name, s): replace(found[id(arm.run), arm.allocator, s], allocator=arm.name)
            for arm in self.arms.values()
            for s in self.scenarios
            if (id(arm.run), arm.allocator, s) in found  # the plan may leave slow ones out
        }

    def names_on(self, scenario: str) -> list[str]:
        """The arms whose plan has a cell on this scenario."""
        return [name for name in self.names if (name, scenario) in self._cells]

    def cells(self, scenario: str) -> list[Cell]:
        """The arms' cells of one scenario, in the order of the arms; `allocator` is the arm."""
        return [c for (_, s), c in self._cells.items() if s == scenario]

    @property
    def all_cells(self) -> list[Cell]:
        """Every cell."""
        return list(self._cells.values())

    def floor_ns(self, scenario: str) -> float | None:
        """The floor's time per op; the first run's where there are two."""
        floors = (cell.metrics.get("floor_ns") for cell in self.cells(scenario))
        return next((float(value) for value in floors if value), None)

    def replay_share(self, name: str, scenario: str) -> float | None:
        """Of an arm's time per op, what the replay takes; None where either is not known."""
        cell = self._cells.get((name, scenario))
        return None if cell is None else cell.metrics.get("replay_share")

    def clock_ns(self, scenario: str) -> float | None:
        """What reading the clock costs in a latency."""
        return self._of_clock(scenario, "clock_floor_ns")

    def clock_step_ns(self, scenario: str) -> float | None:
        """The steps in which the clock moves."""
        return self._of_clock(scenario, "clock_step_ns")

    def _of_clock(self, scenario: str, metric: str) -> float | None:
        values = (cell.metrics.get(metric) for cell in self.cells(scenario))
        return next((float(value) for value in values if value), None)

    def doubts(self, scenario: str) -> list[Doubt]:
        """The warnings of one scenario's cells."""
        return doubts(self.cells(scenario))

    @cached_property
    def times(self) -> dict[tuple[str, str], Times]:
        """ns per op by round of each (arm, scenario); absent where there is none."""
        by_run = {id(arm.run): arm.run.times for arm in self.arms.values()}
        rounds = max((t.size for times in by_run.values() for t in times.values()), default=0)
        return {
            (arm.name, s): _padded(times, rounds)
            for arm in self.arms.values()
            for s in self.scenarios
            if (times := by_run[id(arm.run)].get((arm.allocator, s))) is not None
        }

    def ratio(self, name: str, scenario: str, baseline: str | None = None) -> Ratio | None:
        """Time over the baseline's (the default one's, unless another is given)."""
        arms = (baseline or self.baseline or "", name)
        base, candidate = (self.times.get((arm, scenario)) for arm in arms)
        base_share, share = (self.replay_share(arm, scenario) for arm in arms)
        return ratio(base, candidate, mostly_replay=both_mostly_replay(base_share, share))

    def ratios(self, scenario: str) -> dict[str, Ratio | None]:
        """By arm, to the default baseline."""
        return {name: self.ratio(name, scenario) for name in self.names}

    def compared(self, scenario: str, one: Measure) -> Compared:
        """One metric of all arms; `one` is no family."""
        key = (scenario, one.name)
        if key not in self._compared:
            cells = ((cell.allocator, self._values(cell, one)) for cell in self.cells(scenario))
            self._compared[key] = Compared(one, {arm: v for arm, v in cells if v is not None})
        return self._compared[key]

    def _values(self, cell: Cell, one: Measure) -> Times | Count | None:
        if one.name in TIMES:
            return self.times.get((cell.allocator, cell.scenario))
        arm = self.arms[cell.allocator]
        if not one.timed:
            return counted_value(arm.run, arm.allocator, cell, one)
        found = values_by_round(arm.run, arm.allocator, cell.scenario, one)
        return None if found is None else _padded(found, self._rounds)

    @cached_property
    def _rounds(self) -> int:
        return max((1 + record.round for run in self.runs for record in run.records), default=0)

    def points(self, name: str, scenario: str) -> Points:
        """The operations that a timeline draws, of a cell that there is."""
        key = (name, scenario)
        if key not in self._points:
            arm, limit = self.arms[name], points_per_cell(len(self._cells))
            self._points[key] = cell_points(arm.run, arm.allocator, scenario, limit=limit)
        return self._points[key]

    def latencies(self, name: str, scenario: str, which: Replay = Replay.WARM) -> Latencies:
        """The latencies of a cell, by kind and by cause."""
        arm = self.arms[name]
        return arm.run.latencies(arm.allocator, scenario, which)

    def curves(self, name: str, scenario: str) -> dict[str, Curve]:
        """The latency distributions by kind of operation."""
        key = (name, scenario)
        if key not in self._curves:
            arm = self.arms[name]
            self._curves[key] = curves(arm.run, arm.allocator, scenario)
        return self._curves[key]

    def resident(self, name: str, scenario: str) -> npt.NDArray[np.void] | None:
        """What was resident of a program's processes together (probe.arrays.LOOK), in the first
        process that was looked at; None where nobody looked.
        """
        arm = self.arms[name]
        first = arm.run.first(arm.allocator, scenario, Probe.PROGRAM_MEMORY)
        found = first[1].get("tree") if first else None
        return found if found is not None and found.size else None

    def checkpoints(self, name: str, scenario: str) -> npt.NDArray[np.void] | None:
        """Memory over op time (probe.arrays.CHECKPOINT); None where it was not measured."""
        arm = self.arms[name]
        first = arm.run.first(arm.allocator, scenario, Probe.FOOTPRINT)
        points = first[1].get("checkpoints") if first else None
        return points if points is not None and points.size else None


def _padded(times: Times, rounds: int) -> Times:
    return np.concatenate([times, np.full(rounds - times.size, np.nan)])
