"""Recorded gaps and touches in a replay: how long is waited before each call, and what is touched
then.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest

from allocphase import scenario, trace
from allocphase.allocator import Allocator, resolve
from allocphase.errors import AllocphaseError
from allocphase.probe.probe import Probe
from allocphase.probe.result import Faults, Memory, Throughput, Work
from allocphase.process.driver import Outcome
from allocphase.trace.encoding import sealed
from allocphase.trace.records import COLUMN, Column, Kind, Part, Touch, Trace, gap_codes, kind_of
from tests.support.driving import Driver

# One thread that is repeated as a whole, and two that stand.
SPECS = ("phase-report?allocations=40", "xmalloc?batches=2&batch_objects=50")
FENCES_NS, UNIT_NS = 10, 1000  # WORK_FENCES_NS and WORK_GAP_NS of driver/work.h


@pytest.fixture
def libc() -> Allocator:
    return resolve("libc")[0]


def with_gaps(made: Trace, folder: Path, gaps_ns: np.ndarray) -> Path:
    path = folder / "paced.trace"
    trace.write(sealed(replace(made, gaps=gap_codes(gaps_ns), paced=True)), path)
    return path


def generated(spec: str) -> Trace:
    (chosen,) = scenario.resolve(spec)
    return scenario.generate(chosen)


def timed(driver: Driver, path: Path, allocator: Allocator) -> Outcome:
    return driver.measure(Probe.THROUGHPUT, path, allocator, replays=1, passes=1)


def work_of(outcome: Outcome) -> Work:
    assert outcome.result.work is not None
    return outcome.result.work


@pytest.mark.parametrize("spec", SPECS)
def test_each_gap_is_as_many_iterations_as_it_is_long(
    driver: Driver, tmp_path: Path, libc: Allocator, spec: str
) -> None:
    made = generated(spec)
    rng = np.random.default_rng(1)
    gaps_ns = rng.integers(0, 5_000, len(made.ops)).astype(np.uint64)
    found = work_of(timed(driver, with_gaps(made, tmp_path, gaps_ns), libc))
    assert found.asked_ns == UNIT_NS
    spun = np.where(gaps_ns > FENCES_NS, gaps_ns - FENCES_NS, 0)
    made_of_each = spun * found.iterations_per_op // UNIT_NS
    steady = made.part_of_ops() == Part.STEADY
    repeated = steady if steady.any() else np.ones(len(made.ops), bool)
    rest = found.iterations - int(made_of_each[~repeated].sum())
    replays, left = divmod(rest, int(made_of_each[repeated].sum()))
    assert left == 0, "whole replays, each with the same gaps"
    assert replays >= 2, "a cold one and a pass"


def test_a_long_gap_is_slept(driver: Driver, tmp_path: Path, libc: Allocator) -> None:
    """What passes is at least what was recorded; nobody spins meanwhile."""
    made = generated(SPECS[0])
    gaps_ns = np.zeros(len(made.ops), np.uint64)
    gaps_ns[7] = 30_000_000
    outcome = timed(driver, with_gaps(made, tmp_path, gaps_ns), libc)
    (each_ns,) = outcome.result.part(Throughput).warm_ns_per_op
    assert each_ns * len(made.ops) >= 30_000_000
    assert outcome.result.work is None, "no iteration was made"


def test_who_counts_does_not_wait(driver: Driver, tmp_path: Path, libc: Allocator) -> None:
    made = generated(SPECS[0])
    gaps_ns = np.full(len(made.ops), 10_000_000, np.uint64)
    outcome = driver.measure(Probe.FAULTS, with_gaps(made, tmp_path, gaps_ns), libc)
    assert outcome.result.part(Faults).pass_ns < int(gaps_ns.sum())


def test_recorded_touches_are_those_pages_and_no_others(
    driver: Driver, tmp_path: Path, libc: Allocator
) -> None:
    """A trace of large blocks, each touched at its beginning alone, against one touched whole."""
    made = generated("large-blocks?replacements=6")
    resident = {}
    for name, touched in {"none": 0, "some": 4096, "all": 1 << 30}.items():
        column = touched_up_to(made, touched)
        path = tmp_path / f"{name}.trace"
        trace.write(sealed(replace(made, touched=column, touch=Touch.RECORDED)), path)
        resident[name] = driver.measure(Probe.MEMORY, path, libc).result.part(Memory)
    pages = replace_touch(driver, made, tmp_path, libc, Touch.PAGES)
    nothing = replace_touch(driver, made, tmp_path, libc, Touch.NONE)
    assert resident["all"].page_faults == pages.page_faults
    assert resident["none"].page_faults == nothing.page_faults
    assert nothing.page_faults < resident["some"].page_faults < pages.page_faults


def touched_up_to(made: Trace, most: int) -> Column:
    sized = kind_of(made.ops) <= Kind.ALIGNED_ALLOC
    return np.where(sized, np.minimum(made.ops["size"], most), 0).astype(COLUMN)


def replace_touch(
    driver: Driver, made: Trace, folder: Path, allocator: Allocator, touch: Touch
) -> Memory:
    path = folder / f"{touch.name}.trace"
    trace.write(sealed(replace(made, touch=touch)), path)
    return driver.measure(Probe.MEMORY, path, allocator).result.part(Memory)


def test_a_trace_that_touches_what_nobody_recorded_is_refused(tmp_path: Path) -> None:
    made = generated(SPECS[0])
    gaps = np.zeros(len(made.ops), COLUMN)
    cases = {
        "touches what was recorded, and nothing was": replace(made, touch=Touch.RECORDED),
        "both recorded gaps and work": replace(made, work_ns=25, gaps=gaps, paced=True),
        "is paced, and has no recorded gaps": replace(made, paced=True),
    }
    for message, wrong in cases.items():
        path = tmp_path / "wrong.trace"
        trace.write(sealed(wrong), path)
        with pytest.raises(trace.TraceError, match=message):
            trace.read(path)


def test_the_driver_refuses_it_too(driver: Driver, tmp_path: Path, libc: Allocator) -> None:
    path = tmp_path / "wrong.trace"
    trace.write(sealed(replace(generated(SPECS[0]), touch=Touch.RECORDED)), path)
    with pytest.raises(AllocphaseError, match="touches what was recorded, and nothing was"):
        driver.measure(Probe.FAULTS, path, libc)
