"""Processes that take turns: one of them is awake, and all have as many passes."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from allocphase import scenario, trace
from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.process.driver import DriverExecutor, Job, Outcome
from allocphase.process.turns import PASS_NS, PASSES, run_in_turns
from allocphase.process.watched import WatchingExecutor
from tests.support.driving import trace_job
from tests.support.plugins import Plugins, plugin
from tests.support.traces import batch, write_trace

# Less than a pass, and more than what is between two calls of one.
GAP_NS = 1_000_000


def in_turns(
    subjects: Sequence[Allocator],
    trace: Path,
    *,
    timeout_s: float = 60.0,
    run: Callable[[Job], Outcome] | None = None,
) -> list[Outcome]:
    """What became of each, on one CPU, with the passes that a session asks for."""
    jobs = [
        replace(
            trace_job(
                Probe.THROUGHPUT,
                trace,
                subject,
                timeout_s=timeout_s,
                passes=PASSES,
                pass_ns=PASS_NS,
            ),
            id=number,
        )
        for number, subject in enumerate(subjects)
    ]
    return run_in_turns(run or DriverExecutor().run, jobs, random.Random(1))


def stretches(outcome: Outcome) -> list[tuple[float, float]]:
    """From when to when the allocator of a process was called (tests/c/awake.c)."""
    said = outcome.result.allocator_stats
    return [(said[f"from {n}"] or 0.0, said[f"to {n}"] or 0.0) for n in range(len(said) // 2)]


@pytest.fixture
def short(tmp_path: Path) -> Path:
    return write_trace(tmp_path / "t", batch(50))


def awake(plugins: Plugins, *, malloc_ns: int, **config: int) -> Allocator:
    settings = {"malloc_ns": malloc_ns, "gap_ns": GAP_NS, **config}
    return plugin(plugins("awake"), **{key: str(value) for key, value in settings.items()})


def test_one_of_them_is_awake(plugins: Plugins, short: Path) -> None:
    """As the allocators themselves say, by a clock that all of them share."""
    outcomes = in_turns([awake(plugins, malloc_ns=2000)] * 3, short)
    parts = [outcome.result.part(Throughput) for outcome in outcomes]
    assert len({part.turns for part in parts}) == 1
    assert all(part.turns == len(part.warm_ns_per_op) >= 5 for part in parts)
    found = [stretches(outcome) for outcome in outcomes]
    # One pass at a time, but for who is the last of one turn and the first of the next.
    assert all(len(one) > part.turns / 2 for one, part in zip(found, parts, strict=True))
    for (_, end), (begin, _) in pairwise(sorted(each for one in found for each in one)):
        assert end <= begin


def test_all_have_as_many_replays_but_for_who_is_much_slower(plugins: Plugins, short: Path) -> None:
    subjects = [awake(plugins, malloc_ns=ns) for ns in (2000, 3000, 60_000)]
    fast, slower, slowest = (
        outcome.result.part(Throughput).replays_per_pass for outcome in in_turns(subjects, short)
    )
    assert fast == slower > slowest


def test_one_that_crashes_leaves_the_others_their_turns(plugins: Plugins, short: Path) -> None:
    crashing = awake(plugins, malloc_ns=2000, last=2000)
    good, bad, other = in_turns(
        [awake(plugins, malloc_ns=2000), crashing, awake(plugins, malloc_ns=2000)], short
    )
    assert (good.status, bad.status, other.status) == ("ok", "crashed", "ok")
    assert "SIGABRT" in bad.message
    assert len(good.result.part(Throughput).warm_ns_per_op) >= 5


def test_one_that_hangs_is_not_waited_for(plugins: Plugins, short: Path) -> None:
    hanging = awake(plugins, malloc_ns=2000, last=2000, hangs=1)
    subjects = [awake(plugins, malloc_ns=2000), hanging]
    good, bad = in_turns(subjects, short, timeout_s=2.0)
    assert (good.status, bad.status) == ("ok", "timeout")


@pytest.mark.parametrize("name", ["libc", "jemalloc", "mimalloc"])
@pytest.mark.parametrize("chosen", ["random-churn", "larson", "phase-report", "sawtooth"])
def test_allocators_of_each_kind_take_turns_on_traces_of_each_kind(
    installed: Callable[[str], Allocator], tmp_path: Path, name: str, chosen: str
) -> None:
    """Preloads; threads; what is repeated as a whole, and what has a build and a drain."""
    (found,) = scenario.resolve(chosen)
    assert not isinstance(found, scenario.Program)
    path = tmp_path / "t"
    trace.write(scenario.generate(found), path)
    subjects = [installed(name), installed("phase3")]
    outcomes = in_turns(subjects, path, run=WatchingExecutor(DriverExecutor()).run)
    for outcome in outcomes:
        assert outcome.status == "ok", outcome.message
        assert outcome.result.part(Throughput).turns >= 5
        disturbance = outcome.result.disturbance
        assert disturbance is not None
        assert disturbance.others_s is not None
        # What the other one did is none of it: that would be a third of the span at least.
        assert disturbance.others_s < 10.0
