"""The pytest plug-in without pytest around it: recording, the rounds of a cell, the baseline."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from allocphase import pytest_plugin
from allocphase.errors import AllocphaseError, UsageError
from allocphase.machine.fingerprint import TIME_FACTS, differences
from allocphase.probe.probe import PROGRAM_PROBES, Probe
from allocphase.probe.result import Result, Throughput
from allocphase.probe.status import Status
from allocphase.process.driver import Job, Outcome
from allocphase.pytest_plugin import baseline
from allocphase.pytest_plugin.cell import Cell
from allocphase.pytest_plugin.measurement import Measurement, Order, request
from allocphase.pytest_plugin.record import VirtualClock, record
from allocphase.scenario import Program
from tests.support.gates import FigureExecutor
from tests.support.runs import FakeExecutor

# Sums of these round, so a clock that ran on would not give them back.
DURATIONS_S = [1e-7 / 3, 0.1, 3.3e-9, 1e-7 / 3 + 1e-23, 0.7, 5e-324]


class FakeRounds:
    """Rounds whose durations are known beforehand."""

    def __init__(self, durations_s: list[float]) -> None:
        self.rounds = len(durations_s)
        self.durations_s: list[float] = []
        self._left: Iterator[float] = iter(durations_s)

    def run_round(self) -> float:
        self.durations_s.append(next(self._left))
        return self.durations_s[-1]


class FakeBenchmark:
    """Times as pytest-benchmark's pedantic does: two readings of the timer about the target."""

    def __init__(self, timer: Callable[[], float], *, extra_calls: int = 0) -> None:
        self.disabled = False
        self.group: str | None = None
        self.extra_info: dict[str, Any] = {}
        self.stats: Any = None
        self._timer = timer
        self._extra_calls = extra_calls

    def pedantic(
        self, target: Callable[[], None], *, setup: Callable[[], None], rounds: int, iterations: int
    ) -> None:
        assert iterations == 1
        data = []
        for _ in range(rounds):
            setup()
            start = self._timer()
            target()
            data.append(self._timer() - start)
        for _ in range(self._extra_calls):
            target()
        self.stats = SimpleNamespace(stats=SimpleNamespace(data=data))


def test_durations_are_recorded_bit_for_bit() -> None:
    clock = VirtualClock()
    benchmark = FakeBenchmark(clock)
    record(benchmark, clock, FakeRounds(DURATIONS_S))
    assert benchmark.stats.stats.data == DURATIONS_S


def test_a_profiler_that_calls_again_measures_nothing_more() -> None:
    clock = VirtualClock()
    rounds = FakeRounds(DURATIONS_S)
    record(FakeBenchmark(clock, extra_calls=2), clock, rounds)
    assert rounds.durations_s == DURATIONS_S


def test_a_timer_that_is_not_the_virtual_clock_is_found_out() -> None:
    ticks = iter(range(100))
    benchmark = FakeBenchmark(lambda: float(next(ticks)))
    with pytest.raises(AllocphaseError, match="other durations than were measured"):
        record(benchmark, VirtualClock(), FakeRounds(DURATIONS_S))


# ---- The rounds of a cell ----------------------------------------------------------------


def executor_of(
    *passes_ns: list[float], bad: Mapping[tuple[str, int], Outcome] | None = None
) -> FakeExecutor:
    """Each throughput process of phase1 has the next of `passes_ns`; `bad` overrides a job."""
    coming = iter(passes_ns)

    def answer(job: Job) -> Outcome:
        if bad and (job.allocator.name, job.round) in bad:
            return bad[job.allocator.name, job.round]
        own = job.allocator.name == "phase1"
        warm = next(coming) if own and job.probe is Probe.THROUGHPUT else [1.0]
        passes = Throughput(warm_ns_per_op=tuple(warm), cold_ns_per_op=9.0)
        result = Result(throughput=passes, operations=2000)
        return Outcome(status=Status.OK, message="", wall_s=0.1, result=result)

    return FakeExecutor(answer)


CRASH = Outcome(status=Status.CRASHED, message="killed by SIGSEGV. arena is damaged", wall_s=0.1)


def _order(folder: Path, **changes: Any) -> Order:
    order = Order(
        allocator="phase1",
        scenario="phase-report",
        rounds=2,
        probes=(),
        timeout_s=60.0,
        out=folder,
        test="test_it",
        recorded=True,
    )
    return dataclasses.replace(order, **changes)


def test_each_round_gives_the_median_pass_of_its_throughput_process(tmp_path: Path) -> None:
    executor = executor_of([30.0, 10.0, 20.0], [41.0, 43.0, 42.0])
    measured = Measurement(request(_order(tmp_path)), executor)
    assert [measured.run_round(), measured.run_round()] == [20.0 / 1e9, 42.0 / 1e9]
    measured.close()
    cell = measured.cell()
    assert cell.status == "ok"
    assert cell.durations_s == (20.0 / 1e9, 42.0 / 1e9)
    assert cell.time_per_op_ns == 31.0
    assert cell.floor_ns == 1.0
    assert {job.allocator.name for job in executor.jobs} == {"phase1", "null"}


def test_the_extra_info_names_what_was_measured(tmp_path: Path) -> None:
    measured = Measurement(request(_order(tmp_path, rounds=1)), executor_of([5.0]))
    measured.run_round()
    measured.close()
    info = measured.extra_info(measured.cell())
    chosen = request(_order(tmp_path)).allocators[0]
    assert info["allocator"] == "phase1"
    assert info["allocator_sha256"] == chosen.sha256()
    assert info["allocator_config"] == chosen.config
    assert info["scenario"] == "phase-report"
    assert info["scenario_digest"] == measured.scenario_digest
    assert info["time_per_op_ns"] == 5.0


def test_a_process_that_ends_badly_ends_the_measurement_with_its_message(tmp_path: Path) -> None:
    executor = executor_of([5.0], bad={("phase1", 1): CRASH})
    measured = Measurement(request(_order(tmp_path, rounds=3)), executor)
    measured.run_round()
    with pytest.raises(AllocphaseError, match="phase1 on phase-report: crashed: throughput: kill"):
        measured.run_round()


def test_a_floor_that_ends_badly_costs_the_floor_only(tmp_path: Path) -> None:
    executor = executor_of([5.0], bad={("null", 0): CRASH})
    measured = Measurement(request(_order(tmp_path, rounds=1)), executor)
    assert measured.run_round() == 5.0 / 1e9
    measured.close()
    with pytest.raises(UsageError, match="phase1 on phase-report: floor_ns was not measured"):
        _ = measured.cell().floor_ns


def test_throughput_is_measured_whatever_the_probes(tmp_path: Path) -> None:
    wanted = request(_order(tmp_path, probes=("syscalls", "memory")))
    assert list(wanted.probes) == [Probe.THROUGHPUT, Probe.SYSCALLS, Probe.MEMORY]


def test_instructions_are_measured_where_they_are_asked_for(tmp_path: Path) -> None:
    assert Probe.INSTRUCTIONS not in request(_order(tmp_path, probes=None)).probes
    wanted = request(_order(tmp_path, probes=("instructions",), rounds=1))
    assert list(wanted.probes) == [Probe.THROUGHPUT, Probe.INSTRUCTIONS]
    measured = Measurement(wanted, FigureExecutor())
    measured.run_round()
    measured.close()
    cell = measured.cell()
    assert (cell.instructions_per_op, cell.metric("instructions.malloc")) == (9.0, 9.0)


def test_a_program_has_probes_of_its_own_and_all_that_belongs_to_it(tmp_path: Path) -> None:
    (tmp_path / "text").write_text("hello")
    belonging = {"name": "mine", "env": {"A": "1"}, "cwd": tmp_path, "stdin": tmp_path / "text"}
    order = _order(tmp_path, scenario=None, program="sh -c 'exit 0'", belonging=belonging)
    wanted = request(dataclasses.replace(order, probes=None))
    (program,) = wanted.scenarios
    assert isinstance(program, Program)
    assert program.name == "mine"
    assert program.program.environment == {"A": "1"}
    assert (program.program.folder, program.program.input) == (
        str(tmp_path),
        str(tmp_path / "text"),
    )
    assert list(wanted.probes) == list(PROGRAM_PROBES)
    assert list(request(order).probes) == [Probe.PROGRAM], "what is recorded is always among them"


def test_what_is_recorded_nowhere_is_one_short_round(tmp_path: Path) -> None:
    disabled = request(_order(tmp_path, rounds=5, recorded=False))
    enabled = request(_order(tmp_path, rounds=5))
    assert (disabled.rounds, disabled.quick) == (1, True)
    assert (enabled.rounds, enabled.quick) == (5, False)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"allocator": "phase11"}, "did you mean 'phase1'"),
        ({"allocator": "phase2?objects_per_slab=1,8"}, "names 2, a cell has one: parametrize"),
        ({"allocator": "null"}, "is the floor"),
        ({"scenario": "random-chrun"}, "did you mean 'random-churn'"),
        ({"scenario": "phase-*"}, "a cell has one: parametrize"),
        ({"probes": ("latencies",)}, "did you mean 'latency'"),
        ({"probes": ("program",)}, "probe of a trace 'program' does not exist"),
        ({"scenario": None}, "a cell has a scenario or program='COMMAND...', one of them"),
        ({"program": "true"}, "a cell has a scenario or program='COMMAND...', one of them"),
        ({"belonging": {"cwd": "/"}}, "cwd is for a program, and 'phase-report' is a scenario"),
        ({"scenario": None, "program": "nowhere-at-all"}, "^program: .*: no such command"),
        (
            {"scenario": None, "program": "true", "belonging": {"cwd": "/nowhere"}},
            "^cwd /nowhere: no such folder",
        ),
        (
            {"scenario": None, "program": "true", "probes": ("memory",)},
            "probe of a program 'memory' does not exist: did you mean 'program_memory'",
        ),
        ({"rounds": 0}, "rounds must be at least 1, not 0"),
    ],
)
def test_what_is_no_cell_is_refused_with_advice(
    changes: dict[str, Any], message: str, tmp_path: Path
) -> None:
    with pytest.raises(UsageError, match=message):
        request(_order(tmp_path, **changes))


def test_an_allocator_that_is_not_installed_says_how_to_get_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("allocphase.allocator.collection.search_library", lambda *_, **__: None)
    with pytest.raises(UsageError, match="allocator jemalloc: not installed: apt-get install"):
        request(_order(tmp_path, allocator="jemalloc"))


# ---- The cell ----------------------------------------------------------------------------

METRICS: dict[str, Any] = {
    "time_per_op_ns": 10.5,
    "floor_ns": 2.5,
    "latency_ns": {"malloc": {"p50": 21.0, "p99_99": None}},
    "process_latency_ns": {"malloc": {"p50": 19.0}},
    "syscalls": {"init": {"mmap": 1}, "operation": {"brk": 3}, "teardown": {}},
    "syscalls_per_op": 0.0015,
    "page_faults": 7,
    "peak_live_bytes": 100,
    "peak_mapped_bytes": 4096,
    "peak_rss_bytes": 150,
    "fragmentation": 0.5,
    "wall_time_ns": 2e9,
    "cpu_time_ns": 3e9,
    "program_peak_rss_bytes": 1 << 20,
    "program_page_faults": 300,
}


def _cell(metrics: Mapping[str, Any]) -> Cell:
    return Cell(
        allocator="mine",
        scenario="random-churn",
        status="ok",
        warnings=(),
        metrics=metrics,
        durations_s=(10.5e-9,),
        path=Path("out"),
    )


@pytest.mark.parametrize("name", sorted(METRICS.keys() - {"syscalls", "process_latency_ns"}))
def test_a_property_is_the_metric_of_its_name(name: str) -> None:
    assert getattr(_cell(METRICS), name) == METRICS[name]


def test_the_system_calls_of_a_cell_are_those_in_operation() -> None:
    assert _cell(METRICS).syscalls == {"brk": 3}


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("time", 10.5),
        ("time_per_op_ns", 10.5),
        ("p50", 19.0),
        ("latency_ns.malloc.p50", 21.0),
        ("syscalls", 3.0),
        ("syscalls.brk", 3.0),
        ("syscalls.munmap", 0.0),
        ("syscalls.init", 1.0),
    ],
)
def test_any_metric_is_had_by_either_name(name: str, value: float) -> None:
    assert _cell(METRICS).metric(name) == value


@pytest.mark.parametrize("name", ["p99_99", "build_time", "syscalls.threads"])
def test_a_metric_without_a_value_is_no_zero_by_name_either(name: str) -> None:
    with pytest.raises(UsageError, match=r"mine on random-churn: .* was not measured"):
        _cell(METRICS).metric(name)


def test_a_metric_that_does_not_exist_is_refused_with_the_nearest() -> None:
    with pytest.raises(UsageError, match="did you mean 'time'"):
        _cell(METRICS).metric("tiem")


@pytest.mark.parametrize("name", sorted(METRICS.keys() - {"process_latency_ns"}))
def test_a_metric_that_was_not_measured_is_no_zero(name: str) -> None:
    with pytest.raises(UsageError, match=r"mine on random-churn: .* was not measured"):
        getattr(_cell({}), name)


# ---- The baseline ------------------------------------------------------------------------


def _saved(**changes: Any) -> dict[str, Any]:
    info = {"scenario_digest": "abc"}
    return {
        "datetime": "2026-01-02",
        "machine_info": {"allocphase": {**baseline.fingerprint(), **changes}},
        "benchmarks": [
            {"fullname": "test_a.py::test_cell", "extra_info": info},
            {"fullname": "test_a.py::test_other", "extra_info": {}},
        ],
    }


def _refusal(saved: Mapping[str, Any]) -> str | None:
    here = {"allocphase": baseline.fingerprint()}
    return baseline.refusal(here, saved, way_out="--allow")


def test_the_same_machine_is_accepted() -> None:
    assert _refusal(_saved()) is None


@pytest.mark.parametrize("fact", TIME_FACTS)
def test_a_machine_that_differs_in_one_fact_is_refused_by_its_name(fact: str) -> None:
    refusal = _refusal(_saved(**{fact: "another"}))
    assert refusal is not None
    (line,) = differences({fact: "another"}, {fact: baseline.fingerprint()[fact]}).values()
    assert line.startswith(f"{fact}: another then, ")
    assert line in refusal
    assert "--benchmark-save=NAME" in refusal
    assert "--allow" in refusal


def test_a_baseline_without_fingerprint_is_refused() -> None:
    saved = {**_saved(), "machine_info": {}}
    assert "it has no fingerprint" in str(_refusal(saved))


def test_only_cells_have_scenario_digests() -> None:
    assert baseline.scenario_digests(_saved()) == {"test_a.py::test_cell": "abc"}


def test_the_load_is_no_part_of_the_fingerprint() -> None:
    assert not {"load_average", "memory_bytes", "user"} & baseline.fingerprint().keys()


def test_an_incomplete_installation_leaves_other_peoples_benchmarks_alone(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("allocphase.__path__", [])
    machine_info: dict[str, Any] = {"node": "here"}
    pytest_plugin.pytest_benchmark_update_machine_info(machine_info)
    assert machine_info == {"node": "here"}
