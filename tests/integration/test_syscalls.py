"""The syscalls probe on the real driver: what is counted, and which operation made it."""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase import scenario, trace
from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from allocphase.probe.result import Syscalls
from tests.conftest import Needs
from tests.support.driving import Driver, calls_by_op, operation_calls
from tests.support.plugins import Plugins, plugin
from tests.support.traces import batch, write_trace

BACKENDS = ("dispatch", "ptrace")
OURS = ("phase2", "phase21")
PRELOADS = ("jemalloc", "tcmalloc", "mimalloc", "tbbmalloc", "scudo")
# mimalloc 3 draws addresses, and maps once or twice more where they do not suit it. The full
# tcmalloc walks the stack when it grows, by libunwind, which masks signals: four calls more or fewer
# in some 1,700, under strace and without.
VARYING = ("mimalloc3", "tcmalloc-full")
# Some give memory back after a time, and an observed process takes longer: never, here. Scudo
# guards an allocation now and then, drawn at random for each process: none, here.
REPEATABLE = {
    "MALLOC_CONF": "dirty_decay_ms:-1,muzzy_decay_ms:-1",
    "MIMALLOC_RESET_DELAY": "100000",
    "SCUDO_OPTIONS": "GWP_ASAN_Enabled=false",
}
SMALL = ("phase-report", "random-churn?operations=3000")
# Objects large enough for every allocator to ask the system.
LARGE = "random-churn?live=200&operations=2000&size_max=400000"

Installed = Callable[[str], Allocator]


@pytest.fixture(scope="module", params=[*SMALL, LARGE])
def workload(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "workload.trace"
    trace.write(scenario.generate(scenario.resolve(request.param)[0]), path)
    return path


@pytest.fixture(scope="module")
def large(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "large.trace"
    trace.write(scenario.generate(scenario.resolve(LARGE)[0]), path)
    return path


@pytest.fixture(scope="module")
def phase_report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("traces") / "phase-report.trace"
    trace.write(scenario.generate(scenario.resolve("phase-report")[0]), path)
    return path


# ---- The phase report's claims -----------------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_phase2_makes_one_mmap_for_each_malloc_and_one_munmap_for_each_free(
    driver: Driver, installed: Installed, phase_report: Path, backend: str
) -> None:
    outcome = driver.measure(
        Probe.SYSCALLS, phase_report, installed("phase2"), syscall_backend=backend
    )
    assert operation_calls(outcome) == {"mmap": 1000, "munmap": 1000}
    calls = calls_by_op(outcome)
    assert [calls[op] for op in range(1000)] == [Counter(mmap=1)] * 1000
    assert [calls[op] for op in range(1000, 2000)] == [Counter(munmap=1)] * 1000


@pytest.mark.parametrize("backend", BACKENDS)
def test_phase21_makes_one_mmap_in_init_and_no_call_in_operation(
    driver: Driver, installed: Installed, phase_report: Path, backend: str
) -> None:
    outcome = driver.measure(
        Probe.SYSCALLS, phase_report, installed("phase21"), syscall_backend=backend
    )
    assert outcome.result.part(Syscalls).init == {"mmap": 1}
    assert operation_calls(outcome) == {}
    assert calls_by_op(outcome) == {}


# ---- Backends against each other and against strace --------------------------------------


@pytest.mark.parametrize("name", ["libc", *PRELOADS, *OURS])
def test_both_backends_see_the_same_calls_in_the_same_operations(
    driver: Driver,
    installed: Installed,
    workload: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    for key, value in REPEATABLE.items():
        monkeypatch.setenv(key, value)
    dispatch, ptrace = (
        driver.measure(
            Probe.SYSCALLS, workload, installed(name), syscall_backend=backend, fixed_addresses=1
        )
        for backend in BACKENDS
    )
    assert dispatch.result.part(Syscalls).backend == "dispatch"
    assert ptrace.result.part(Syscalls).backend == "ptrace"
    for phase in ("init", "operation", "teardown"):
        assert getattr(dispatch.result.part(Syscalls), phase) == getattr(
            ptrace.result.part(Syscalls), phase
        )
    assert calls_by_op(dispatch) == calls_by_op(ptrace)
    assert dispatch.arrays["syscalls"].tolist() == ptrace.arrays["syscalls"].tolist()


@pytest.mark.parametrize("name", VARYING)
def test_of_what_varies_both_backends_see_the_same_kinds_of_calls(
    driver: Driver, installed: Installed, large: Path, name: str
) -> None:
    dispatch, ptrace = (
        driver.measure(
            Probe.SYSCALLS, large, installed(name), syscall_backend=backend, fixed_addresses=1
        )
        for backend in BACKENDS
    )
    kinds = [set(operation_calls(each)) - {"munmap"} for each in (dispatch, ptrace)]
    assert kinds[0] == kinds[1]
    assert operation_calls(dispatch)["mmap" if name == "mimalloc3" else "brk"] > 0


@pytest.mark.parametrize("name", ["libc", *PRELOADS, *OURS])
def test_strace_counts_what_the_probe_counts_in_operation(
    driver: Driver,
    installed: Installed,
    workload: Path,
    strace: str,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
) -> None:
    for key, value in REPEATABLE.items():
        monkeypatch.setenv(key, value)
    found = installed(name)
    outcome = driver.measure(
        Probe.SYSCALLS, workload, found, syscall_backend="dispatch", fixed_addresses=1
    )
    log = tmp_path / "strace.log"
    before = [strace, "-f", "-o", str(log)]
    arguments: list[str | Path] = ["--trace", workload, "--probe", "syscalls"]
    arguments += ["--syscall-backend", "mark", "--fixed-addresses", "1"]
    if found.kind == "preload":
        before += ["-E", f"LD_PRELOAD={found.path}"]
        arguments += ["--preloaded", str(found.path)]
    elif found.kind == "plugin":
        arguments += ["--plugin", str(found.path)]
    for key, value in found.config.items():
        arguments += ["--set", f"{key}={value}"]
    done = driver.bare(arguments, before=before, variables=dict(found.environment))
    assert done.returncode == 0, done.stderr
    assert between_marks(log, -1000) == operation_calls(outcome)
    assert between_marks(log, -1001) == outcome.result.part(Syscalls).warm


def between_marks(log: Path, number: int) -> dict[str, int]:
    """Calls by name between each two close(number) of the driver."""
    calls = [m[1] for m in re.finditer(r"^\d+ +(\w+\([^,)\n]*)", log.read_text(), re.MULTILINE)]
    marks = [i for i, call in enumerate(calls) if call == f"close({number}"]
    assert marks
    between = (calls[a + 1 : b] for a, b in zip(marks[::2], marks[1::2], strict=True))
    return dict(Counter(call.partition("(")[0] for each in between for call in each))


@pytest.mark.parametrize("name", ["libc", *PRELOADS, *VARYING, *OURS])
def test_of_the_traces_above_one_makes_every_allocator_ask_the_system(
    driver: Driver, installed: Installed, large: Path, name: str
) -> None:
    """Two empty counts would be equal without having been counted."""
    outcome = driver.measure(Probe.SYSCALLS, large, installed(name))
    assert sum(operation_calls(outcome).values()) > 0


# ---- A plug-in whose calls are known -----------------------------------------------------


@pytest.mark.parametrize("backend", BACKENDS)
def test_every_call_is_counted_in_its_phase_and_belongs_to_its_operation(
    driver: Driver, plugins: Plugins, tmp_path: Path, backend: str
) -> None:
    path = write_trace(tmp_path / "t", batch(10))
    subject = plugin(plugins("calls"), mmaps="3", getpids="2", init_getppids="4", fini_getuids="5")
    outcome = driver.measure(Probe.SYSCALLS, path, subject, syscall_backend=backend)
    counts = outcome.result.part(Syscalls)
    assert counts.init == {"getppid": 4, "mmap": 1}
    assert counts.operation == {"mmap": 30, "getpid": 20}
    assert counts.teardown == {"getuid": 5, "munmap": 1}
    expected = {op: Counter(mmap=3) for op in range(10)}
    expected |= {op: Counter(getpid=2) for op in range(10, 20)}
    assert calls_by_op(outcome) == expected
    assert (counts.warm_replays, counts.warm) == (50, {"mmap": 50 * 30, "getpid": 50 * 20})
    assert (counts.events, counts.events_dropped, counts.let_through) == (51 * 50, 0, 0)
    assert len(outcome.arrays["warm_syscalls"]) == 50 * 50


@pytest.mark.parametrize("backend", BACKENDS)
def test_calls_of_several_threads_are_told_apart(
    driver: Driver, plugins: Plugins, tmp_path: Path, backend: str
) -> None:
    """Thread 0 has the slots 0, 1, 4, 5, 8, 9, ..., of 30."""
    ops = batch(30)
    path = write_trace(tmp_path / "t", ops, thread=[slot // 2 % 2 for _, slot, *_ in ops])
    subject = plugin(plugins("calls"), mmaps="1", getpids="2")
    outcome = driver.measure(Probe.SYSCALLS, path, subject, syscall_backend=backend)
    assert outcome.result.locked
    assert operation_calls(outcome) == {"mmap": 30, "getpid": 60}
    assert outcome.result.part(Syscalls).thread_calls == (3 * 16, 3 * 14)
    events = outcome.arrays["syscalls"]
    numbers = outcome.result.part(Syscalls).numbers
    seen = Counter((thread, op, numbers[str(number)]) for op, thread, number in events.tolist())
    slots = {0: 16, 1: 14}
    first = {0: 0, 1: 2 * slots[0]}
    maps = {(t, first[t] + op, "mmap"): 1 for t in slots for op in range(slots[t])}
    pids = {(t, first[t] + op, "getpid"): 2 for t in slots for op in range(slots[t], 2 * slots[t])}
    assert seen == maps | pids


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_system_call_of_the_driver_s_own_lock_is_nobody_s(
    driver: Driver, plugins: Plugins, tmp_path: Path, needs: Needs, backend: str
) -> None:
    """Each call holds the lock for so long that the other thread must sleep."""
    cpus = two_cpus(needs)
    ops = batch(40)
    path = write_trace(tmp_path / "t", ops, thread=[slot % 2 for _, slot, *_ in ops])
    subject = plugin(plugins("spin", "LOCKED"), malloc_ns="500000", free_ns="500000")
    outcome = driver.measure(Probe.SYSCALLS, path, subject, syscall_backend=backend, cpus=cpus)
    assert outcome.result.locked
    assert operation_calls(outcome) == {}
    assert outcome.result.part(Syscalls).thread_calls == (0, 0)


def test_both_backends_see_no_call_of_phase21_in_two_threads(
    driver: Driver, installed: Installed, tmp_path: Path, needs: Needs
) -> None:
    cpus = two_cpus(needs)
    ops = batch(8000)
    path = write_trace(tmp_path / "t", ops, thread=[slot % 2 for _, slot, *_ in ops])
    for backend in BACKENDS:
        outcome = driver.measure(
            Probe.SYSCALLS, path, installed("phase21"), syscall_backend=backend, cpus=cpus
        )
        assert outcome.result.locked
        assert operation_calls(outcome) == {}


def two_cpus(needs: Needs) -> list[int]:
    available = sorted(os.sched_getaffinity(0))
    needs(len(available) > 1, "two CPUs", install="run on a machine that has them")
    return available[:2]


def test_more_calls_than_the_log_holds_are_counted_and_the_rest_is_said_to_be_lost(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(100_000))
    subject = plugin(plugins("calls"), getpids="15")
    outcome = driver.measure(Probe.SYSCALLS, path, subject, syscall_backend="dispatch")
    counts = outcome.result.part(Syscalls)
    assert counts.operation == counts.warm == {"getpid": 1_500_000}
    kept = [len(outcome.arrays[name]) for name in ("syscalls", "warm_syscalls")]
    assert kept == [1_500_000, counts.events - 1_500_000]
    assert counts.events + counts.events_dropped == 3_000_000
    assert counts.events_dropped > 0


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("does", "extra"),
    [("mask", "rt_sigprocmask"), ("handler", "rt_sigaction"), ("dispatch", "prctl")],
)
def test_an_allocator_that_meddles_with_signals_cannot_end_the_count(
    driver: Driver, plugins: Plugins, tmp_path: Path, does: str, extra: str, backend: str
) -> None:
    path = write_trace(tmp_path / "t", batch(8))
    subject = plugin(plugins("meddler"), does=does)
    outcome = driver.measure(Probe.SYSCALLS, path, subject, syscall_backend=backend)
    expected = {op: Counter({extra: 1, "getpid": 1}) for op in range(8)}
    expected |= {op: Counter(getppid=1) for op in range(8, 16)}
    assert calls_by_op(outcome) == expected


@pytest.mark.parametrize("does", ["thread", "fork"])
def test_dispatch_lets_clone_through_says_so_and_counts_on_in_the_next_operation(
    driver: Driver, plugins: Plugins, tmp_path: Path, does: str
) -> None:
    path = write_trace(tmp_path / "t", batch(8))
    subject = plugin(plugins("meddler"), does=does)
    outcome = driver.measure(Probe.SYSCALLS, path, subject, syscall_backend="dispatch")
    assert outcome.result.part(Syscalls).let_through == 8 * (1 + 50)
    calls = calls_by_op(outcome)
    assert [calls[op]["clone"] + calls[op]["clone3"] for op in range(8)] == [1] * 8
    assert [calls[op] for op in range(8, 16)] == [Counter(getppid=1)] * 8


@pytest.mark.parametrize("does", ["thread", "fork"])
def test_ptrace_counts_past_a_clone_and_leaves_out_what_the_child_does(
    driver: Driver, plugins: Plugins, tmp_path: Path, does: str
) -> None:
    path = write_trace(tmp_path / "t", batch(8))
    subject = plugin(plugins("meddler"), does=does)
    outcome = driver.measure(Probe.SYSCALLS, path, subject, syscall_backend="ptrace")
    calls = calls_by_op(outcome)
    assert [calls[op]["clone"] + calls[op]["clone3"] for op in range(8)] == [1] * 8
    assert [calls[op]["getpid"] for op in range(8)] == [1] * 8
    assert [calls[op] for op in range(8, 16)] == [Counter(getppid=1)] * 8
    assert "getuid" not in operation_calls(outcome)


# ---- What stands beside the counts -------------------------------------------------------


def test_what_a_table_lacks_is_emulated_and_said(
    driver: Driver, plugins: Plugins, installed: Installed, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(4))
    lean = driver.measure(Probe.SYSCALLS, path, plugin(plugins("calls")))
    assert lean.result.emulated == ("calloc", "realloc", "aligned_alloc")
    full = driver.measure(Probe.SYSCALLS, path, installed("libc"))
    assert full.result.emulated == ()


def test_the_statistics_of_an_allocator_arrive_as_it_gave_them(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(4))
    outcome = driver.measure(Probe.SYSCALLS, path, plugin(plugins("calls")))
    assert outcome.result.allocator_stats == {
        "used_bytes": 12345678,
        "share": -0.125,
        "endless": None,
        "cpus": 1 << min(os.sched_getaffinity(0)),
        "mallocs": 4 * (1 + 50),
        'a "quoted"\tname': 0,
    }
    assert "getgid" not in str(outcome.result.part(Syscalls))


def test_init_and_teardown_of_the_process_s_own_malloc_are_unknown_not_zero(
    driver: Driver, installed: Installed, phase_report: Path
) -> None:
    outcome = driver.measure(Probe.SYSCALLS, phase_report, installed("libc"))
    assert outcome.result.part(Syscalls).init is None
    assert outcome.result.part(Syscalls).teardown is None
    assert operation_calls(outcome)["brk"] > 0


@pytest.mark.parametrize("backend", BACKENDS)
def test_a_profiling_timer_ticks_on_while_its_allocator_is_observed(
    driver: Driver, plugins: Plugins, tmp_path: Path, backend: str
) -> None:
    """Its signal arrives in the middle of our handler, and its handler makes a system call."""
    path = write_trace(tmp_path / "t", batch(2))
    subject = plugin(plugins("ticker"))
    outcome = driver.measure(Probe.SYSCALLS, path, subject, syscall_backend=backend)
    assert operation_calls(outcome)["getuid"] == 2000
    assert (outcome.result.part(Syscalls).warm or {})["getuid"] == 50 * 2000
    assert (outcome.result.allocator_stats["ticks"] or 0) > 5  # a tick is 1 to 10 ms, by the kernel
