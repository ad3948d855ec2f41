"""The program's own work between calls: who does it, how much, and what is said of it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from allocphase import scenario, trace
from allocphase.allocator import Allocator, resolve
from allocphase.operation import MAX_WORK_NS
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.probe.result import Latency, Throughput, Work
from allocphase.process.driver import Outcome
from allocphase.trace.records import HEADER, Part, Trace, repeated_ops
from tests.support.driving import Driver

# One thread; two that stand, and hand objects over; two that are born and end in each replay;
# one that is repeated as a whole.
SPECS = (
    "random-churn?live=20&operations=300",
    "xmalloc?batches=2&batch_objects=50",
    "larson?slots=20&replacements=60",
    "phase-report?allocations=40",
)
REPLAYS = 3  # of a pass: too few for calibrated() in throughput.c to warm up more than one replay
PASSES = 2


@pytest.fixture
def libc() -> Allocator:
    return resolve("libc")[0]


def paced(folder: Path, spec: str, work_ns: int) -> tuple[Path, Trace]:
    (chosen,) = scenario.resolve(f"{spec}&work_ns={work_ns}")
    made, path = scenario.generate(chosen), folder / f"{work_ns}.trace"
    trace.write(made, path)
    return path, made


def work_of(outcome: Outcome) -> Work:
    assert outcome.result.work is not None
    return outcome.result.work


def throughput(driver: Driver, path: Path, allocator: Allocator) -> Outcome:
    return driver.measure(Probe.THROUGHPUT, path, allocator, replays=REPLAYS, passes=PASSES)


def throughput_ops(made: Trace) -> int:
    """Those of the build, the drain, and all replays: a cold one, one to warm up, the passes'."""
    warm = 1 + PASSES * REPLAYS
    if made.part_ops(Part.STEADY) == 0:
        warm += 1 + REPLAYS // 4  # the first of two further passes, which time the parts
        warm += 1 + REPLAYS // 4
    return len(made.ops) + warm * repeated_ops(made.threads)


@pytest.mark.parametrize("spec", SPECS)
def test_each_operation_of_each_replay_is_followed_by_the_work(
    driver: Driver, tmp_path: Path, libc: Allocator, spec: str
) -> None:
    path, made = paced(tmp_path, spec, 25)
    outcome = throughput(driver, path, libc)
    found = work_of(outcome)
    assert outcome.result.part(Throughput).replays_per_pass == REPLAYS
    assert found.iterations_per_op >= 1
    assert found.iterations == throughput_ops(made) * found.iterations_per_op


@pytest.mark.parametrize("spec", SPECS)
@pytest.mark.parametrize("raw_ops", [4_000_000, 1])
def test_the_latency_probe_works_after_each_of_its_calls(
    driver: Driver, tmp_path: Path, libc: Allocator, spec: str, raw_ops: int
) -> None:
    path, made = paced(tmp_path, spec, 25)
    outcome = driver.measure(Probe.LATENCY, path, libc, raw_ops=raw_ops)
    ops = len(made.ops) + outcome.result.part(Latency).warm_replays * repeated_ops(made.threads)
    found = work_of(outcome)
    assert found.iterations == ops * found.iterations_per_op


@pytest.mark.parametrize("probe", [Probe.THROUGHPUT, Probe.LATENCY])
def test_the_floor_has_the_same_work(driver: Driver, tmp_path: Path, probe: Probe) -> None:
    path, _ = paced(tmp_path, SPECS[0], 25)
    found = work_of(driver.measure(probe, path, resolve("null")[0]))
    assert found.asked_ns == 25
    assert found.iterations > 0


def test_longer_work_has_more_iterations_and_its_cost_in_fact_is_told(
    driver: Driver, tmp_path: Path, libc: Allocator
) -> None:
    short, long = (
        work_of(throughput(driver, paced(tmp_path, SPECS[0], work_ns)[0], libc))
        for work_ns in (1, 10_000)
    )
    assert (short.asked_ns, long.asked_ns) == (1, 10_000)
    assert short.iterations_per_op == 1  # the fences alone take longer than that
    assert long.iterations_per_op > 100
    assert 0 < short.measured_ns < long.measured_ns


@pytest.mark.parametrize("probe", [Probe.THROUGHPUT, Probe.LATENCY])
def test_iterations_that_are_given_are_made_as_they_are(
    driver: Driver, tmp_path: Path, libc: Allocator, probe: Probe
) -> None:
    path, made = paced(tmp_path, SPECS[0], 25)
    found = work_of(driver.measure(probe, path, libc, work_iterations=7))
    assert found.iterations_per_op == 7
    assert found.iterations % 7 == 0
    assert found.iterations >= 7 * len(made.ops)


@pytest.mark.parametrize("probe", [probe for probe in TRACE_PROBES if not probe.timed])
def test_what_only_counts_does_no_work(
    driver: Driver, tmp_path: Path, libc: Allocator, probe: Probe
) -> None:
    path, _ = paced(tmp_path, SPECS[0], 25)
    assert driver.measure(probe, path, libc).result.work is None


@pytest.mark.parametrize("probe", [Probe.THROUGHPUT, Probe.LATENCY])
def test_a_trace_without_work_is_replayed_as_soon_as_can_be(
    driver: Driver, tmp_path: Path, libc: Allocator, probe: Probe
) -> None:
    path, _ = paced(tmp_path, SPECS[0], 0)
    assert driver.measure(probe, path, libc).result.work is None


def test_more_work_than_a_trace_may_have_is_refused_by_the_driver(
    driver: Driver, tmp_path: Path
) -> None:
    path, _ = paced(tmp_path, SPECS[0], 25)
    content = bytearray(path.read_bytes())
    np.frombuffer(content, HEADER, count=1)["work_ns"][0] = MAX_WORK_NS + 1
    path.write_bytes(content)
    ended = driver.bare(["--trace", path, "--probe", "verify"])
    assert ended.returncode == 2
    assert "too much work between two operations" in ended.stderr
