"""The catalogue of metrics: what is told of a cell, under which names, and how a figure is read.

Each has two names that stand for the same, and either is taken wherever a user names a metric:

    name    short, what people type and what rows are called     time    peak_rss        p99
    path    the one of `--json`, with its unit, dots for levels  time_per_op_ns  peak_rss_bytes  ...

Tables, help texts and checks of names elsewhere are made from CATALOGUE; metric_names.py finds an
entry by what a user wrote. To add a metric: a line there, and in docs/schema.md; in metrics.py its
computation, if `--json` does not have it yet.

One process gives one number of each. A timed one is sampled over rounds; a counted one is the same
in every process where the allocator is deterministic, and a sample like a time where it is not.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from allocphase.machine.fingerprint import (
    CALL_FACTS,
    INSTRUCTION_FACTS,
    MEMORY_FACTS,
    SIMULATION_FACTS,
    TIME_FACTS,
)
from allocphase.probe.probe import Probe

__all__ = [
    "CALL_PREFIX",
    "CALL_PREFIXES",
    "CATALOGUE",
    "COMPARED_NAMES",
    "MEASURES",
    "PHASES",
    "PROGRAM_CALL_PREFIX",
    "QUANTILES",
    "SIMULATED_THETA",
    "STATISTICS",
    "Measure",
    "value_at",
]

# "syscalls.mmap" is the measure of one system call; "syscalls" that of all of them.
CALL_PREFIX = "syscalls."
# And of a program's: "program_syscalls.mmap", "program_syscalls".
PROGRAM_CALL_PREFIX = "program_syscalls."
CALL_PREFIXES = (CALL_PREFIX, PROGRAM_CALL_PREFIX)
QUANTILES = {"p50": 0.5, "p90": 0.9, "p99": 0.99, "p99_9": 0.999, "p99_99": 0.9999}
STATISTICS = (*QUANTILES, "max", "mean")
PHASES = ("init", "operation", "teardown", "threads")

# What the figures of a probe depend on of the machine, the timed ones' aside: on TIME_FACTS.
_FACTS = {
    Probe.SYSCALLS: CALL_FACTS,
    Probe.MEMORY: MEMORY_FACTS,
    Probe.FOOTPRINT: MEMORY_FACTS,
    Probe.FAULTS: MEMORY_FACTS,
    Probe.INSTRUCTIONS: INSTRUCTION_FACTS,
    Probe.VERIFY: CALL_FACTS,
    Probe.PROGRAM_MEMORY: MEMORY_FACTS,
    Probe.PROGRAM_CALLS: MEMORY_FACTS,
    Probe.PROGRAM_SYSCALLS: CALL_FACTS,
}

# Of what is simulated: the limit of a gate that asks for it, and what an operation may have more
# whatever share that is. Builds of phase3 that differ in where code lies alone had up to 0.0007
# mispredictions an operation more, and that was from none.
SIMULATED_THETA, SIMULATED_GRAIN = 0.05, 0.01

Metrics = Mapping[str, Any]  # as `--json` has them, of a cell or of one process
Reader = Callable[[Metrics, str], Any]


def value_at(metrics: Metrics, path: str) -> Any:
    """What stands at a path, None where there is nothing. A last level may have dots itself."""
    if path in metrics:
        return metrics[path]
    first, _, rest = path.partition(".")
    below = metrics.get(first)
    return value_at(below, rest) if rest and isinstance(below, Mapping) else None


def _calls(metrics: Metrics, path: str) -> Any:
    """A phase's calls added up, or one of them: 0 where it was not made, None where none is seen.

    path: "syscalls.operation", "syscalls.operation.mmap".
    """
    root, phase, *call = path.split(".")
    counts = value_at(metrics, f"{root}.{phase}")
    if counts is None:
        return None
    if call:
        return counts.get(call[0], 0)
    total = value_at(metrics, f"{root}_total.{phase}")  # where processes differ
    return sum(counts.values()) if total is None else total


def _program_call(metrics: Metrics, path: str) -> Any:
    """One of a program's calls: 0 where it was not made, None where none is seen.

    path: "program_syscalls.calls.mmap".
    """
    table, _, call = path.rpartition(".")
    counts = value_at(metrics, table)
    return None if counts is None else counts.get(call, 0)


@dataclass(frozen=True, slots=True, kw_only=True)
class Measure:
    """One metric, or a family of them: its names then have placeholders, such as <kind>.

    unit: ns, bytes, count, rate (per operation or second), share (of a whole), ratio, excess (a
    ratio less 1), or "" of what is no number. probe: whose processes give it. heading: of a column.
    rule: the default limit, as `--limit` writes it ("memory": that of resident memory); None: it
    cannot be compared. usual: `compare` shows it unless told otherwise. claimed: claims may ask
    for it: each process of the cell gives one number by itself, a time only if the probe is timed.
    interval: `--json` has its interval beside it, under its path and `_interval`. of_trace: it is
    the trace's own, whatever machine replays it. simulated: in the caches that a run chose, or
    nobody. grain: two counts of it that differ by no more are judged equal. spread: of an exact
    count, the limit that holds where its processes differ; None: that of memory.

    Where the processes of a cell count differently, `--json` has their range (see range_of) beside
    the median.
    """

    name: str
    path: str
    title: str
    unit: str
    probe: Probe
    heading: str = ""
    rule: str | None = None
    usual: bool = False
    claimed: bool = True
    interval: bool = False
    of_trace: bool = False
    simulated: bool = False
    grain: float = 0.0
    spread: float | None = None
    reader: Reader = value_at

    @property
    def timed(self) -> bool:
        """Whether it varies from process to process and is tested over rounds."""
        return self.probe.timed

    @property
    def facts(self) -> tuple[str, ...]:
        """The facts of the machine that it depends on (machine.fingerprint): where one of them
        differs, its figures of then say nothing about now.
        """
        if self.of_trace:
            return ()
        if self.simulated:
            return SIMULATION_FACTS
        return TIME_FACTS if self.timed else _FACTS[self.probe]

    @property
    def is_family(self) -> bool:
        """Whether its names have placeholders."""
        return "<" in self.name

    def read(self, metrics: Metrics) -> float:
        """The one number, in `unit`, of a process's metrics or of a cell's; NaN without one."""
        value = self.reader(metrics, self.path)
        return math.nan if value is None else float(value)

    def range_of(self, metrics: Metrics) -> tuple[float, float, int] | None:
        """The least and the greatest of a cell's processes, and how many they are; None where all
        agree, or of a time. `--json` has it under the first level of the path and `_range`.
        """
        root, dot, rest = self.path.partition(".")
        if self.reader is _calls and "." not in rest:
            root = f"{root}_total"
        found = value_at(metrics, f"{root}_range{dot}{rest}")
        return None if found is None else (found[0], found[1], found[2])


def _time(name: str, path: str, title: str, **more: Any) -> Measure:
    return Measure(name=name, path=path, title=title, unit="ns", probe=Probe.THROUGHPUT, **more)


def _latency(name: str, path: str, title: str, **more: Any) -> Measure:
    return Measure(name=name, path=path, title=title, unit="ns", probe=Probe.LATENCY, **more)


def _quantile(name: str) -> Measure:
    told = name.replace("_", ".")
    title = f"{told} of malloc's latency in a process, without calls that were put aside"
    return _latency(name, f"process_latency_ns.malloc.{name}", title, heading=told, rule="off")


def _counted(name: str, path: str, title: str, **more: Any) -> Measure:
    return Measure(
        name=name, path=path, title=title, unit="count", probe=Probe.SYSCALLS, reader=_calls, **more
    )


def _bytes(name: str, title: str, **more: Any) -> Measure:
    """Of the memory probe."""
    return Measure(
        name=name, path=f"{name}_bytes", title=title, unit="bytes", probe=Probe.MEMORY, **more
    )


def _whole(name: str, title: str, **more: Any) -> Measure:
    """A time of a program, run whole."""
    return Measure(
        name=name,
        path=f"{name}_time_ns",
        title=title,
        unit="ns",
        probe=Probe.PROGRAM,
        interval=True,
        **more,
    )


def _tree(name: str, path: str, title: str, unit: str, **more: Any) -> Measure:
    """Of a program's processes together."""
    return Measure(name=name, path=path, title=title, unit=unit, probe=Probe.PROGRAM_MEMORY, **more)


def _malloc_calls(name: str, path: str, title: str, unit: str, **more: Any) -> Measure:
    """Of what a program's processes ask malloc for."""
    return Measure(name=name, path=path, title=title, unit=unit, probe=Probe.PROGRAM_CALLS, **more)


def _tree_calls(name: str, path: str, title: str, **more: Any) -> Measure:
    """Of the system calls of a program's processes together."""
    return Measure(
        name=name, path=path, title=title, unit="count", probe=Probe.PROGRAM_SYSCALLS, **more
    )


def _simulated(name: str, title: str, heading: str) -> Measure:
    """Of callgrind's simulation, of the same calls as instructions."""
    return Measure(
        name=f"simulated_{name}",
        path=f"simulated_{name}_per_op",
        title=f"simulated {title} of the allocator an operation, in a warm replay",
        unit="rate",
        probe=Probe.INSTRUCTIONS,
        heading=f"simulated {heading}",
        rule="off",
        claimed=False,
        simulated=True,
        grain=SIMULATED_GRAIN,
        spread=SIMULATED_THETA,
    )


def _hardware(event: str, title: str, heading: str) -> Measure:
    """Of the processor's counters, the replay's own share included."""
    return Measure(
        name=f"hardware_{event}",
        path=f"hardware_per_op.{event}",
        title=f"{title} an operation by the processor's counters, outside of the kernel, the "
        "replay's own among them",
        unit="rate",
        probe=Probe.HARDWARE,
        heading=f"{heading}:u/op",
        claimed=False,
    )


def _same(name: str, title: str, unit: str, probe: Probe, **more: Any) -> Measure:
    """Of one name for both: it has its unit in it, or none."""
    return Measure(name=name, path=name, title=title, unit=unit, probe=probe, **more)


# Of several that fit a name the first is meant.
CATALOGUE = (
    _time(
        "time",
        "time_per_op_ns",
        "time per operation",
        heading="time/op",
        rule="2%",
        usual=True,
        interval=True,
    ),
    _time(
        "saved",
        "saved_per_op_ns",
        "time saved an operation over the run's baseline, paired by round",
        heading="saved",
        claimed=False,
        interval=True,
    ),
    _time("build_time", "build_time_per_op_ns", "time per operation of the build part", rule="off"),
    _time("drain_time", "drain_time_per_op_ns", "time per operation of the drain part", rule="off"),
    _time("cold_time", "cold_time_per_op_ns", "time per operation of the first replay"),
    _time("helper_time", "helper_ns_per_op", "CPU time of the allocator's own threads"),
    _same("ops_per_second", "operations a second", "rate", Probe.THROUGHPUT),
    _time(
        "thread_time", "thread_time_per_op_ns", "time per operation of each thread", claimed=False
    ),
    _time("pass.<probe>", "pass_ns.<probe>", "cold pass under <probe>", claimed=False),
    _time("floor", "floor_ns", "time per operation of the null allocator", claimed=False),
    _same(
        "replay_share",
        "replay's share of the time",
        "share",
        Probe.THROUGHPUT,
        heading="replay",
        claimed=False,
    ),
    *(_quantile(name) for name in QUANTILES),
    _latency(
        "latency.<kind>.<statistic>",
        "latency_ns.<kind>.<statistic>",
        "<statistic> of <kind>'s latency",
        heading="<statistic>",
    ),
    _latency(
        "first_touch.<statistic>",
        "first_touch_ns.<statistic>",
        "<statistic> of the first write to new memory",
    ),
    _latency(
        "cold_latency.<kind>.<statistic>",
        "cold_latency_ns.<kind>.<statistic>",
        "<statistic> of <kind>'s latency in the first replay",
    ),
    _latency(
        "cold_first_touch.<statistic>",
        "cold_first_touch_ns.<statistic>",
        "<statistic> of the first write to new memory in the first replay",
    ),
    _latency("clock_floor", "clock_floor_ns", "what reading the clock costs"),
    _latency("clock_step", "clock_step_ns", "the clock's step"),
    # The latency probe and the syscalls probe taken together.
    _same(
        "outlier_causes.<quantile>",
        "causes of calls above <quantile>",
        "share",
        Probe.LATENCY,
        claimed=False,
    ),
    _same("cause_calls.<cause>", "timed calls with <cause>", "count", Probe.LATENCY, claimed=False),
    _same("cause_cost_ratio.<cause>", "what <cause> costs", "ratio", Probe.LATENCY, claimed=False),
    _same(
        "cold_outlier_causes.<quantile>",
        "causes of calls above <quantile> in the first replay",
        "share",
        Probe.LATENCY,
        claimed=False,
    ),
    _same(
        "cold_cause_calls.<cause>",
        "timed calls with <cause> in the first replay",
        "count",
        Probe.LATENCY,
        claimed=False,
    ),
    _same(
        "cold_cause_cost_ratio.<cause>",
        "what <cause> costs in the first replay",
        "ratio",
        Probe.LATENCY,
        claimed=False,
    ),
    _counted(
        "syscalls", "syscalls.operation", "system calls in operation", rule="exact", usual=True
    ),
    _counted("syscalls.<phase>", "syscalls.<phase>", "system calls in <phase>"),
    _counted(
        "syscalls.<call>", "syscalls.operation.<call>", "calls of <call> in operation", rule="exact"
    ),
    _counted("syscalls.<phase>.<call>", "syscalls.<phase>.<call>", "calls of <call> in <phase>"),
    _same("syscalls_per_op", "system calls an operation", "rate", Probe.SYSCALLS, heading="sys/op"),
    _same(
        "steady_syscalls_per_op",
        "system calls an operation in the warm replays",
        "rate",
        Probe.SYSCALLS,
        heading="steady sys/op",
    ),
    _same("thread_syscalls", "system calls of each thread", "count", Probe.SYSCALLS, claimed=False),
    _same("syscall_backend", "how system calls are seen", "", Probe.SYSCALLS, claimed=False),
    _bytes("peak_live", "peak live bytes", heading="peak live", rule="exact", of_trace=True),
    _bytes(
        "peak_mapped",
        "peak mapped bytes",
        heading="peak mapped",
        rule="exact",
        usual=True,
    ),
    _same(
        "page_faults",
        "page faults in operation",
        "count",
        Probe.MEMORY,
        heading="faults",
        rule="exact",
        usual=True,
    ),
    _bytes(
        "peak_rss",
        "peak resident bytes",
        heading="peak RSS",
        rule="memory",
        usual=True,
    ),
    _bytes(
        "rss_after_free",
        "resident bytes after the last free",
        heading="RSS, all freed",
    ),
    _bytes("lazily_freed", "bytes freed but still resident", heading="of it lazily freed"),
    _bytes("mapped_after_free", "mapped bytes after the last free", heading="mapped, all freed"),
    _bytes("rss_after_teardown", "resident bytes after fini", heading="RSS after teardown"),
    _bytes("mapped_after_teardown", "mapped bytes after fini", heading="mapped after teardown"),
    _bytes(
        "startup_rss",
        "resident bytes before init, over libc's",
        heading="RSS at start, over libc",
        claimed=False,
    ),
    _same("page_faults_in_calls", "page faults in calls", "count", Probe.FAULTS),
    _same(
        "steady_page_faults_per_op",
        "page faults an operation in the warm replays",
        "rate",
        Probe.FAULTS,
    ),
    _same(
        "fragmentation",
        "fragmentation: peak RSS over peak live bytes, less 1",
        "excess",
        Probe.MEMORY,
        heading="frag",
    ),
    Measure(
        name="instructions",
        path="instructions_per_op",
        title="instructions of the allocator an operation, in a warm replay",
        unit="rate",
        probe=Probe.INSTRUCTIONS,
        heading="instr/op",
        rule="off",
        spread=0.005,
    ),
    _simulated("l1_misses", "misses of the first-level caches", "L1 misses/op"),
    _simulated("ll_misses", "misses of the last-level cache", "LL misses/op"),
    _simulated("mispredictions", "mispredicted branches", "mispredictions/op"),
    _same(
        "instructions.<kind>",
        "instructions of a <kind>, in a warm replay",
        "rate",
        Probe.INSTRUCTIONS,
        rule="off",
        spread=0.005,
    ),
    _same(
        "instruction_functions.<function>",
        "of instructions an operation, those that <function> takes by itself",
        "rate",
        Probe.INSTRUCTIONS,
        claimed=False,
    ),
    _hardware("instructions", "instructions", "instructions"),
    _hardware("cycles", "cycles", "cycles"),
    _hardware("branch_misses", "mispredicted branches", "branch-misses"),
    _hardware("l1d_misses", "reads that missed the first-level data cache", "L1d-misses"),
    _hardware("ll_misses", "reads that missed the last-level cache", "LL-misses"),
    _hardware("dtlb_misses", "reads that missed the data TLB", "dTLB-misses"),
    _same(
        "hardware_floor_per_op.<event>",
        "the null allocator's <event> an operation",
        "rate",
        Probe.HARDWARE,
        claimed=False,
    ),
    _same("allocator_stats.<stat>", "<stat>, as the allocator says", "count", Probe.MEMORY),
    _same("verified", "whether verify found nothing", "count", Probe.VERIFY),
    _whole("wall", "wall time of a program", heading="wall", rule="2%", usual=True),
    _whole(
        "saved_wall",
        "wall time that a program saves over the run's baseline, paired by round",
        heading="saved",
        claimed=False,
    ),
    _whole("cpu", "CPU time of a program's processes", heading="CPU", rule="2%", usual=True),
    _whole("user", "of it outside of the kernel", heading="user"),
    _whole("system", "of it in the kernel", heading="system"),
    _same(
        "context_switches",
        "context switches of a program's processes",
        "count",
        Probe.PROGRAM,
        heading="switches",
    ),
    _same(
        "processes",
        "processes of a program",
        "count",
        Probe.PROGRAM,
        heading="processes",
        claimed=False,
    ),
    _same("output_sha256", "digest of a program's output", "", Probe.PROGRAM, claimed=False),
    _tree(
        "program_peak_rss",
        "program_peak_rss_bytes",
        "peak resident bytes of a program's processes together",
        "bytes",
        heading="peak RSS",
        rule="memory",
        usual=True,
    ),
    _tree(
        "largest_process_rss",
        "largest_process_rss_bytes",
        "peak resident bytes of a program's largest process",
        "bytes",
        heading="largest process",
    ),
    _tree(
        "program_page_faults",
        "program_page_faults",
        "page faults of a program's processes",
        "count",
        heading="faults",
        rule="memory",
        usual=True,
    ),
    _tree(
        "program_major_faults",
        "program_major_faults",
        "page faults of a program's processes that read from a disk",
        "count",
    ),
    _malloc_calls(
        "malloc_calls",
        "malloc_calls",
        "calls of malloc and its kin by a program's processes",
        "count",
        heading="malloc calls",
        rule="memory",
    ),
    _malloc_calls(
        "malloc_calls.<entry>",
        "malloc_calls_by_function.<entry>",
        "calls of <entry> by a program's processes",
        "count",
    ),
    _malloc_calls(
        "requested",
        "requested_bytes",
        "bytes that a program's processes asked for in all",
        "bytes",
        heading="asked for",
    ),
    _malloc_calls(
        "largest_process_usable",
        "largest_process_usable_bytes",
        "peak of what malloc had handed out to one process, as malloc_usable_size says",
        "bytes",
        heading="peak usable",
        rule="memory",
        usual=True,
    ),
    _malloc_calls(
        "unreached_processes",
        "unreached_processes",
        "programs that were started without the allocator",
        "count",
    ),
    _tree_calls(
        "program_syscalls",
        "program_syscalls.total",
        "system calls of a program's processes",
        heading="syscalls",
        rule="memory",
        usual=True,
    ),
    _tree_calls(
        "program_memory_syscalls",
        "program_syscalls.memory",
        "of them those of memory: mmap, munmap, mremap, brk, madvise, mprotect",
        heading="memory syscalls",
        rule="off",
        usual=True,
    ),
    _tree_calls(
        "program_syscalls.<call>",
        "program_syscalls.calls.<call>",
        "calls of <call> by a program's processes",
        rule="off",
        reader=_program_call,
    ),
)
# Those that can be compared and gated, by short name; system calls by name come on top.
MEASURES = {one.name: one for one in CATALOGUE if one.rule is not None and not one.is_family}
COMPARED_NAMES = tuple(one.name for one in CATALOGUE if one.rule is not None)
