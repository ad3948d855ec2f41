"""Is what is measured of an allocator what it costs? Allocators with known costs tell.

The figures are differences of time per op, paired by round, turned into nanoseconds a call: of the
thread that makes most of the calls in question, since threads work side by side.
"""

from __future__ import annotations

import os
import statistics
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from pytest_benchmark.fixture import BenchmarkFixture

from allocphase import scenario, trace
from allocphase.allocator import Allocator, resolve
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.process.driver import Outcome
from allocphase.scenario import families
from allocphase.trace.records import Kind, Trace, kind_of, repeated_ops
from tests.benchmarks.conftest import Say
from tests.support.driving import Driver
from tests.support.plugins import compiled, plugin

COSTLY, HANDOVER = (Path(__file__).parent / "c" / name for name in ("costly.c", "handover.c"))
CPUS = tuple(sorted(os.sched_getaffinity(0), reverse=True))
PACES_NS = (0, 25, 75)
ROUNDS = 9

# A scenario of each family in which 10 ns a call can be seen: where most of the time goes into the
# program's own writes, or its blocks are of megabytes, they are made fewer and smaller.
FAMILIES = {
    "aligned": "aligned",
    "batch": "phase-report",
    "blocks": "glibc-simple",
    "blowup": "blow-up?live_bytes=1048576",
    "churn": "random-churn",
    "domains": "ariax-domains",
    "exchange": "mstress",
    "fleet": "fleet",
    "growth": "realloc-growth",
    "inverse": "glibc-thread",
    "larson": "larson",
    "loops": "rptest-even",
    "pareto": "alloc-test",
    "queue": "xmalloc",
    "replace": "large-blocks?size_min=64&size_max=4096&replacements=20000",
    "sawtooth": "sawtooth",
    "sharing": "cache-thrash?writes=10&iterations=20000",
    "tagged": "ariax",
    "trimmed": "shrink",
    "window": "phase-report-churn",
    "zeroed": "calloc-mix",
}
# Those that the experiments are made on: one thread; two that stand, alone or with hand-over; two
# that are born and end.
WORKLOADS = ("random-churn", "glibc-thread", "xmalloc", "larson", "mstress")


@dataclass(frozen=True, slots=True)
class Steady:
    """A trace on disk, and what one replay of its steady part is. `handed_out`, `calls`: of the
    thread, or the threads after each other on one lane, that makes most of such calls.
    """

    path: Path
    ops: int
    handed_out: int
    calls: int
    cpus: tuple[int, ...]


def _steady(spec: str, work_ns: int, folder: Path) -> Steady:
    (chosen,) = scenario.resolve(spec)
    made = scenario.generate(chosen.with_parameters({"work_ns": work_ns}))
    path = folder / "bench.trace"
    trace.write(made, path)
    kinds = kind_of(made.ops)
    return Steady(
        path=path,
        ops=repeated_ops(made.threads),
        handed_out=_most_on_a_lane(made, kinds <= Kind.ALIGNED_ALLOC),
        calls=_most_on_a_lane(made, kinds <= Kind.FREE),
        cpus=CPUS[: len(made.threads)],
    )


def _most_on_a_lane(made: Trace, chosen: np.ndarray) -> int:
    counts = made.threads["op_count"].astype(np.int64)
    lane = np.repeat(made.threads["lane"].astype(np.int64), counts)
    return int(np.bincount(lane[chosen & made.repeated()]).max())


def _measure(
    driver: Driver, steady: Steady, arms: Sequence[Allocator], *, full: bool
) -> list[list[Outcome]]:
    """By arm, one process a round: all of as many replays, in an order that changes each round."""
    options = {} if full else {"pass_ns": 1_000_000, "passes": 1}
    found: list[list[Outcome]] = [[] for _ in arms]
    for turn in range(ROUNDS if full else 1):
        for place in np.roll(np.arange(len(arms)), turn).tolist():
            outcome = driver.measure(
                Probe.THROUGHPUT, steady.path, arms[place], cpus=steady.cpus, **options
            )
            options["replays"] = outcome.result.part(Throughput).replays_per_pass
            found[place].append(outcome)
    return found


def _ns(outcomes: Sequence[Outcome]) -> list[float]:
    """Of each process, one replay of the steady part."""
    return [
        statistics.median(outcome.result.part(Throughput).warm_ns_per_op)
        * outcome.result.repeated_operations
        for outcome in outcomes
    ]


def _more_ns(outcomes: Sequence[Outcome], base: Sequence[Outcome]) -> list[float]:
    """What a replay takes more than the base's of the same round."""
    return [ns - base_ns for ns, base_ns in zip(_ns(outcomes), _ns(base), strict=True)]


def _pace(work_ns: int) -> str:
    return f"paced {work_ns}" if work_ns else "asap"


def test_so_much_more_in_each_malloc_shows_as_so_much_a_malloc_in_every_family(
    benchmark: BenchmarkFixture, full: bool, say: Say, driver: Driver, tmp_path: Path
) -> None:
    """On the null allocator, whose own time does not vary."""
    assert set(FAMILIES) == set(families.FAMILIES)
    null = resolve("null")[0]
    costs_ns = (0, 10, 20)
    arms = [plugin(compiled(COSTLY), behind=str(null.path), spin_ns=str(ns)) for ns in costs_ns]
    specs = FAMILIES.items() if full else [("churn", FAMILIES["churn"])]

    def measure() -> None:
        for family, spec in specs:
            for work_ns in PACES_NS if full else PACES_NS[:2]:
                steady = _steady(spec, work_ns, tmp_path)
                base, *others = _measure(driver, steady, arms, full=full)
                texts = []
                for ns, outcomes in zip(costs_ns[1:], others, strict=True):
                    shown = [more / steady.handed_out for more in _more_ns(outcomes, base)]
                    median = statistics.median(shown)
                    spin_ns = _stat(outcomes, "spin_ns")
                    texts.append(
                        f"+{spin_ns:.2f}: {median:.2f} ({min(shown):.2f} to {max(shown):.2f})"
                    )
                    benchmark.extra_info[f"{family}/{_pace(work_ns)}/{ns}"] = median
                base_ns = statistics.median(_ns(base)) / steady.ops
                say(f"{family:9} {_pace(work_ns):9} {base_ns:7.2f} ns an op; {', '.join(texts)}")
                assert min(len(outcomes) for outcomes in (base, *others)) > 0

    benchmark.pedantic(measure, rounds=1, iterations=1)


def test_what_purging_at_a_thread_s_end_and_polluted_caches_explain_of_a_time(
    benchmark: BenchmarkFixture, full: bool, say: Say, driver: Driver, tmp_path: Path
) -> None:
    """On libc: 1 MiB given back at each thread's end and faulted in anew, and 256 KiB of cache
    written before each call. Beside each, what that costs by itself.
    """
    settings: tuple[dict[str, str], ...] = (
        {},
        {"purge_bytes": str(1 << 20)},
        {"pollute_bytes": str(1 << 18)},
    )
    arms = [plugin(compiled(COSTLY), **chosen) for chosen in settings]

    def measure() -> None:
        for spec in WORKLOADS if full else WORKLOADS[:1]:
            for work_ns in PACES_NS if full else PACES_NS[:2]:
                steady = _steady(spec, work_ns, tmp_path)
                base, purging, polluting = _measure(driver, steady, arms, full=full)
                base_ns = statistics.median(_ns(base)) / steady.ops
                purge = statistics.median(_more_ns(purging, base)) / steady.ops
                pollute = statistics.median(_more_ns(polluting, base)) / steady.ops
                alone = _stat(polluting, "walk_ns") * steady.calls / steady.ops
                say(
                    f"{spec:12} {_pace(work_ns):9} {base_ns:7.2f} ns an op;"
                    f" purge {purge:+.2f} ({purge / base_ns:+.1%}; a thread's by itself"
                    f" {_stat(purging, 'purge_ns') / 1000:.0f} µs);"
                    f" pollute {pollute:+.2f}, of which writing {alone:.2f}"
                )
                benchmark.extra_info[f"{spec}/{_pace(work_ns)}"] = [base_ns, purge, pollute, alone]
                assert alone > 0

    benchmark.pedantic(measure, rounds=1, iterations=1)


def _stat(outcomes: Sequence[Outcome], name: str) -> float:
    values = [outcome.result.allocator_stats[name] for outcome in outcomes]
    return statistics.median(value for value in values if value is not None)


# What may be particular about a replay's threads, each against a program's usual: c/handover.c
SWITCHES = (
    ("flag", "pinned", "step"),
    ("lock", "pinned", "step"),
    ("flag", "free", "step"),
    ("flag", "pinned", "apart"),
    ("lock", "free", "apart"),
)
PRELOADED = ("libc", "jemalloc", "tcmalloc", "mimalloc", "scudo")


def test_what_pinning_steps_and_flags_explain_of_two_threads(
    benchmark: BenchmarkFixture, full: bool, say: Say, tmp_path: Path
) -> None:
    """A program of two threads, one of which frees what the other allocates: ns an object under
    libc, and what others take more, as a replay's threads are and with one thing or all changed.
    """
    program = tmp_path / "handover"
    flags = ["-std=c11", "-O2", "-Wall", "-Wextra", "-Werror", "-pthread"]
    subprocess.run(["cc", *flags, "-o", program, HANDOVER], check=True)
    names = PRELOADED if full else PRELOADED[:1]
    arms = [one for name in names for one in resolve(name) if one.missing is None]
    objects = 100_000 if full else 6_400

    def object_ns(one: Allocator, switches: tuple[str, ...]) -> float:
        preload = {} if one.path is None else {"LD_PRELOAD": str(one.path)}
        command = [str(program), *switches, str(objects)]
        done = subprocess.run(
            command, env=os.environ | preload, stdout=subprocess.PIPE, text=True, check=True
        )
        return statistics.median(float(line) for line in done.stdout.split())

    def measure() -> None:
        for switches in SWITCHES:
            found: dict[str, list[float]] = {one.name: [] for one in arms}
            for turn in range(ROUNDS if full else 1):
                for place in np.roll(np.arange(len(arms)), turn).tolist():
                    found[arms[place].name].append(object_ns(arms[place], switches))
            base = found[arms[0].name]
            texts = [f"{arms[0].name} {statistics.median(base):.1f}"]
            for name, values in list(found.items())[1:]:
                more = sorted(a - b for a, b in zip(values, base, strict=True))
                texts.append(
                    f"{name} {statistics.median(more):+.1f} ({more[0]:+.1f} to {more[-1]:+.1f})"
                )
            say(f"{', '.join(switches):22} {'; '.join(texts)}")
            benchmark.extra_info["/".join(switches)] = found
            assert min(base) > 0

    benchmark.pedantic(measure, rounds=1, iterations=1)
