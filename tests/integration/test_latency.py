"""The latency probe on an allocator that takes a known time at least. Lower bounds never flake."""

from __future__ import annotations

import os
from collections import Counter
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pytest

from allocphase import scenario, trace
from allocphase.allocator import resolve
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import bucket_midpoints
from allocphase.probe.probe import Probe
from allocphase.probe.result import Latency
from allocphase.process.driver import Outcome
from allocphase.trace.records import Kind, Touch, kind_of
from tests.conftest import Needs
from tests.support.driving import Driver, clock_of, usage_of
from tests.support.plugins import Plugins, plugin
from tests.support.traces import Op, batch, free, malloc, write_trace

SPIN_NS = 20_000
# The driver's clock is compared with the system's at both ends of a process: 1% is far more
# than the two can disagree by.
LOWER = 0.99 * SPIN_NS
RAW: dict[str, Any] = {"raw_ops": 1_000_000}
HISTOGRAM: dict[str, Any] = {"raw_ops": 10}


def call_ns(outcome: Outcome) -> npt.NDArray[np.float64]:
    ns: npt.NDArray[np.float64] = outcome.arrays["call_ticks"] * ns_per_tick(outcome)
    return ns


def ns_per_tick(outcome: Outcome) -> float:
    return float(1e9 / clock_of(outcome).hz)


def bucket_of(ticks: int) -> int:
    """As driver/probes/histogram.h has it: 32 parts an octave, each value below 32 by itself."""
    octave = max(ticks.bit_length() - 6, 0)
    return octave * 32 + (ticks >> octave)


def test_no_call_is_shorter_than_what_the_allocator_spins(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(200))
    subject = plugin(plugins("spin"), malloc_ns=str(SPIN_NS), free_ns=str(3 * SPIN_NS))
    calls = call_ns(driver.measure(Probe.LATENCY, path, subject, **RAW))
    assert len(calls) == 400
    assert calls[:200].min() >= LOWER
    assert calls[200:].min() >= 3 * LOWER
    assert np.median(calls[:200]) < 3 * LOWER  # half of them may be preempted, not more


def test_a_call_that_does_nothing_is_not_charged_for_its_neighbours(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    ops = [op for slot in range(200) for op in (malloc(slot), free(slot))]
    path = write_trace(tmp_path / "t", ops, touch=Touch.FIRST)
    subject = plugin(plugins("spin"), malloc_ns=str(SPIN_NS))
    outcome = driver.measure(Probe.LATENCY, path, subject, **RAW)
    assert np.median(call_ns(outcome)[1::2]) < LOWER
    assert np.median(outcome.arrays["touch_ticks"][0::2]) * ns_per_tick(outcome) < LOWER


def test_the_first_touch_is_timed_apart_from_the_call(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Writing 4 MiB takes longer than 20 µs on any machine; the call itself only maps."""
    size = 4 << 20
    path = write_trace(tmp_path / "t", batch(20, size), touch=Touch.ALL)
    subject = plugin(plugins("pages"), pages=str(size >> 12), release="1")
    outcome = driver.measure(Probe.LATENCY, path, subject, **RAW)
    touch_ns = outcome.arrays["touch_ticks"][:20] * ns_per_tick(outcome)
    assert touch_ns.min() > SPIN_NS
    assert np.median(call_ns(outcome)[:20]) < np.median(touch_ns)
    assert not outcome.arrays["touch_ticks"][20:].any()  # a free touches nothing


def test_a_miss_in_the_driver_s_own_table_is_no_time_of_free(
    driver: Driver, tmp_path: Path
) -> None:
    """Freed in random order, each slot's line has left the caches; null's free does nothing.

    With the miss inside, the median here is four to six times what reading the clock costs, which
    was measured earlier: on a busy machine another figure.
    """
    slots = 1 << 20
    order = np.random.default_rng(7).permutation(slots)
    ops = [*batch(slots)[:slots], *map(free, order.tolist())]
    path = write_trace(tmp_path / "t", ops)
    outcome = driver.measure(Probe.LATENCY, path, resolve("null")[0], raw_ops=2 * len(ops))
    frees = call_ns(outcome)[slots:]
    assert np.median(frees) <= 2.5 * clock_of(outcome).overhead_ns


def mixed(repetitions: int) -> list[Op]:
    """Four kinds, sizes on both sides of powers of two."""
    ops: list[Op] = []
    for i in range(repetitions):
        ops += [malloc(i, 64), (Kind.CALLOC, i + repetitions, 65, 0, 0)]
    for i in range(repetitions):
        ops += [(Kind.REALLOC, i, 3000, 0, 0), free(i), free(i + repetitions)]
    return ops


def test_the_histogram_holds_the_very_samples_that_it_names_as_outliers(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """A trace this short keeps every call as an outlier, so the two must agree exactly."""
    ops = mixed(300)
    path = write_trace(tmp_path / "t", ops)
    subject = plugin(plugins("spin"), malloc_ns="300", free_ns="40")
    outcome = driver.measure(Probe.LATENCY, path, subject, **HISTOGRAM)
    assert outcome.result.part(Latency).samples == "histogram"
    outliers = np.sort(outcome.arrays["outliers"], order="op")
    assert outliers["op"].tolist() == list(range(len(ops)))
    for kind in Kind:
        mine = np.array([op[0] is kind for op in ops])
        buckets = [bucket_of(ticks) for ticks in outliers["ticks"][mine].tolist()]
        found = outcome.arrays["call_histogram"][kind].sum(axis=0)
        assert {i: found[i] for i in np.flatnonzero(found)} == Counter(buckets)
        middle = bucket_midpoints()[buckets]
        assert (abs(middle - outliers["ticks"][mine]) <= middle / 64).all()


def test_raw_samples_and_histograms_agree_on_counts_by_kind_and_size(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    ops = mixed(300)
    path = write_trace(tmp_path / "t", ops, touch=Touch.FIRST)
    subject = plugin(plugins("spin"), malloc_ns=str(SPIN_NS))
    raw = driver.measure(Probe.LATENCY, path, subject, **RAW)
    counted = driver.measure(Probe.LATENCY, path, subject, **HISTOGRAM)
    calls = counted.arrays["call_histogram"].sum(axis=2)
    assert len(raw.arrays["call_ticks"]) == calls.sum() == len(ops)
    assert calls[Kind.MALLOC].nonzero()[0].tolist() == [6]  # 64 = 2^6
    assert calls[Kind.CALLOC].nonzero()[0].tolist() == [7]  # 65 <= 2^7
    assert calls[Kind.REALLOC].nonzero()[0].tolist() == [12]
    assert calls[Kind.FREE, 0] == 600
    touches = counted.arrays["touch_histogram"].sum(axis=(1, 2))
    assert touches[[Kind.MALLOC, Kind.CALLOC, Kind.REALLOC]].tolist() == [300] * 3
    assert touches.sum() == 900
    shortest = bucket_midpoints()[counted.arrays["call_histogram"][Kind.MALLOC].sum(axis=0) > 0]
    assert shortest.min() * ns_per_tick(counted) >= LOWER * 31 / 32  # a bucket's width


def test_of_a_trace_beyond_the_raw_samples_the_slowest_calls_keep_their_operation(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    slow = {10_000, 50_000, 99_999}
    ops = [
        op for slot in range(100_000) for op in (malloc(0, 2000 if slot in slow else 16), free(0))
    ]
    path = write_trace(tmp_path / "t", ops)
    subject = plugin(plugins("spin"), malloc_ns="1000")
    outcome = driver.measure(Probe.LATENCY, path, subject, **HISTOGRAM)
    outliers = outcome.arrays["outliers"]
    assert len(outliers) == 65_536
    kept = dict(zip(outliers["op"].tolist(), outliers["ticks"].tolist(), strict=True))
    assert len(kept) == 65_536
    for slot in slow:
        assert kept[2 * slot] * ns_per_tick(outcome) >= 9_900
    histogram = outcome.arrays["call_histogram"].sum(axis=(0, 1))
    assert histogram.sum() == len(ops)
    # No call that was left out is longer than one that was kept.
    shorter = np.cumsum(histogram)[bucket_of(min(kept.values()))]
    assert shorter >= len(ops) - 65_536


def test_samples_of_threads_lie_thread_after_thread(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Thread 1 asks for what takes ten times as long."""
    thread = [slot % 2 for slot in range(60)]
    ops = [malloc(slot, 2000 if slot % 2 else 16) for slot in range(60)]
    ops += [free(slot) for slot in range(60)]
    path = write_trace(tmp_path / "t", ops, thread=thread * 2)
    subject = plugin(plugins("spin"), malloc_ns=str(SPIN_NS))
    raw = call_ns(driver.measure(Probe.LATENCY, path, subject, **RAW))
    assert raw[60:90].min() >= 10 * LOWER
    assert LOWER <= np.median(raw[:30]) < 10 * LOWER
    counted = driver.measure(Probe.LATENCY, path, subject, **HISTOGRAM)
    outliers = counted.arrays["outliers"]
    assert outliers["thread"].tolist() == (outliers["op"] >= 60).astype(int).tolist()
    assert sorted(outliers["op"].tolist()) == list(range(120))
    calls = counted.arrays["call_histogram"].sum(axis=(1, 2))
    assert calls[[Kind.MALLOC, Kind.FREE]].tolist() == [60, 60]
    assert counted.arrays["touch_histogram"].sum() == 60


# ---- Threads -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    [
        "xmalloc?batches=6&batch_objects=50&queued=2",
        "larson?slots=40&replacements=500&generations=3",
        "mstress?rounds=2&scale=5",
        "rptest-even?loops=20",
    ],
)
def test_frees_of_what_another_thread_used_last_are_counted_apart(
    driver: Driver, plugins: Plugins, tmp_path: Path, name: str
) -> None:
    path = tmp_path / "t"
    made = scenario.generate(scenario.resolve(name)[0])
    trace.write(made, path)
    outcome = driver.measure(Probe.LATENCY, path, plugin(plugins("libc")), **HISTOGRAM)
    calls = outcome.arrays["call_histogram"].sum(axis=(1, 2))
    frees = made.op_counts["free"]
    assert calls[KIND_NAMES.index("free_remote")] == remote_frees(made) > 0
    assert calls[Kind.FREE] == frees - remote_frees(made)
    if name.startswith("xmalloc"):  # one thread allocates, another frees
        assert remote_frees(made) == frees


def remote_frees(made: trace.Trace) -> int:
    """Counted by walking each slot's life, whatever the trace's own flags say."""
    thread = np.repeat(np.arange(len(made.threads)), made.threads["op_count"].astype(int))
    kind = kind_of(made.ops)
    order = np.lexsort((made.ops["epoch"], made.ops["slot"]))
    pairs = pairwise(order)
    return sum(int(kind[b] == Kind.FREE and thread[a] != thread[b]) for a, b in pairs)


def test_the_histogram_of_each_thread_has_its_calls_and_no_other_s(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Larson's threads follow each other, and inherit the tables that are not theirs alone."""
    path = tmp_path / "t"
    made = scenario.generate(scenario.resolve("larson?slots=40&replacements=500&generations=3")[0])
    trace.write(made, path)
    outcome = driver.measure(Probe.LATENCY, path, plugin(plugins("libc")), **HISTOGRAM)
    by_thread = outcome.arrays["thread_histogram"]
    assert by_thread.sum(axis=1).tolist() == made.threads["op_count"].tolist()
    all_calls = outcome.arrays["call_histogram"].sum(axis=(0, 1))
    assert by_thread.sum(axis=0).tolist() == all_calls.tolist()
    assert sorted(outcome.arrays["outliers"]["op"].tolist()) == list(range(len(made.ops)))


def test_the_histogram_of_a_thread_tells_how_long_its_own_calls_took(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Thread 1 asks for what takes ten times as long."""
    ops = [malloc(slot, 2000 if slot % 2 else 16) for slot in range(60)]
    ops += [free(slot) for slot in range(60)]
    path = write_trace(tmp_path / "t", ops, thread=[slot % 2 for _, slot, *_ in ops])
    subject = plugin(plugins("spin"), malloc_ns=str(SPIN_NS))
    outcome = driver.measure(Probe.LATENCY, path, subject, **HISTOGRAM)
    long = bucket_midpoints() * ns_per_tick(outcome) >= 10 * LOWER * 31 / 32
    assert outcome.arrays["thread_histogram"][1, long].sum() >= 30


def test_of_two_calls_that_meet_at_the_driver_s_lock_neither_is_without_a_cause(
    driver: Driver, plugins: Plugins, needs: Needs, tmp_path: Path
) -> None:
    """The second sleeps until the first wakes it: at most one of them is a sleep."""
    available = sorted(os.sched_getaffinity(0))
    needs(len(available) > 1, "two CPUs", install="run on a machine that has them")
    path = write_trace(tmp_path / "t", batch(2), thread=[0, 1, 0, 1])
    subject = plugin(plugins("spin", "LOCKED"), malloc_ns="10000000")
    for _ in range(5):  # they start together, unless something else runs
        outcome = driver.measure(Probe.LATENCY, path, subject, **RAW, cpus=available[:2])
        slow = outcome.arrays["slow"]
        waited = set(slow["op"][slow["sleeps"] > 0].tolist())
        if {0, 2} <= waited:
            break
    assert {0, 2} <= waited
    assert call_ns(outcome)[[0, 2]].max() >= 500 * LOWER  # the wait is in the time


def test_waiting_for_another_thread_s_object_is_in_no_call(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Each free must wait for a malloc 5 ms long, so the thread sleeps; spinning never does."""
    ops = [op for slot in range(20) for op in (malloc(slot), free(slot))]
    path = write_trace(tmp_path / "t", ops, thread=[0, 1] * 20)
    subject = plugin(plugins("spin"), malloc_ns="5000000", free_ns="5000")
    outcome = driver.measure(Probe.LATENCY, path, subject, **RAW)
    assert usage_of(outcome).voluntary_switches >= 20
    assert outcome.arrays["slow"]["sleeps"].sum() == 0
    assert np.median(call_ns(outcome)[20:]) < 5_000_000


@pytest.mark.parametrize("options", [RAW, HISTOGRAM])
def test_the_clock_s_own_cost_is_published_beside_the_samples(
    driver: Driver, plugins: Plugins, tmp_path: Path, options: dict[str, Any]
) -> None:
    path = write_trace(tmp_path / "t", batch(500))
    outcome = driver.measure(Probe.LATENCY, path, plugin(plugins("spin")), **options)
    clock = clock_of(outcome)
    assert clock.minimum_ns is not None
    assert 0 < clock.step_ns <= clock.minimum_ns <= clock.overhead_ns
    if "call_ticks" in outcome.arrays:
        assert call_ns(outcome).min() >= clock.minimum_ns * 0.5
