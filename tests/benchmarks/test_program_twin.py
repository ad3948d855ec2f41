"""A/A of programs: libc against itself, paired by round: does the interval hold 1, and how wide is
it? Of 95% intervals one in twenty does not, so none is asserted.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import allocator
from allocphase.compare import CompareRow, CompareSettings, compare_runs
from allocphase.probe.probe import Probe
from allocphase.process.driver import DriverExecutor
from allocphase.process.program import ProgramExecutor
from allocphase.process.watched import WatchingExecutor
from allocphase.run.request import Request
from allocphase.run.session import run
from tests.benchmarks.conftest import Say
from tests.benchmarks.test_program_matrix import FASTEST, installed_programs
from tests.support.gates import no_progress

METRICS = ("wall", "cpu")


def holds_1(row: CompareRow) -> bool:
    return row.ratio.lower <= 1.0 <= row.ratio.upper


def told(row: CompareRow) -> str:
    if not row.ratio.bounded:
        return f"{row.scenario:24} {row.metric:5} {row.ratio.estimate:.4f}: too few rounds"
    half_width = (row.ratio.upper - row.ratio.lower) / 2
    verdict = "holds 1" if holds_1(row) else "does NOT hold 1"
    return (
        f"{row.scenario:24} {row.metric:5} {row.ratio.estimate:.4f}, 95% interval "
        f"{row.ratio.lower:.4f} to {row.ratio.upper:.4f}: {verdict}, half width {half_width:.2%}"
    )


def test_libc_against_itself_on_every_program(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    programs = [one for one in installed_programs() if full or one.name == FASTEST]
    (libc,) = allocator.resolve("libc")
    rows: list[CompareRow] = []

    def measure() -> None:
        for program in programs:
            request = Request(
                allocators=[libc, replace(libc, name="twin")],
                scenarios=[program],
                probes=[Probe.PROGRAM],
                rounds=20 if full else 2,
                out=tmp_path,
                label=program.name,
                command=["allocphase"],
            )
            executor = WatchingExecutor(ProgramExecutor(DriverExecutor()))
            path = run(request, executor, progress=no_progress)
            settings = CompareSettings(baseline="libc", metrics=METRICS)
            for row in compare_runs([path], settings).rows:
                rows.append(row)
                say(told(row))

    benchmark.pedantic(measure, rounds=1, iterations=1)
    bounded = [row for row in rows if row.ratio.bounded]
    held = sum(holds_1(row) for row in bounded)
    say(f"{held} of {len(bounded)} intervals hold 1; {len(rows) - len(bounded)} have no bounds")
    benchmark.extra_info["held"] = f"{held} of {len(bounded)}"
    assert [(row.scenario, row.metric) for row in rows] == [
        (program.name, metric) for program in programs for metric in METRICS
    ]
    assert all(np.isfinite(row.ratio.estimate) for row in rows)
