"""A small run directory made of arithmetic: the same on every machine, and with every awkwardness.

Names with markup in them, a crashed cell, a cell with warnings, a scenario without floor, kept
samples and histograms. Figures rest on formulas, not on a random generator.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.claim import Finding, Judged, Section, Verdict, write_section
from allocphase.files.typed import read
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import (
    BUCKETS,
    CHECKPOINT,
    FAULT_EVENT,
    KINDS,
    OUTLIER,
    SIZE_CLASSES,
    SLOW_CALL,
    SYSCALL_EVENT,
    Arrays,
)
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.run.plan import COUNT_PROCESSES
from allocphase.store.manifest import Manifest, ScenarioEntry
from allocphase.store.record import ProcessRecord
from allocphase.store.writer import RunWriter
from tests.support.manifests import allocator_entry, manifest_of, plan_entry, scenario_entry
from tests.support.programs import program_entry, program_processes
from tests.support.replays import with_warm_replays

WARM_REPLAYS = 10  # so that few operations have a tail
ROUNDS = 5
# Further processes of a cell have ids beyond those of all first ones.
REPEAT_IDS = 1_000_000
PROGRAM_IDS = 100_000_000
PROGRAMS = ("program-words", "program-<i>")
PROBES = tuple(probe for probe in TRACE_PROBES if probe is not Probe.VERIFY)
HZ = 1e9
MARKUP = "<i>markup</i> & |pipe|"
# ns per op of each allocator; the floor and one that crashes among them.
TIMES_NS = {"libc": 20.0, "phase2": 2000.0, "phase21": 60.0, "fast": 10.0, MARKUP: 30.0}
FLOOR = "null"
MALLOC, FREE, FREE_FOREIGN, WRITE, FREE_REMOTE = (
    KIND_NAMES.index(n) for n in ("malloc", "free", "free_foreign", "write", "free_remote")
)
# In names of scenarios: a level of a sweep, and the one level that has two threads.
_LEVEL, _THREADED = "?live=", "=400"
SCENARIOS = {"keep": 400, "<script>alert(1)</script>": 240}
# Near the floor of 3 ns; one is below it. Only ariax knows domains. No ratio lies in the middle of
# two that are printed: numpy's last digit is the CPU's.
NEAR_NS = {"libc": 4.0, "mimalloc": 3.5005, "jemalloc": 2.8995, "ariax": 4.6}
# The one scenario with operations that are no calls, and the one in which all but the floor take
# a fifth longer.
MIXED, DEARER = "mixed", "dearer"


def write_run(
    path: Path,
    *,
    times_ns: Mapping[str, float] = TIMES_NS,
    scenarios: Mapping[str, int] = SCENARIOS,
    label: str = "golden <run>",
    processes: int | None = None,
    programs: Sequence[str] = (),
) -> Path:
    """Writes the run into `path` and returns it. scenarios: operations by name; programs: those
    that follow them.

    processes: how many were planned, of a run that stopped before it had all of them.
    """
    writer = RunWriter(path)
    writer.write_manifest(_manifest(label, [FLOOR, *times_ns], scenarios, processes, programs))
    for index, name in enumerate(programs):
        first_id = PROGRAM_IDS * (index + 1)
        for record, arrays in program_processes(
            name, list(times_ns), rounds=ROUNDS, first_id=first_id
        ):
            writer.add(record, arrays)
    for index, (name, operations) in enumerate(scenarios.items()):
        writer.write_operations(index, _operations(name, operations))
        for record, arrays in _processes(index, name, operations, times_ns):
            writer.add(record, arrays)
    return path


def write_programs(path: Path) -> Path:
    """A trace and two programs, in one of which there is markup."""
    return write_run(path, scenarios={"keep": 400}, programs=PROGRAMS, label="programs")


def write_wide(path: Path) -> Path:
    """11 allocators on 10 scenarios, as the default set has; names are as long as theirs."""
    times = {f"allocator-{n}": 20.0 + n for n in range(9)} | {"libc": 20.0, "mimalloc3": 990.0}
    scenarios = {f"scenario-of-set-{n}": 240 for n in range(10)}
    return write_run(path, times_ns=times, scenarios=scenarios)


def write_near(path: Path) -> Path:
    """Allocators of which the replay takes more than the half, on two scenarios."""
    return write_run(path, times_ns=NEAR_NS, scenarios={MIXED: 400, DEARER: 240}, label="near")


def write_swept(path: Path) -> Path:
    """A sweep of three levels, the last one with two threads, and claims judged on it."""
    scenarios = {f"grow?live={live}": 4 * live for live in (100, 200, 400)}
    write_section(_claims(), write_run(path, scenarios=scenarios, label="swept"))
    return path


def _claims() -> Section:
    kept = Finding(
        form="count",
        subject="mmap calls of phase2",
        verdict=Verdict.REPRODUCED,
        expected="200",
        measured="200 <b>exactly</b>",
        value=200.0,
        notes=("a doubt",),
    )
    broken = Finding(
        form="arithmetic",
        subject="2 to 1",
        verdict=Verdict.INCONSISTENT,
        expected="3x",
        measured="2.00x",
        value=2.0,
    )
    claims = (
        Judged("C1", "phase2 maps each block", "report, page 1", (kept,)),
        Judged("C2", "twice is <i>three times</i>", "report, page 2", (broken, kept)),
    )
    thesis = ("Spikes stay.", "The search is linear.")
    return Section("The claims", "A report.", "swept", "Golden CPU <1>", claims, thesis)


def write_large(path: Path, *, scenarios: int, operations: int) -> Path:
    """8 allocators in 5 rounds; with 20 scenarios these are 800 latency processes."""
    allocators = (
        "libc",
        "jemalloc",
        "tcmalloc",
        "mimalloc",
        "phase1",
        "phase2",
        "phase21",
        "phase3",
    )
    times = {name: TIMES_NS.get(name, 8.0 + 3 * place) for place, name in enumerate(allocators)}
    names = {f"scenario-{n}": operations for n in range(scenarios)}
    return write_run(path, times_ns=times, scenarios=names, label="large")


def _manifest(
    label: str,
    allocators: Sequence[str],
    scenarios: Mapping[str, int],
    processes: int | None,
    programs: Sequence[str],
) -> Manifest:
    return manifest_of(
        [allocator_entry(name, config={"pool": "<1>"}) for name in allocators],
        [
            *(_scenario(name, count) for name, count in scenarios.items()),
            *map(program_entry, programs),
        ],
        label=label,
        command=("allocphase", "run", "--label", label),
        environment={
            "allocphase": "0.1.0",
            "cpu": "Golden CPU <1>",
            "memory_bytes": 2**33,
            "tuning": {},
        },
        plan=plan_entry(
            probes=PROBES,
            rounds=ROUNDS,
            processes=processes or 0,
            resumable=processes is not None,
        ),
    )


def _scenario(name: str, operations: int) -> ScenarioEntry:
    return scenario_entry(
        name,
        operations,
        parameters={"live": int(name.partition("=")[2])} if _LEVEL in name else {},
        threads=_threads(name),
        operation_counts=_operation_counts(name, operations),
    )


def _operations(name: str, count: int) -> Arrays:
    """The first half allocates, the second frees; each is a thread's where there are two.

    The second thread then frees what the first one used last.
    """
    half, threads = count // 2, _threads(name)
    rank = np.arange(count) % (count // threads)
    return {
        "kind": _kinds(name, count),
        "size": np.concatenate([16 + np.arange(half) % 300, np.zeros(half)]).astype(np.uint32),
        "thread": (np.arange(count) // (count // threads)).astype(np.uint16),
        "op": rank.astype(np.uint32),
        **dict.fromkeys(("thread_build", "thread_drain"), np.zeros(threads, np.int64)),
    }


def _kinds(name: str, count: int) -> npt.NDArray[np.uint8]:
    """Halves; of the mixed scenario, frees of a foreign domain and writes end the second half."""
    free = FREE if _threads(name) == 1 else FREE_REMOTE
    kinds = np.repeat([MALLOC, free], count // 2).astype(np.uint8)
    if name == MIXED:
        kinds[-count // 4 :] = np.repeat(
            [FREE_FOREIGN, WRITE], [count // 10, count // 4 - count // 10]
        )
    return kinds


def _operation_counts(name: str, count: int) -> dict[str, int]:
    """As a manifest has them."""
    return {
        kind: int(np.count_nonzero(_kinds(name, count) == code))
        for code, kind in enumerate(KIND_NAMES[:-1])
    }


def _skipped(allocator: str, name: str, count: int) -> int:
    """How many foreign frees one pass skips."""
    return 0 if allocator == "ariax" else _operation_counts(name, count)["free_foreign"]


def _processes(
    scenario: int, name: str, count: int, times_ns: Mapping[str, float]
) -> Iterator[tuple[ProcessRecord, Arrays]]:
    for round_index in range(ROUNDS):
        for place, allocator in enumerate((FLOOR, *times_ns)):
            for order, probe in enumerate(PROBES):
                counted = probe not in ("throughput", "latency")
                if counted and (round_index or allocator == FLOOR):
                    continue
                number = ((scenario * ROUNDS + round_index) * 16 + place) * len(PROBES) + order
                time_ns = _time_ns(allocator, name, times_ns)
                for repeat in range(COUNT_PROCESSES if probe.counts else 1):
                    result, arrays = _probe(
                        probe, allocator, round_index, count, time_ns, threads=_threads(name)
                    )
                    if name == MIXED:
                        _leave_out(result, arrays, allocator, count)
                    if allocator == "fast" and name == "keep":
                        _vary(result, repeat)
                    record = _record(number, round_index, allocator, name, probe, result)
                    arrays = with_warm_replays(arrays, operations=count, warm=WARM_REPLAYS)
                    yield replace(record, id=number + repeat * REPEAT_IDS, repeat=repeat), arrays


def _time_ns(allocator: str, scenario: str, times_ns: Mapping[str, float]) -> float:
    """phase21 is linear in the level of a sweep."""
    level = float(scenario.partition("=")[2]) / 100 if _LEVEL in scenario else 1.0
    dearer = 1.2 if scenario == DEARER and allocator != FLOOR else 1.0
    return times_ns.get(allocator, 3.0) * (level if allocator == "phase21" else dearer)


def _vary(result: dict[str, Any], repeat: int) -> None:
    """One process of four counts more."""
    more = repeat == 2
    if "memory" in result:
        result["memory"]["page_faults"] += more
        result["memory"]["peak_rss_bytes"] += 4096 * more
    if "syscalls" in result:
        result["syscalls"]["operation"]["madvise"] = 4 * more
    if "faults" in result:
        result["faults"]["call_faults"] += more


def _leave_out(result: dict[str, Any], arrays: Arrays, allocator: str, count: int) -> None:
    """What is no call took no time; the driver counts what it skipped in all passes."""
    kinds, skipped = _kinds(MIXED, count), _skipped(allocator, MIXED, count)
    result["operation_counts"] = {k: n for k, n in _operation_counts(MIXED, count).items() if n}
    result["skipped_operations"] = skipped * (26 if "throughput" in result else 1)
    if "call_ticks" in arrays:
        arrays["call_ticks"][kinds == WRITE] = 0
        if skipped:
            arrays["call_ticks"][kinds == FREE_FOREIGN] = 0


def _record(
    number: int, round_index: int, allocator: str, scenario: str, probe: str, result: dict[str, Any]
) -> ProcessRecord:
    crashed = allocator == MARKUP and probe == "latency" and scenario == "keep"
    return ProcessRecord(
        id=number,
        round=round_index,
        allocator=allocator,
        scenario=scenario,
        probe=Probe(probe),
        status=Status.CRASHED if crashed else Status.OK,
        message="SIGSEGV: <b>free</b>(): invalid pointer" if crashed else "",
        wall_s=0.1,
        result=Result() if crashed else read(Result, result),
    )


def _threads(scenario: str) -> int:
    return 1 + scenario.endswith(_THREADED)


def _probe(
    probe: str, allocator: str, round_index: int, count: int, time_ns: float, *, threads: int
) -> tuple[dict[str, Any], Arrays]:
    result: dict[str, Any] = {
        "operations": count,
        "repeated_operations": count,
        "clock": {"hz": HZ, "overhead_ns": 18.0, "step_ns": 1.0},
        "usage": {"involuntary_switches": 900 if allocator == "phase2" else 3},
    }
    if probe == "throughput":
        # 2% to and fro over the rounds; fast is as fast as libc in the last one.
        value = (
            time_ns
            * (1 + 0.01 * (round_index - 2))
            * (2 if round_index == 4 and time_ns == 10 else 1)
        )
        result["throughput"] = {
            "cold_ns_per_op": 2 * value,
            "warm_ns_per_op": [value] * 5,
            "thread_ns_per_op": [value, 2 * value] if threads > 1 else [],
            "build_ns_per_op": [3 * value],
            "drain_ns_per_op": [value / 2],
        }
        return result, {}
    if probe == "latency":
        result["latency"] = {"warm_replays": WARM_REPLAYS}
        return result, _latency(allocator, round_index, count, time_ns, threads=threads)
    if probe == "syscalls":
        return _syscalls(result, allocator, count, threads=threads)
    if probe == "memory":
        return {**result, "memory": _memory(allocator, count)}, {}
    if probe == "footprint":
        return {**result, "footprint": {"pass_ns": 9000}}, {
            "checkpoints": _points(allocator, count)
        }
    faults = np.zeros(3, dtype=FAULT_EVENT)
    faults["op"], faults["call_faults"] = [3, 50, 110], 1
    part = {"call_faults": 3, "touch_faults": 9, "events_dropped": 0, "pass_ns": 9000}
    part |= {"warm_replays": WARM_REPLAYS, "warm_call_faults": 3 * WARM_REPLAYS}
    return {**result, "faults": part}, {"faults": faults}


def _latency(
    allocator: str, round_index: int, count: int, time_ns: float, *, threads: int
) -> Arrays:
    index = np.arange(count)
    # Knuth's multiplicative hash stands for chance; its inverse gives the tail of a Pareto law.
    chance = (index + 97 * round_index) * 2654435761 % 2**32 / 2**32
    ticks = time_ns + 20 + 5 / (1 - 0.9995 * chance)
    if allocator == "phase21":
        ticks = ticks + 2 * (index % (count // 2))
    ticks[index % 97 == 41] *= 50
    if allocator == "fast":
        return _counted(ticks.astype(int) % 64, threads=threads)
    touch = np.full(count, 5, dtype=np.uint32)
    return {
        "call_ticks": ticks.astype(np.uint32),
        "touch_ticks": touch,
        "slow": _slow(allocator, np.flatnonzero(index % 97 == 41)),
    }


def _slow(allocator: str, spikes: npt.NDArray[np.int64]) -> npt.NDArray[np.void]:
    """What happened in the spikes: libc faults in each, phase21 sleeps or is put aside."""
    slow = np.zeros(spikes.size, dtype=SLOW_CALL)
    slow["op"] = spikes
    slow["faults"] = allocator == "libc"
    slow["sleeps"] = (allocator == "phase21") & (spikes % 2 == 0)
    slow["preemptions"] = (allocator == "phase21") & (spikes % 2 == 1)
    return slow[: spikes.size if allocator in ("libc", "phase21") else 0]


def _counted(ticks: npt.NDArray[np.int64], *, threads: int) -> Arrays:
    """As of a long trace: histograms, and the slowest calls one by one. All ticks are below 64."""
    counts = np.zeros((KINDS, SIZE_CLASSES, BUCKETS), dtype=np.uint64)
    halves = np.split(ticks, 2)
    kinds = (MALLOC, FREE if threads == 1 else FREE_REMOTE)
    for kind, part in zip(kinds, halves, strict=True):
        counts[kind, 5] = np.bincount(part, minlength=BUCKETS)
    slowest = np.flatnonzero(ticks >= 60)
    outliers = np.zeros(slowest.size, dtype=OUTLIER)
    outliers["op"], outliers["ticks"], outliers["size"] = slowest, ticks[slowest], 32
    outliers["kind"] = np.where(slowest < ticks.size // 2, *kinds)
    outliers["thread"] = slowest * threads // ticks.size
    by_thread = [np.bincount(part, minlength=BUCKETS) for part in np.split(ticks, threads)]
    return {
        "call_histogram": counts,
        "touch_histogram": np.zeros_like(counts),
        "thread_histogram": np.array(by_thread, dtype=np.uint64),
        "outliers": outliers,
    }


def _syscalls(
    result: dict[str, Any], allocator: str, count: int, *, threads: int
) -> tuple[dict[str, Any], Arrays]:
    half = count // 2
    makes = allocator == "phase2"
    events = np.zeros(count if makes else 1, dtype=SYSCALL_EVENT)
    places = np.arange(events.size)
    events["thread"], events["op"] = places // (count // threads), places
    events["number"] = np.where(places < half, 9, 11) if makes else 12
    calls = {"mmap": half, "munmap": half} if makes else {"brk": 1}
    result["syscalls"] = {
        "backend": "dispatch",
        "init": {"mmap": 1} if allocator.startswith("phase") else None,
        "operation": calls,
        "warm_replays": WARM_REPLAYS,
        "warm": {name: n * WARM_REPLAYS for name, n in calls.items()},
        "teardown": {"munmap": 1} if allocator.startswith("phase") else None,
        "numbers": {"9": "mmap", "11": "munmap", "12": "brk"},
        "thread_calls": np.bincount(events["thread"], minlength=threads).tolist(),
        "events": events.size,
        "events_dropped": 0,
    }
    return result, {"syscalls": events}


def _factor(allocator: str) -> int:
    """Resident over live bytes."""
    return 20 if allocator == "phase2" else 2


def _points(allocator: str, count: int) -> npt.NDArray[np.void]:
    points = np.zeros(41, dtype=CHECKPOINT)
    points["op"] = np.linspace(0, count, 41).astype(int)
    points["live_bytes"] = 100 * np.minimum(points["op"], count - points["op"]) * 2
    points["rss_bytes"] = points["live_bytes"] * _factor(allocator)
    points["mapped_bytes"] = points["rss_bytes"] + 4096
    return points


def _memory(allocator: str, count: int) -> dict[str, Any]:
    peak, factor = int(_points(allocator, count)["live_bytes"].max()), _factor(allocator)
    return {
        "rss_source": "smaps_rollup",
        "pass_ns": 9000,
        "base_rss_bytes": 4096,
        "peak_live_bytes": peak,
        "run_peak_live_bytes": peak,
        "peak_mapped_bytes": peak * factor,
        "peak_rss_bytes": peak * factor,
        "rss_after_free_bytes": peak // 4,
        "mapped_after_free_bytes": peak,
        "rss_after_teardown_bytes": 0 if allocator.startswith("phase") else None,
        "mapped_after_teardown_bytes": 4096 if allocator.startswith("phase") else None,
        "lazily_freed_bytes": 0,
        "page_faults": 12,
    }
