"""An allocator's stacks by the samples of `perf record`, of a replay or of a program.

perf is found by its name, and asked for whatever clock it has here (cycles, or the kernel's timer
on a machine that shows none); where it may not look at the kernel, its samples say so with `:u`.
Stacks are unwound by the objects' own tables: no frame pointer is needed. A function without a name
is its object; what is in the kernel is one frame, the system call or the fault that led there.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from allocphase import resources
from allocphase.allocator import Allocator
from allocphase.allocator.environment import environment_of, without_allocator_variables
from allocphase.errors import AllocphaseError
from allocphase.machine.kernel_file import read_text
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.process.driver import DriverExecutor, TraceJob, driver_arguments, own_variables
from allocphase.process.keeper import Command, Ending
from allocphase.process.output import DamagedError, ForeignError, read_delivery
from allocphase.process.program import PROCESSES
from allocphase.profile.stacks import FOREIGN, Frame, Kind, Profile, merged
from allocphase.scenario import Program
from allocphase.text.line import plain
from allocphase.text.units import counted

__all__ = [
    "NOT_INSTALLED",
    "PerfError",
    "find_perf",
    "profiled",
    "profiled_program",
    "read_samples",
]

NOT_INSTALLED = "not installed: apt-get install linux-perf (or linux-tools-generic)"
# Samples a second, at most, and of a program that may run for a minute: no timer's multiple.
FREQUENCY, PROGRAM_FREQUENCY = 4999, 997
_MOST_FREQUENT = Path("/proc/sys/kernel/perf_event_max_sample_rate")
# Of each sample, the stack that is unwound: deeper ones are cut at their outer end.
STACK_BYTES = 4096
# One pass that lasts so long: some thousand samples.
PASS_NS = 2_000_000_000
DATA_BYTES = 2 << 30
SCRIPT_TIMEOUT_S = 600.0
ENV = "/usr/bin/env"
# Without a name for so much of the allocator a flame graph shows nothing.
NAMED = 0.5
_UNNAMED = "[unknown]"

# Of libc's malloc, whose object has much else in it; the frames nearest to the program.
_MALLOC = re.compile(
    r"(__libc_|__GI___libc_|__GI_+|_+)?"
    r"(malloc|free|cfree|calloc|realloc|reallocarray|memalign|posix_memalign|aligned_alloc|valloc"
    r"|pvalloc|malloc_trim|malloc_usable_size|_?mid_memalign|int_(malloc|free|realloc|memalign)\w*"
    r"|malloc_consolidate|sysmalloc|systrim|unlink_chunk|tcache_\w+|arena_get\w*|ptmalloc_\w+)"
    r"([.@]\S*)?"
)
_LIBC = ("libc.so", "libc-2")
_SYSTEM_CALL = re.compile(r"__(?:x64|arm64|ia32|se|do)_sys_(\w+)")
# `perf script`: "  7f00 name+with blanks (/path/of/object)".
_FRAME = re.compile(r"\s+([0-9a-f]+) (.*) \((.*)\)")
# "name 123 cycles:u: " above them.
_EVENT = re.compile(r"(\S+?):\s*$")


class PerfError(AllocphaseError):
    """perf is not there, is not permitted, or cannot name the allocator's functions: its message
    says which.
    """


@dataclass(slots=True)
class Samples:
    """stacks: of the allocator, outermost first; rest: by what they are in. named: of the
    allocator's own frames at the end of a stack, those with a name. event: perf's own word for it.
    """

    stacks: dict[tuple[Frame, ...], int] = field(default_factory=dict)
    rest: dict[str, int] = field(default_factory=dict)
    named: int = 0
    unnamed: int = 0
    event: str = ""

    @property
    def sees_the_kernel(self) -> bool:
        """Whether what the kernel does for the allocator is in it."""
        return not self.event.endswith(":u")


def find_perf() -> Path:
    """Raises PerfError where there is none."""
    found = shutil.which("perf")
    if found is None:
        raise PerfError(f"perf is {NOT_INSTALLED}")
    return Path(found)


def profiled(
    allocator: Allocator, trace: Path, executor: DriverExecutor, folder: Path, *, timeout_s: float
) -> Profile:
    """Of one allocator that replays a trace. `folder`: an empty one for the process's files.

    Raises PerfError, AllocphaseError where the process does not end well.
    """
    job = TraceJob(
        id=0,
        round=0,
        allocator=allocator,
        scenario=trace.stem,
        probe=Probe.THROUGHPUT,
        cpus=(),
        timeout_s=timeout_s,
        options={"pass-ns": str(PASS_NS), "passes": "1"},
        trace=trace,
    )
    own = own_variables(job)
    if allocator.kind == "preload" and allocator.path is not None:
        own["LD_PRELOAD"] = str(allocator.path.absolute())
    words = [str(executor.driver), *driver_arguments(job, folder)]
    environment = without_allocator_variables(os.environ)
    ending = _recorded(executor, words, own, environment, folder, FREQUENCY, timeout_s)
    try:
        delivery = read_delivery(folder, trace=trace, probe=Probe.THROUGHPUT, token="")
    except (ForeignError, DamagedError):
        raise _failure(ending, allocator.name) from None
    if delivery.result.throughput is None:
        raise AllocphaseError(f"{allocator.name}: {delivery.status}: {delivery.message}")
    objects = [] if allocator.path is None else [allocator.path]
    samples = _samples(folder, objects, replayed=True)
    (warm,) = delivery.result.part(Throughput).warm_ns_per_op[:1] or (0.0,)
    total, replay = sum(samples.stacks.values()), samples.rest.get(FOREIGN[0], 0)
    share = total / (total + replay) if total else 0.0
    return _profile(allocator, samples, per_op=warm * share or None)


def profiled_program(
    allocator: Allocator,
    program: Program,
    executor: DriverExecutor,
    folder: Path,
    *,
    timeout_s: float,
) -> Profile:
    """The same of a program that is run whole, with all that it starts."""
    inputs, own_folder = folder / "inputs", folder / "cwd"
    inputs.mkdir()
    own_folder.mkdir()
    program.make_inputs(inputs)
    inherited = {**without_allocator_variables(os.environ), **program.variables(inputs)}
    inherited.pop("LD_PRELOAD", None)
    own = environment_of(allocator, inherited)
    where = own_folder if program.program.folder is None else Path(program.program.folder)
    words = program.arguments(inputs)
    if program.program.input is not None:
        words = ["/bin/sh", "-c", 'exec "$@" < "$0"', program.program.input, *words]
    ending = _recorded(
        executor, words, own, os.environ, folder, PROGRAM_FREQUENCY, timeout_s, where=where
    )
    if ending.reason != "ended" or ending.code != program.program.exit_code:
        raise _failure(ending, allocator.name)
    objects = [] if allocator.path is None else [allocator.path]
    if allocator.kind == "plugin":
        objects.append(resources.malloc_preload())
    return _profile(allocator, _samples(folder, objects, replayed=False), per_op=None)


def _recorded(
    executor: DriverExecutor,
    words: Sequence[str],
    own: Mapping[str, str],
    environment: Mapping[str, str],
    folder: Path,
    frequency: int,
    timeout_s: float,
    *,
    where: Path | None = None,
) -> Ending:
    """A command under perf, and both under the keeper. `own`: the command's own variables, which
    perf is not to have.
    """
    command = [str(find_perf()), "record", "-q", "-F", str(min(frequency, _most_frequent()))]
    command += ["--call-graph", f"dwarf,{STACK_BYTES}", "-o", str(folder / "perf.data"), "--"]
    command += [ENV, *(f"{name}={value}" for name, value in own.items()), *words]
    return executor.contained(
        Command(
            arguments=command,
            environment={k: v for k, v in environment.items() if k != "LD_PRELOAD"},
            folder=where or folder,
            timeout_s=timeout_s,
            file_bytes=DATA_BYTES,
            processes=PROCESSES,
        )
    )


def _most_frequent() -> int:
    try:
        return int(read_text(_MOST_FREQUENT) or FREQUENCY)
    except (OSError, ValueError):
        return FREQUENCY


def _failure(ending: Ending, name: str) -> AllocphaseError:
    """perf's own words where it was perf that failed: it starts nothing then."""
    words = [plain(line).strip() for line in ending.words.splitlines() if line.strip()]
    if any("perf" in word.lower() for word in words):
        told = next((word for word in words if word not in ("Error:",)), "")
        return PerfError(f"perf is not permitted here, or cannot record: {told}")
    tail = " / ".join(words[-3:])
    return AllocphaseError(f"{name}: {ending.reason}, exit code {ending.code}: {tail}")


def _samples(folder: Path, objects: Sequence[Path], *, replayed: bool) -> Samples:
    """Raises PerfError."""
    command = [str(find_perf()), "script", "-i", str(folder / "perf.data"), "--no-inline"]
    command += ["-F", "comm,event,ip,sym,dso"]
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=SCRIPT_TIMEOUT_S, cwd=folder
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PerfError(f"perf script: {error}") from None
    text = done.stdout.decode("utf-8", "replace")
    driver = resources.find("driver/allocphase-driver") if replayed else None
    found = read_samples(text.splitlines(), objects, driver=driver)
    if not found.stacks:
        raise PerfError("perf has seen nothing of the allocator: too few samples, or no calls")
    return found


def _profile(allocator: Allocator, samples: Samples, *, per_op: float | None) -> Profile:
    """Raises PerfError where most of the allocator's functions have no name."""
    named = samples.named / max(1, samples.named + samples.unnamed)
    if named < NAMED:
        raise PerfError(
            f"perf names {named:.0%} of {allocator.name}'s samples: its object has no symbols"
        )
    total = sum(samples.stacks.values()) + sum(samples.rest.values())
    kernel = "with the kernel" if samples.sees_the_kernel else "without the kernel"
    notes = []
    if not samples.sees_the_kernel:
        notes.append(
            "perf may not look at the kernel here (/proc/sys/kernel/perf_event_paranoid is 2 or "
            "more): system calls and page faults are not in it"
        )
    if samples.unnamed:
        notes.append(f"{1 - named:.0%} of the allocator's samples have no function's name")
    return Profile(
        allocator=allocator.name,
        tool="perf",
        unit="samples",
        stacks=samples.stacks,
        rest=samples.rest,
        per_op=per_op,
        op_unit="ns",
        how=f"perf, {samples.event or 'its clock'}, {kernel}: {counted(total, 'sample')}",
        notes=tuple(notes),
    )


# ---- What perf script prints -------------------------------------------------------------


def read_samples(lines: Sequence[str], objects: Sequence[Path], *, driver: Path | None) -> Samples:
    """objects: the allocator's own; none for libc's. driver: of a replay, None of a program."""
    found = Samples()
    own = {str(path.resolve()) for path in objects}
    for event, frames in _each(lines):
        found.event = found.event or event
        stack = _stack(frames, own)
        if stack is None:
            name = _rest(frames, driver)
            found.rest[name] = found.rest.get(name, 0) + 1
            continue
        found.stacks[stack] = found.stacks.get(stack, 0) + 1
        if stack[-1].kind is Kind.ALLOCATOR:
            if stack[-1].name.startswith("("):
                found.unnamed += 1
            else:
                found.named += 1
    return found


def _each(lines: Sequence[str]) -> Iterator[tuple[str, list[tuple[str, str]]]]:
    """The event of each sample, and its frames (name, object), innermost first."""
    event, frames = "", list[tuple[str, str]]()
    for line in (*lines, ""):
        if not line.strip():
            if frames:
                yield event, frames
            frames = []
        elif (part := _FRAME.match(line)) is not None:
            frames.append((part[2].partition("+0x")[0], part[3]))
        elif (head := _EVENT.search(line)) is not None:
            event = head[1]


def _stack(frames: Sequence[tuple[str, str]], own: set[str]) -> tuple[Frame, ...] | None:
    """From the outermost frame that is the allocator's on; None where none is."""
    resolved = [(name, path, _is_own(name, path, own)) for name, path in frames]
    places = [at for at, (_, _, mine) in enumerate(resolved) if mine]
    if not places:
        return None
    inner = resolved[: places[-1] + 1]
    kernel = [name for name, path, _ in inner if _is_kernel(path)]
    users = [
        _frame(name, path, own, mine=mine) for name, path, mine in inner if not _is_kernel(path)
    ]
    users.reverse()
    if kernel:
        users.append(Frame(_entry(kernel), "kernel", Kind.KERNEL))
    return merged(users)


def _is_own(name: str, path: str, own: set[str]) -> bool:
    if own:
        return path in own or str(Path(path).resolve()) in own
    return Path(path).name.startswith(_LIBC) and _MALLOC.fullmatch(name) is not None


def _frame(name: str, path: str, own: set[str], *, mine: bool) -> Frame:
    file = Path(path).name
    libc = not own and file.startswith(_LIBC)
    kind = Kind.ALLOCATOR if mine or libc else Kind.OTHER
    return Frame(f"({file})" if name == _UNNAMED else name, file, kind)


def _is_kernel(path: str) -> bool:
    return path.startswith("[") and path not in ("[vdso]", "[heap]", "[stack]")


def _entry(names: Sequence[str]) -> str:
    """What led into the kernel, by its frames, innermost first."""
    for name in reversed(names):
        if (call := _SYSTEM_CALL.match(name)) is not None:
            return call[1]
        if "page_fault" in name or "mem_abort" in name:
            return "page fault"
        if "sysvec" in name or "irq" in name or "interrupt" in name:
            return "interrupt"
    return "in the kernel"


def _rest(frames: Sequence[tuple[str, str]], driver: Path | None) -> str:
    """Of a sample that is not the allocator's."""
    if driver is None:
        return FOREIGN[1]
    replays = any(name.startswith("replay") and path == str(driver) for name, path in frames)
    return FOREIGN[0] if replays else FOREIGN[2]
