"""What the driver says of one process: its result.json, with a part for each probe.

A Result that says nothing is that of a process which did not end well. docs/schema.md says what
each key means; the C that writes it is driver/main.c and the probe's own file in driver/probes.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Annotated, TypeAlias, TypeVar

from allocphase.files.typed import Amount, Check, Count, FieldError, Number, Positive, at_most
from allocphase.machine.disturbance import Disturbance
from allocphase.operation import MAX_OPERATIONS
from allocphase.probe.counter_group import passes_of
from allocphase.probe.probe import Probe
from allocphase.probe.status import Status

__all__ = [
    "Clock",
    "Faults",
    "Footprint",
    "Function",
    "Hardware",
    "Heap",
    "Instructions",
    "Latency",
    "Memory",
    "Part",
    "Program",
    "ProgramCalls",
    "ProgramMemory",
    "ProgramSyscalls",
    "Result",
    "Simulated",
    "Syscalls",
    "Throughput",
    "Usage",
    "Verify",
    "Work",
    "check_result",
]

SLOW_REPLAY_NS = 2e9

_NUMBER_OF_A_CALL = re.compile("[0-9]{1,5}")
_Numbers = Annotated[
    Mapping[str, str],
    Check(
        "a table of names by the number of a system call",
        lambda names: all(_NUMBER_OF_A_CALL.fullmatch(number) for number in names),
    ),
]
_Calls: TypeAlias = Mapping[str, Count]


@dataclass(frozen=True, slots=True, kw_only=True)
class Clock:
    """overhead_ns: median cost of an empty pair of readings, and its 99th percentile."""

    hz: Positive
    overhead_ns: Amount
    step_ns: Amount
    overhead_p99_ns: Amount | None = None
    minimum_ns: Amount | None = None
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Usage:
    """The whole process's, by getrusage."""

    minor_faults: Count = 0
    major_faults: Count = 0
    voluntary_switches: Count = 0
    involuntary_switches: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """The program's own work between operations, where there is any: what its scenario asks for
    after each, or 1,000 ns of recorded gaps, and what a piece took in this process.
    iterations_per_op: of its chain, for that; iterations: in all.
    """

    asked_ns: Count
    measured_ns: Amount
    iterations_per_op: Count
    iterations: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Throughput:
    """The warm list has a value a pass; those of build and drain one each time that they were
    timed by themselves; thread_ns_per_op, one a thread. cold_ns_per_op, helper_ns_per_op: None of
    what others measured, and was imported. turns: passes that took turns with those of other
    processes, so that the n-th passes of all ran one after the other; 0, it was timed alone.
    """

    cold_ns_per_op: Amount | None = None
    warm_ns_per_op: tuple[Amount, ...]
    build_ns_per_op: tuple[Amount, ...] = ()
    drain_ns_per_op: tuple[Amount, ...] = ()
    thread_ns_per_op: tuple[Amount, ...] = ()
    helper_ns_per_op: Amount | None = 0.0
    replays_per_pass: Count = 0
    run_delay_ns: Count = 0
    turns: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """slow_ns: from there on a call's faults and sleeps were asked for; samples: raw, histogram.
    warm_replays: after the first one.
    """

    samples: str = "raw"
    slow_ns: Amount | None = None
    slow_calls_dropped: Count = 0
    warm_replays: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Syscalls:
    """Counts by name; None where the backend cannot see. operation: of the first replay over each
    part; warm: of the replays after it. thread_calls: in the first replay, by thread.
    """

    backend: str = ""
    init: _Calls | None = None
    operation: _Calls | None = None
    warm: _Calls | None = None
    warm_replays: Count = 0
    teardown: _Calls | None = None
    threads: _Calls | None = None
    thread_calls: tuple[Count, ...] = ()
    numbers: _Numbers = field(default_factory=dict)
    events: Count = 0
    events_dropped: Count = 0
    let_through: Count = 0
    pass_ns: Count | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Memory:
    """Growth since before init, but for `base_rss_bytes`; after teardown, of a plug-in only."""

    peak_live_bytes: Count
    peak_mapped_bytes: Count
    peak_rss_bytes: Count
    rss_after_free_bytes: Count
    lazily_freed_bytes: Count
    mapped_after_free_bytes: Count
    run_peak_live_bytes: Count
    base_rss_bytes: Count
    page_faults: Count
    pass_ns: Count
    mapped_after_teardown_bytes: Count | None = None
    rss_after_teardown_bytes: Count | None = None
    rss_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Footprint:
    """Its curve is in the arrays."""

    pass_ns: Count
    rss_source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Faults:
    """Of the first replay over each part, and of the warm ones; by operation in the arrays."""

    call_faults: Count
    touch_faults: Count
    pass_ns: Count
    warm_replays: Count = 0
    warm_call_faults: Count = 0
    warm_touch_faults: Count = 0
    events_dropped: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Function:
    """What one of an allocator's functions took by itself, in instructions, in the object of that
    name; source: FILE:LINE of its costliest line, "" where there is no debug information.
    """

    name: str
    object: str
    instructions: Count
    source: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Simulated:
    """What the same calls missed in the simulated `caches`, written as machine.simulated_caches
    does: instructions and data together, reads and writes. mispredictions: of simulated branches,
    conditional and indirect ones.
    """

    caches: str
    l1_misses: Count
    ll_misses: Count
    mispredictions: Count


@dataclass(frozen=True, slots=True, kw_only=True)
class Instructions:
    """Of one warm replay, by kind of call: how many calls there were, and how many instructions of
    the allocator they took, with all that they called. functions: the costliest of its own.

    simulated: None where that was not asked for. valgrind: its version, which decides what a
    process sees of the CPU.
    """

    calls: _Calls
    counted: _Calls = field(default_factory=dict)
    functions: tuple[Function, ...] = ()
    simulated: Simulated | None = None
    valgrind: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Hardware:
    """The processor's counters before the first warm pass and after each (probe.counter_group).

    events: of the group, by name the kernel's id, none where there are no counters (`lacks` says
    why); left_out: by name why one is not among them. readings: in words.
    """

    events: _Calls = field(default_factory=dict)
    left_out: Mapping[str, str] = field(default_factory=dict)
    replays_per_pass: Count = 0
    readings: tuple[tuple[Count, ...], ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Verify:
    """conformance: what is wrong with functions that the trace does not use."""

    operations: Count = 0
    replays: Count = 0
    own_checks: Count = 0
    conformance_calls: Count = 0
    conformance: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """A command run whole, with all that it started and that had ended when it did.

    main_cpu_ns, main_delay_ns: of the command's first thread, on a CPU and ready without one; 0
    where the kernel keeps neither. largest_rss_bytes: the peak of the process that had the highest.
    processes: that loaded what is preloaded. providers_of_new: objects that served C++'s operator
    new in some process in the place of the allocator. output_sha256: of its stdout.
    """

    wall_ns: Positive
    user_ns: Count
    system_ns: Count
    main_cpu_ns: Count = 0
    main_delay_ns: Count = 0
    largest_rss_bytes: Count
    minor_faults: Count
    major_faults: Count
    voluntary_switches: Count
    involuntary_switches: Count
    wait_status: Annotated[int, at_most(0xFFFF)]
    output_bytes: Count
    output_sha256: str = ""
    processes: Count = 0
    providers_of_new: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramMemory(Program):
    """The same while somebody looks at its memory: what is in it is not for times.

    peak_tree_rss_bytes: the most that a look found resident in all of its processes together, what
    they share counted once. The looks are in the arrays.
    """

    peak_tree_rss_bytes: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Heap:
    """The memory of one process, and what of it malloc knows.

    anonymous_bytes: the peak of what was resident and of no file. usable_bytes: the peak of what
    malloc had handed out, by malloc_usable_size; None where that is not the allocator's.
    own_mapped_bytes: all that others than the allocator mapped for it. calls, requested_bytes: of
    all of its threads.
    """

    program: str
    anonymous_bytes: Count
    usable_bytes: Count | None = None
    own_mapped_bytes: Count = 0
    calls: Count = 0
    requested_bytes: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramCalls(Program):
    """The same while its calls of malloc are counted and its processes followed: not for times.

    malloc_calls: of all processes, by kind, those that were made. requested_bytes: of the calls
    that got a block. peak_usable_bytes: the most that one process held, by malloc_usable_size.
    started: how many programs were executed, where that could be seen; unreached: of these, how
    often which one loaded nothing of what is preloaded. largest: the process that was reached and
    held the most memory.
    """

    malloc_calls: Mapping[str, Count] = field(default_factory=dict)
    requested_bytes: Count = 0
    peak_usable_bytes: Count | None = None
    started: Count | None = None
    unreached: Mapping[str, Count] = field(default_factory=dict)
    largest: Heap | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramSyscalls(Program):
    """The same while its system calls are counted: what is in it is not for times.

    calls: how many of all of its processes and threads returned, by name, from the command's own
    execve on; None where they were not all seen (`lacks` says why).
    """

    calls: _Calls | None = None


Part: TypeAlias = (
    Throughput
    | Latency
    | Syscalls
    | Memory
    | Footprint
    | Faults
    | Instructions
    | Hardware
    | Verify
    | Program
    | ProgramMemory
    | ProgramSyscalls
    | ProgramCalls
)
P = TypeVar("P", bound=Part)


@dataclass(frozen=True, slots=True, kw_only=True)
class Result:
    """The keys of every process, then the part of its probe, under the probe's name.

    said: on stderr, the beginning, by an allocator whose process has variables of its own.
    """

    driver: Count = 0
    provider: str = ""
    function_alignment_bytes: Count | None = None
    thread_safe: bool = False
    locked: bool = False
    emulated: tuple[str, ...] = ()
    lacks: tuple[str, ...] = ()
    tampered: tuple[str, ...] = ()
    interposes: tuple[str, ...] = ()
    tracer_pid: Count = 0
    operations: Annotated[int, at_most(MAX_OPERATIONS)] = 0
    repeated_operations: Annotated[int, at_most(MAX_OPERATIONS)] = 0
    operation_counts: Mapping[str, Count] = field(default_factory=dict)
    skipped_operations: Count = 0
    helper_threads: Count = 0
    allocator_stats: Mapping[str, Number | None] = field(default_factory=dict)
    allocator_stats_dropped: Count = 0
    said: str = ""
    clock: Clock | None = None
    work: Work | None = None
    usage: Usage | None = None
    disturbance: Disturbance | None = None
    throughput: Throughput | None = None
    latency: Latency | None = None
    syscalls: Syscalls | None = None
    memory: Memory | None = None
    footprint: Footprint | None = None
    faults: Faults | None = None
    instructions: Instructions | None = None
    hardware: Hardware | None = None
    verify: Verify | None = None
    program: Program | None = None
    program_memory: ProgramMemory | None = None
    program_calls: ProgramCalls | None = None
    program_syscalls: ProgramSyscalls | None = None

    def of(self, probe: Probe) -> Part | None:
        """What the probe itself measured."""
        found: Part | None = getattr(self, probe.value)
        return found

    def part(self, kind: type[P]) -> P:
        """The same by its type; of a process of that probe that ended well."""
        found = next((part for probe in Probe if isinstance(part := self.of(probe), kind)), None)
        assert found is not None, f"there is no {kind.__name__} in this result"
        return found

    def lacking(self, what: str) -> str:
        """Why the driver went without that, "" where it did not."""
        found = (text.partition(": ") for text in self.lacks)
        return next((why for name, _, why in found if name == what), "")

    @property
    def is_slow(self) -> bool:
        """Whether one replay of a throughput process took so long that one process has to do."""
        if self.throughput is None or self.throughput.cold_ns_per_op is None:
            return False
        return self.throughput.cold_ns_per_op * self.operations > SLOW_REPLAY_NS


def check_result(probe: Probe, status: Status, result: Result) -> None:
    """A process that ended well says what its probe measured, and what that rests on.

    Raises FieldError for what is missing.
    """
    if status is not Status.OK:
        return
    if result.of(probe) is None:
        raise FieldError("missing", f".{probe.value}")
    if probe is Probe.LATENCY and result.clock is None:
        raise FieldError("missing", ".clock")
    if result.hardware is not None:
        try:
            passes_of(result.hardware.readings, result.hardware.events)
        except ValueError as error:
            raise FieldError(str(error), ".hardware.readings") from None
    calls = result.syscalls
    if calls is not None and calls.operation is not None and not result.operations:
        raise FieldError("must be above 0", ".operations")
