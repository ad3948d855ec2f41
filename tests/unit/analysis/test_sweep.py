"""Sweeps, as they are found among the scenarios of a run."""

from __future__ import annotations

from pathlib import Path

from allocphase.analysis.frames import load
from allocphase.analysis.sweep import sweeps
from allocphase.probe.probe import Probe
from allocphase.run.session import run
from allocphase.scenario import resolve
from tests.support.runs import FakeExecutor, no_progress, request_of


def found(folder: Path, *specs: str) -> list[tuple[str, str, tuple[float, ...], tuple[str, ...]]]:
    """Base, parameter, values and scenarios of each sweep of a run of these."""
    scenarios = [chosen for spec in specs for chosen in resolve(spec)]
    request = request_of(folder, scenarios=scenarios, probes=[Probe.THROUGHPUT], rounds=1)
    loaded = load(run(request, FakeExecutor(), progress=no_progress))
    return [(one.base, one.parameter, one.values, one.scenarios) for one in sweeps(loaded)]


def test_scenarios_that_differ_in_one_number_are_a_sweep(tmp_path: Path) -> None:
    names = tuple(f"phase-report?allocations={count}" for count in (20, 30))
    assert found(tmp_path, "phase-report?allocations=30,20", "growth?live=10") == [
        ("phase-report", "allocations", (20.0, 30.0), names)
    ]


def test_work_between_calls_is_none_that_time_grows_with(tmp_path: Path) -> None:
    assert found(tmp_path, "phase-report?allocations=20&work_ns=0,25,75") == []


def test_each_work_has_a_sweep_of_its_own(tmp_path: Path) -> None:
    swept = found(tmp_path, "phase-report?allocations=20,30&work_ns=0,25")
    assert [(parameter, values) for _, parameter, values, _ in swept] == [
        ("allocations", (20.0, 30.0))
    ] * 2
    assert [{name.partition("work_ns=")[2] for name in names} for *_, names in swept] == [
        {"0"},
        {"25"},
    ]
