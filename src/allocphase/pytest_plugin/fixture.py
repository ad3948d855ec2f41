"""The fixture `allocphase_cell`. Registered only where pytest-benchmark is active.

It asks for `benchmark` by name, so that --benchmark-only, --benchmark-skip and the rest see the
test as the benchmark that it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import pytest

from allocphase.errors import AllocphaseError, UsageError
from allocphase.pytest_plugin.baseline import DIGESTS
from allocphase.pytest_plugin.record import Benchmark, VirtualClock, record

if TYPE_CHECKING:
    from allocphase.pytest_plugin.cell import Cell
    from allocphase.pytest_plugin.measurement import Order

__all__ = ["CLOCK", "MeasureCell", "allocphase_cell"]

CLOCK = pytest.StashKey[VirtualClock]()


class MeasureCell(Protocol):
    """Measures an allocator on a scenario; both are named as for `allocphase run`.

    `program`: a command in the place of a scenario, written as for --program, with what belongs to
    it: `name` (what the scenario is called), `env`, `cwd`, `stdin`. `rounds`: processes of each
    timed probe; one, and short, where benchmarks are disabled. `probes`: what to measure; the one
    whose durations pytest-benchmark records always is, throughput or, of a program, program.
    `timeout_s`: of each process.

    Once a test, as `benchmark` itself. A cell that cannot be measured, or whose status is not ok,
    fails the test with its message.
    """

    def __call__(
        self,
        allocator: str,
        scenario: str | None = None,
        *,
        program: str | None = None,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        stdin: str | Path | None = None,
        rounds: int = 5,
        probes: Sequence[str] | None = None,
        timeout_s: float = 60.0,
    ) -> Cell: ...


@pytest.fixture
def allocphase_cell(
    request: pytest.FixtureRequest, benchmark: Benchmark, tmp_path: Path
) -> MeasureCell:
    """Measures one cell with allocphase and records it in pytest-benchmark."""
    orders: list[Order] = []

    def measure(
        allocator: str,
        scenario: str | None = None,
        *,
        program: str | None = None,
        name: str | None = None,
        env: Mapping[str, str] | None = None,
        cwd: str | Path | None = None,
        stdin: str | Path | None = None,
        rounds: int = 5,
        probes: Sequence[str] | None = None,
        timeout_s: float = 60.0,
    ) -> Cell:
        from allocphase.pytest_plugin.measurement import Order

        order = Order(
            allocator=allocator,
            scenario=scenario,
            program=program,
            belonging={"name": name, "env": env, "cwd": cwd, "stdin": stdin},
            rounds=rounds,
            probes=probes,
            timeout_s=timeout_s,
            out=tmp_path,
            test=request.node.nodeid,
            recorded=not benchmark.disabled and not _is_xdist_worker(request.config),
        )
        orders.append(order)
        try:
            if len(orders) > 1:
                raise UsageError("allocphase_cell measures one cell a test: parametrize for more")
            return _measure(order, request.node, benchmark)
        except AllocphaseError as error:
            pytest.fail(f"allocphase: {error}", pytrace=False)

    return measure


def _is_xdist_worker(config: pytest.Config) -> bool:
    """pytest-benchmark 4 looks for the name that old releases of xdist gave this."""
    return hasattr(config, "workerinput")


def _measure(order: Order, test: pytest.Item, benchmark: Benchmark) -> Cell:
    from allocphase.pytest_plugin.measurement import Measurement, request

    clock = test.stash.get(CLOCK, None)
    if clock is None:
        raise UsageError("allocphase_cell must be an argument of the test or of its fixtures")
    measured = Measurement(request(order))
    try:
        _refuse_another_trace(test, measured.scenario_digest)
        benchmark.group = benchmark.group or measured.scenario  # one table a scenario
        record(benchmark, clock, measured)
    finally:
        measured.close()
    cell = measured.cell()
    benchmark.extra_info.update(measured.extra_info(cell))
    return cell


def _refuse_another_trace(test: pytest.Item, digest: str) -> None:
    """A scenario that has changed since the baseline is another workload."""
    for saved in test.config.stash.get(DIGESTS, []):
        if saved.get(test.nodeid, digest) != digest:
            raise UsageError(
                "the scenario has changed since the baseline that this is compared with: "
                "save a new one (--benchmark-save=NAME), or compare without it"
            )
