"""Measures one cell with the runner, a round at a time, each process fresh.

Heavy: numpy, pandas and scipy come with it, so the fixture imports it when it is first called.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from allocphase.allocator import Allocator
from allocphase.analysis import frames
from allocphase.analysis.metrics import process_time_ns
from allocphase.errors import AllocphaseError, UsageError, unknown
from allocphase.files.typed import plain
from allocphase.probe.probe import PROGRAM_PROBES, Probe
from allocphase.process.driver import DriverExecutor, Executor
from allocphase.process.program import ProgramExecutor
from allocphase.process.watched import WatchingExecutor
from allocphase.pytest_plugin.baseline import DIGEST_KEY
from allocphase.pytest_plugin.cell import Cell
from allocphase.run.prepare import begin
from allocphase.run.request import Request, one_allocator, one_scenario
from allocphase.run.session import Session
from allocphase.scenario import AnyScenario, Program, ad_hoc
from allocphase.store.manifest import Manifest
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord

__all__ = ["Measurement", "Order", "request"]

ONE_EACH = "a cell has one: parametrize"
DEFAULT_PROBES = (Probe.THROUGHPUT, Probe.LATENCY, Probe.SYSCALLS, Probe.MEMORY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """What a test asked for, unchecked. `out`: the folder for the run directory.

    `scenario`, `program`: one of them; `belonging`: the program's name, env, cwd and stdin, None or
    empty where they were not given. `probes`: None for those that are usual. `recorded`: False
    where benchmarks are disabled: then one short round is enough, for the counts.
    """

    allocator: str
    scenario: str | None = None
    program: str | None = None
    belonging: Mapping[str, Any] = field(default_factory=dict)
    rounds: int
    probes: Sequence[str] | None
    timeout_s: float
    out: Path
    test: str
    recorded: bool


def request(order: Order) -> Request:
    """The run of one cell. Raises UsageError for what is no cell, or not installed."""
    if order.rounds < 1:
        raise UsageError(f"rounds must be at least 1, not {order.rounds}")
    chosen = _scenario(order)
    return Request(
        allocators=[_allocator(order.allocator)],
        scenarios=[chosen],
        probes=_probes(order.probes, chosen),
        rounds=order.rounds if order.recorded else 1,
        quick=not order.recorded,
        timeout_s=order.timeout_s,
        out=order.out,
        label="cell",
        command=["pytest", order.test],
        resumable=False,
    )


class Measurement:
    """One cell being measured. Raises AllocphaseError when it cannot be."""

    def __init__(self, wanted: Request, executor: Executor | None = None) -> None:
        self._allocator = wanted.allocators[0].name
        self._session = Session(
            begin(wanted),
            executor or WatchingExecutor(ProgramExecutor(DriverExecutor())),
            progress=_silent,
        )
        self.rounds = wanted.rounds
        self.durations_s: list[float] = []

    @property
    def scenario(self) -> str:
        """Its name in the run."""
        return self._manifest.scenarios[0].name

    @property
    def scenario_digest(self) -> str:
        """Two cells with equal digests replay the same operations, or run the same command."""
        return self._manifest.scenarios[0].digest

    def run_round(self) -> float:
        """Runs the next round; returns the seconds of its timed process: per operation, or of the
        whole program.

        Raises AllocphaseError with status and message of the first process that did not end well.
        """
        records = self._session.run_round(len(self.durations_s))
        own = [record for record in records if record.allocator == self._allocator]
        bad = next((record for record in own if not record.ok), None)
        if bad is not None:
            raise AllocphaseError(
                f"{bad.allocator} on {bad.scenario}: {bad.status}: {bad.probe}: {bad.message}"
            )
        self.durations_s.append(_duration_s(own))
        return self.durations_s[-1]

    def close(self) -> None:
        """Drops the trace; the run directory stays."""
        self._session.close()

    def cell(self) -> Cell:
        """What the rounds so far have come to."""
        (found,) = frames.load(self._session.path).cell_list
        return Cell(
            allocator=found.allocator,
            scenario=found.scenario,
            status=found.status.value,
            warnings=tuple(warning.text for warning in found.warnings),
            metrics=plain(found.metrics),
            durations_s=tuple(self.durations_s),
            path=self._session.path,
        )

    def extra_info(self, cell: Cell) -> dict[str, Any]:
        """What pytest-benchmark keeps beside the durations: the metrics, and what was measured."""
        subject = next(a for a in self._manifest.allocators if a.name == cell.allocator)
        return {
            "allocator": cell.allocator,
            "allocator_sha256": subject.sha256,
            "allocator_config": subject.config,
            "scenario": cell.scenario,
            DIGEST_KEY: self.scenario_digest,
            "warnings": list(cell.warnings),
            **cell.metrics,
        }

    @property
    def _manifest(self) -> Manifest:
        return RunFiles(self._session.path).manifest


def _allocator(spec: str) -> Allocator:
    chosen = one_allocator(spec, reason=ONE_EACH)
    if not chosen.correct:
        raise UsageError(f"allocator {spec!r} is the floor: each cell has its time as floor_ns")
    return chosen


def _scenario(order: Order) -> AnyScenario:
    """The scenario that is named, or the program. Raises UsageError."""
    given = [key for key, value in order.belonging.items() if value]
    if (order.scenario is None) == (order.program is None):
        raise UsageError("a cell has a scenario or program='COMMAND...', one of them")
    if order.scenario is not None:
        if given:
            raise UsageError(f"{given[0]} is for a program, and {order.scenario!r} is a scenario")
        found = one_scenario(order.scenario, reason=ONE_EACH)
        if isinstance(found, Program) and found.missing:
            raise UsageError(f"scenario {found.name}: {found.missing}")
        return found
    name, env, cwd, stdin = (order.belonging.get(key) for key in ("name", "env", "cwd", "stdin"))
    try:
        return ad_hoc(
            str(order.program),
            name=name,
            environment=[f"{key}={value}" for key, value in (env or {}).items()],
            folder=None if cwd is None else Path(cwd),
            stdin=None if stdin is None else Path(stdin),
        )
    except UsageError as error:  # it names what is wrong as a command line has it
        raise UsageError(str(error).removeprefix("--")) from None


def _probes(names: Sequence[str] | None, scenario: AnyScenario) -> list[Probe]:
    """Always with the timed one whose figures are those that pytest-benchmark records."""
    is_program = isinstance(scenario, Program)
    if names is None:
        return list(PROGRAM_PROBES if is_program else DEFAULT_PROBES)
    known = [probe.value for probe in Probe if probe.of_programs == is_program]
    for name in names:
        if name not in known:
            what = "program" if is_program else "trace"
            raise UsageError(unknown(f"probe of a {what}", name, known))
    wanted = {*names, *(each.value for each in _RECORDED)}
    return [probe for probe in Probe if probe.value in wanted and probe.value in known]


_RECORDED = (Probe.THROUGHPUT, Probe.PROGRAM)


def _duration_s(records: Sequence[ProcessRecord]) -> float:
    timed = next(record for record in records if record.probe in _RECORDED)
    return process_time_ns(timed) / 1e9


def _silent(*_: object) -> None:
    """pytest has the terminal."""
