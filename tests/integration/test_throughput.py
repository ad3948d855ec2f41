"""The throughput probe: lower bounds only, since anything may make a pass longer."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest

from allocphase import scenario, trace
from allocphase.allocator import Allocator
from allocphase.analysis.metrics import process_time_ns
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.store.record import ProcessRecord
from tests.support.driving import Driver
from tests.support.plugins import Plugins, plugin
from tests.support.traces import batch, free, malloc, write_trace

Needs = Callable[..., None]


def test_the_time_per_op_is_at_least_what_the_allocator_spins(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(100))
    subject = plugin(plugins("spin", "CPU_TIME"), malloc_ns="4000", free_ns="2000")
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=2_000_000, passes=5)
    throughput = outcome.result.part(Throughput)
    assert throughput.cold_ns_per_op is not None
    assert throughput.cold_ns_per_op >= 0.99 * 3000
    assert len(throughput.warm_ns_per_op) == 5
    assert min(throughput.warm_ns_per_op) >= 0.99 * 3000
    assert throughput.build_ns_per_op == throughput.drain_ns_per_op == ()


def test_a_pass_repeats_the_trace_until_it_is_long_enough(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """A replay takes 0.4 ms at least, and a pass asks for 2 ms."""
    path = write_trace(tmp_path / "t", batch(100))
    subject = plugin(plugins("spin", "CPU_TIME"), malloc_ns="4000")
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=2_000_000, passes=1)
    assert 1 <= outcome.result.part(Throughput).replays_per_pass <= 6
    short = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=1, passes=1)
    assert short.result.part(Throughput).replays_per_pass == 1


def test_a_pass_of_a_short_trace_still_lasts(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """The number follows from a quarter of a pass, which may be interrupted: not each time."""
    path = write_trace(tmp_path / "t", batch(1))
    subject = plugin(plugins("spin", "CPU_TIME"))
    replays = [
        driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=1_000_000, passes=2)
        .result.part(Throughput)
        .replays_per_pass
        for _ in range(5)
    ]
    assert max(replays) > 100


def test_a_pass_has_as_many_replays_as_it_is_given(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """The allocator's own counter: cold, warm-up of 1, 2 and 4, and three passes of 11."""
    path = write_trace(tmp_path / "t", batch(10))
    subject = plugin(plugins("calls"))
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, replays=11, passes=3)
    assert outcome.result.part(Throughput).replays_per_pass == 11
    assert outcome.result.allocator_stats["mallocs"] == 10 * (1 + (1 + 2 + 4) + 3 * 11)


def test_build_steady_part_and_drain_are_timed_by_themselves(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """The build part's calls spin ten times as long as the others."""
    ops = [malloc(slot, 2000) for slot in range(10)]
    ops += [op for slot in range(10, 100) for op in (malloc(slot, 16), free(slot))]
    ops += [free(slot) for slot in range(10)]
    path = write_trace(tmp_path / "t", ops, build_ops=10, drain_ops=10)
    subject = plugin(plugins("spin", "CPU_TIME"), malloc_ns="3000", free_ns="1000")
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=1_000_000, passes=3)
    throughput = outcome.result.part(Throughput)
    (build_ns,), (drain_ns,) = throughput.build_ns_per_op, throughput.drain_ns_per_op
    assert build_ns >= 0.99 * 30_000
    assert drain_ns >= 0.99 * 1000
    assert min(throughput.warm_ns_per_op) >= 0.99 * (3000 + 1000) / 2
    assert throughput.cold_ns_per_op is not None
    assert throughput.cold_ns_per_op >= 0.99 * (10 * 30_000 + 90 * 4000) / 190


def test_of_a_trace_without_a_steady_part_build_and_drain_are_timed_in_each_pass(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(100), build_ops=100, drain_ops=100)
    subject = plugin(plugins("spin", "CPU_TIME"), malloc_ns="3000", free_ns="1000")
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=1_000_000, passes=3)
    throughput = outcome.result.part(Throughput)
    assert len(throughput.build_ns_per_op) == len(throughput.drain_ns_per_op) == 3
    assert min(throughput.build_ns_per_op) >= 0.99 * 3000
    assert min(throughput.drain_ns_per_op) >= 0.99 * 1000
    assert min(throughput.warm_ns_per_op) >= 0.99 * 2000


def test_the_steady_part_is_repeated_between_one_build_and_one_drain(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """The allocator's own counter: a build of 10, and of the 5 steady ones a first replay, warm-up
    of 1, 2 and 4, and three passes of 11.
    """
    ops = [malloc(slot) for slot in range(10)]
    ops += [op for slot in range(10, 15) for op in (malloc(slot), free(slot))]
    ops += [free(slot) for slot in range(10)]
    path = write_trace(tmp_path / "t", ops, build_ops=10, drain_ops=10)
    outcome = driver.measure(Probe.THROUGHPUT, path, plugin(plugins("calls")), replays=11, passes=3)
    assert outcome.result.allocator_stats["mallocs"] == 10 + 5 * (1 + (1 + 2 + 4) + 3 * 11)
    assert outcome.result.repeated_operations == 10


def test_the_one_number_of_a_process_is_the_median_of_its_warm_replays(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(50))
    outcome = driver.measure(
        Probe.THROUGHPUT,
        path,
        plugin(plugins("spin", "CPU_TIME"), malloc_ns="500"),
        pass_ns=100_000,
        passes=5,
    )
    record = ProcessRecord(
        id=0,
        round=0,
        allocator="spin",
        scenario="batch",
        probe=Probe.THROUGHPUT,
        status=outcome.status,
        message=outcome.message,
        wall_s=outcome.wall_s,
        result=outcome.result,
    )
    assert process_time_ns(record) == sorted(outcome.result.part(Throughput).warm_ns_per_op)[2]


def test_what_others_take_of_the_cpu_is_no_time_of_the_allocator(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Passes and what was taken off them fit into the life of the process."""
    path = write_trace(tmp_path / "t", batch(100))
    subject = plugin(plugins("spin", "CPU_TIME"), malloc_ns="1000")
    cpu = min(os.sched_getaffinity(0))
    with busy_on(cpu):
        outcome = driver.measure(
            Probe.THROUGHPUT, path, subject, cpus=[cpu], pass_ns=50_000_000, passes=5
        )
    throughput = outcome.result.part(Throughput)
    ops_per_pass = throughput.replays_per_pass * outcome.result.operations
    passes_ns = sum(throughput.warm_ns_per_op) * ops_per_pass
    assert throughput.run_delay_ns > 0
    assert passes_ns + throughput.run_delay_ns < outcome.wall_s * 1e9


def test_what_the_allocator_sleeps_is(driver: Driver, plugins: Plugins, tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", batch(20))
    subject = plugin(plugins("spin", "CPU_TIME"), sleep_ns="500000")
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=1, passes=3)
    assert min(outcome.result.part(Throughput).warm_ns_per_op) >= 0.9 * 250_000


@contextmanager
def busy_on(cpu: int) -> Iterator[None]:
    """Somebody else who wants that CPU all the time."""
    code = f"import os; os.sched_setaffinity(0, {{{cpu}}}); print(flush=True)\nwhile True: pass"
    with subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE) as other:
        try:
            assert other.stdout is not None
            other.stdout.readline()  # it is there
            yield
        finally:
            other.kill()


@pytest.mark.parametrize("probe", [Probe.THROUGHPUT, Probe.LATENCY])
def test_each_thread_is_pinned_to_the_cpu_of_its_lane(
    driver: Driver, plugins: Plugins, needs: Needs, tmp_path: Path, probe: Probe
) -> None:
    available = sorted(os.sched_getaffinity(0))
    needs(len(available) > 1, "two CPUs", install="run on a machine that has them")
    ops = batch(200)
    path = write_trace(tmp_path / "t", ops, thread=[slot % 2 for _, slot, *_ in ops])
    for cpus in (available[:1], available[1:2], available[:2]):
        outcome = driver.measure(probe, path, plugin(plugins("calls")), cpus=cpus, pass_ns=1)
        assert outcome.result.allocator_stats["cpus"] == sum(1 << cpu for cpu in cpus)


@pytest.mark.parametrize("lanes", [1, 2])
def test_threads_share_the_time_of_a_pass(
    driver: Driver, plugins: Plugins, tmp_path: Path, lanes: int
) -> None:
    """Each thread spins by itself, so the time per op is bounded by that of one thread."""
    ops = batch(100)
    thread = [slot % lanes for _, slot, *_ in ops]
    path = write_trace(tmp_path / "t", ops, thread=thread)
    subject = plugin(plugins("spin", "CPU_TIME"), malloc_ns="4000")
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=1, passes=3)
    assert not outcome.result.locked
    assert min(outcome.result.part(Throughput).warm_ns_per_op) >= 0.99 * 2000 / lanes


@pytest.mark.parametrize("passes", [1, 4])
def test_each_thread_has_a_time_of_its_own(
    driver: Driver, plugins: Plugins, tmp_path: Path, passes: int
) -> None:
    """Thread 1 asks for what takes ten times as long."""
    ops = [malloc(slot, 2000 if slot % 2 else 16) for slot in range(60)]
    ops += [free(slot) for slot in range(60)]
    path = write_trace(tmp_path / "t", ops, thread=[slot % 2 for _, slot, *_ in ops])
    subject = plugin(plugins("spin"), malloc_ns="4000")
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=1_000_000, passes=passes)
    first, second = outcome.result.part(Throughput).thread_ns_per_op
    assert first >= 0.99 * 2000
    assert second >= 0.99 * 20_000


def test_the_only_thread_of_a_trace_has_no_time_beside_that_of_the_pass(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(10))
    outcome = driver.measure(Probe.THROUGHPUT, path, plugin(plugins("spin")), pass_ns=1, passes=2)
    assert outcome.result.part(Throughput).thread_ns_per_op == ()


# ---- Whose time is it ---------------------------------------------------------------------


def test_what_a_thread_of_the_allocator_s_own_works_is_its_time_and_told(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """The kernel says of the caller that it stood ready: not who had the CPU meanwhile."""
    path = write_trace(tmp_path / "t", batch(1000))
    subject = plugin(plugins("offload"), ns="2000")
    outcome = driver.measure(Probe.THROUGHPUT, path, subject, pass_ns=20_000_000, passes=3)
    throughput = outcome.result.part(Throughput)
    assert min(throughput.warm_ns_per_op) >= 0.99 * 1000  # half of the operations are mallocs
    assert throughput.helper_ns_per_op is not None
    assert throughput.helper_ns_per_op >= 0.9 * 1000
    assert outcome.result.helper_threads == 1


def test_what_others_take_of_the_cpu_is_no_time_of_the_build_part(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Side by side with an idle CPU; with the neighbour in, it would be twice as long."""
    ops = batch(100)
    path = write_trace(tmp_path / "t", ops, build_ops=100, drain_ops=100)
    subject = plugin(plugins("spin", "CPU_TIME"), malloc_ns="20000")
    cpu = min(os.sched_getaffinity(0))

    def build_ns() -> float:
        outcome = driver.measure(
            Probe.THROUGHPUT, path, subject, cpus=[cpu], pass_ns=40_000_000, passes=5
        )
        return float(np.median(outcome.result.part(Throughput).build_ns_per_op))

    quiet = build_ns()
    with busy_on(cpu):
        busy = build_ns()
    assert min(quiet, busy) >= 0.99 * 20_000
    assert busy < 1.5 * quiet


FLUSH_NS = 20_000_000


@pytest.mark.parametrize("kind", ["plugin", "preload"])
def test_the_end_of_a_thread_is_in_the_time_where_the_trace_has_it_for_every_kind(
    driver: Driver, plugins: Plugins, tmp_path: Path, kind: Literal["plugin", "preload"]
) -> None:
    """Three generations in two lanes, whose ends follow each other."""
    path = tmp_path / "t"
    spec = "larson?slots=40&replacements=300&generations=3"
    trace.write(scenario.generate(scenario.resolve(spec)[0]), path)
    outcome = driver.measure(
        Probe.THROUGHPUT, path, flusher(plugins, kind), pass_ns=1, passes=3, cpus=CPUS
    )
    replay_ns = np.median(outcome.result.part(Throughput).warm_ns_per_op)
    assert replay_ns * outcome.result.operations >= 3 * FLUSH_NS


@pytest.mark.parametrize("kind", ["plugin", "preload"])
def test_the_end_of_a_thread_is_not_in_the_time_where_it_lives_on_for_any_kind(
    driver: Driver, plugins: Plugins, tmp_path: Path, kind: Literal["plugin", "preload"]
) -> None:
    ops = batch(1000)
    path = write_trace(tmp_path / "t", ops, thread=[slot % 2 for _, slot, *_ in ops])
    outcome = driver.measure(
        Probe.THROUGHPUT, path, flusher(plugins, kind), pass_ns=1, passes=5, cpus=CPUS
    )
    replay_ns = np.median(outcome.result.part(Throughput).warm_ns_per_op)
    assert replay_ns * outcome.result.operations < FLUSH_NS / 2


CPUS = tuple(sorted(os.sched_getaffinity(0)))


def flusher(plugins: Plugins, kind: Literal["plugin", "preload"]) -> Allocator:
    """20 ms of work at the end of each thread."""
    path = plugins("flusher", *(["PRELOAD"] if kind == "preload" else []))
    return replace(plugin(path), kind=kind)
