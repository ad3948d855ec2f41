"""Every scenario under allocators of the collection: correct, and the same twice.

Here two allocators take part in all scenarios, long ones cut short, and the others in a few. With
ALLOCPHASE_MATRIX=1 every allocator takes part in every scenario at its full length: hours.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from allocphase import allocator, scenario, trace
from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from allocphase.probe.result import Memory
from allocphase.process.driver import Outcome
from tests.support.driving import Driver, operation_calls
from tests.support.scenarios import TRACED, load_traced

SHIPPED = TRACED
COLLECTION = {name: found for name, found in allocator.collected().items() if found.correct}
MATRIX = os.environ.get("ALLOCPHASE_MATRIX") == "1"
TIMEOUT_S = 3600.0 if MATRIX else 60.0
THROUGHOUT = ("libc", "phase3")
SHORT = (
    *("aligned", "ariax", "ariax-domains", "calloc-mix", "growth", "large-blocks"),
    *("phase-report", "phase-report-churn", "random-churn", "realloc-growth", "shrink"),
)

CUT: dict[str, dict[str, object]] = {
    "alloc-test": {"operations": 150_000},
    "blow-up": {"live_bytes": 20 << 20},
    "blow-up-idle": {"live_bytes": 20 << 20},
    "glibc-thread": {"replacements": 50_000},
    "larson": {"replacements": 30_000},
    "malloc-large": {"replacements": 10},
    "mstress": {"rounds": 3},
    "phase-report-churn": {"allocations": 5_000},
    "random-churn": {"operations": 20_000},
    "realloc-growth": {"operations": 10_000},
    "rptest-even": {"loops": 150},
    "rptest-exponential": {"loops": 150},
    "rptest-linear": {"loops": 150},
    "shrink": {"replacements": 3_000},
    "xmalloc": {"batches": 20},
    "xmalloc-mixed": {"batches": 20},
}
# They give memory back by the clock (10 s, 100 ms, 5 s), so that a slow machine sees more of it.
# mimalloc 3 draws addresses, and maps again where they do not suit it; the full tcmalloc walks the
# stack as it grows, by libunwind, which looks at pages that ASLR has moved.
VARYING = {
    "jemalloc": {"madvise", "mmap", "munmap"},
    "mimalloc": {"madvise", "mprotect"},
    "mimalloc3": {"madvise", "mmap", "mprotect", "munmap"},
    "scudo": {"madvise"},
    "tcmalloc-full": {"mincore", "rt_sigprocmask"},
}

Find = Callable[[str], Allocator]


# Beyond those of the default set: what is too long there is cut here.
ALSO = {"ariax": ("*",), "phase2": ("realloc-growth", "large-blocks")}


def takes_part(name: str, scenario_name: str) -> bool:
    """What searches or calls the system for each object takes part where it does by default."""
    patterns = (*COLLECTION[name].default_scenarios, *ALSO.get(name, ()))
    allowed = any(fnmatchcase(scenario_name, pattern) for pattern in patterns)
    return MATRIX or name in THROUGHOUT or (scenario_name in SHORT and allowed)


CELLS = [(path, name) for path in SHIPPED for name in COLLECTION if takes_part(name, path.stem)]
ALL_CELLS = pytest.mark.parametrize(
    ("made", "name"), CELLS, indirect=["made"], ids=[f"{path.stem}-{name}" for path, name in CELLS]
)


@dataclass(frozen=True, slots=True)
class Made:
    """A scenario, its trace, and the trace's file."""

    scenario: scenario.Scenario
    trace: trace.Trace
    path: Path


@pytest.fixture(scope="module")
def made(
    request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Made]:
    found = load_traced(request.param)
    found = found if MATRIX else found.with_parameters(CUT.get(found.name, {}))
    generated = scenario.generate(found)
    path = tmp_path_factory.mktemp("traces") / "trace"
    trace.write(generated, path)
    yield Made(found, generated, path)
    path.unlink()


def run(driver: Driver, probe: Probe, made: Made, subject: Allocator) -> Outcome:
    cpus = sorted(os.sched_getaffinity(0))
    return driver.run(probe, made.path, subject, cpus=cpus, timeout_s=TIMEOUT_S)


@pytest.mark.parametrize("made", SHIPPED, indirect=True, ids=[path.stem for path in SHIPPED])
def test_a_scenario_makes_the_same_trace_twice(made: Made) -> None:
    again = scenario.generate(made.scenario)
    assert again.digest == made.trace.digest
    assert again.op_counts == made.trace.op_counts
    assert again.peak_live_bytes == made.trace.peak_live_bytes


@ALL_CELLS
def test_every_cell_is_correct(driver: Driver, installed: Find, made: Made, name: str) -> None:
    """mimalloc 2.0.9 (Debian 12) gives aligned_alloc of 256 to 1,024 a block aligned to less."""
    outcome = run(driver, Probe.VERIFY, made, installed(name))
    if (name, made.scenario.family, outcome.status) == ("mimalloc", "aligned", "corrupt"):
        assert "align" in outcome.message
        return
    assert outcome.status == "ok", outcome.message
    assert outcome.result.operations == len(made.trace.ops)


@ALL_CELLS
def test_what_every_cell_counts_is_the_same_twice(
    driver: Driver, installed: Find, made: Made, name: str
) -> None:
    """With several threads the peak, and who takes a lock first, are the run's own."""
    subject = installed(name)
    first, second = (
        [run(driver, probe, made, subject) for probe in (Probe.SYSCALLS, Probe.MEMORY)]
        for _ in range(2)
    )
    for outcome in (*first, *second):
        assert outcome.status == "ok", outcome.message
        assert outcome.result.operations == len(made.trace.ops)
    if len(made.trace.threads) > 1:
        return
    varying = VARYING.get(name, set())
    calls = [
        {call: count for call, count in operation_calls(outcomes[0]).items() if call not in varying}
        for outcomes in (first, second)
    ]
    peaks = [outcomes[1].result.part(Memory).peak_live_bytes for outcomes in (first, second)]
    assert calls[0] == calls[1]
    assert peaks == [made.trace.peak_live_bytes] * 2
