"""An allocator's stacks by the samples of `perf record`, of a replay or of a program.

perf is found by its name, and asked for whatever clock it has here (cycles, or the kernel's timer
on a machine that shows none); where it may not look at the kernel, its samples say so with `:u`.
Stacks are unwound by the objects' own tables: no frame pointer is needed. A function without a name
is its object; what is in the kernel is one frame, the system call or the fault that led there.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from allocphase import resources
from allocphase.allocator import Allocator
from allocphase.errors import AllocphaseError
from allocphase.machine.kernel_file import read_text
from allocphase.probe.probe import Probe
from allocphase.probe.result import Throughput
from allocphase.process.driver import Executor, TraceJob
from allocphase.process.program import ProgramJob
from allocphase.profile.stacks import FOREIGN, Frame, Kind, Profile, merged
from allocphase.scenario import Program
from allocphase.text.line import plain
from allocphase.text.units import counted

__all__ = ["NOT_INSTALLED", "PerfError", "Samples", "profiled", "profiled_program", "read_samples"]

NOT_INSTALLED = "not installed: apt-get install linux-perf (or linux-tools-generic)"
# Samples a second, at most, and of a program that may run for a minute: no timer's multiple.
FREQUENCY, PROGRAM_FREQUENCY = 4999, 997
_MOST_FREQUENT = Path("/proc/sys/kernel/perf_event_max_sample_rate")
# Of each sample, the stack that is unwound: deeper ones are cut at their outer end.
STACK_BYTES = 4096
# One pass that lasts so long: some thousand samples.
PASS_NS = 2_000_000_000
TRIAL_TIMEOUT_S = 30.0
SCRIPT_TIMEOUT_S = 600.0
# Without a name for so much of the allocator a flame graph shows nothing.
NAMED = 0.5
_UNNAMED = "[unknown]"
# With fewer samples of an allocator a share of 5% may be 2% or 8%.
FEW = 200

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
    """stacks: of the allocator, outermost first; rest: by what they are in. unnamed: of the former,
    those that end in a function of the allocator's that has no name. event: perf's own word for it.
    """

    stacks: dict[tuple[Frame, ...], int] = field(default_factory=dict)
    rest: dict[str, int] = field(default_factory=dict)
    unnamed: int = 0
    event: str = ""

    @property
    def sees_the_kernel(self) -> bool:
        """Whether what the kernel does for the allocator is in it."""
        _, colon, modifiers = self.event.rpartition(":")
        return not colon or "u" not in modifiers or "k" in modifiers


def profiled(
    allocator: Allocator, trace: Path, executor: Executor, folder: Path, *, timeout_s: float
) -> Profile:
    """Of one allocator that replays a trace. `folder`: an empty one for perf's files.

    Raises PerfError, AllocphaseError where the process does not end well.
    """
    outcome = executor.run(
        TraceJob(
            id=0,
            round=0,
            allocator=allocator,
            scenario=trace.stem,
            probe=Probe.THROUGHPUT,
            cpus=(),
            timeout_s=timeout_s,
            options={"pass-ns": str(PASS_NS), "passes": "1"},
            trace=trace,
            before=_recording(folder, FREQUENCY),
        )
    )
    outcome.require(allocator)
    objects = [] if allocator.path is None else [allocator.path]
    samples = _samples(folder, objects, replayed=True)
    (warm,) = outcome.result.part(Throughput).warm_ns_per_op[:1] or (0.0,)
    total, replay = sum(samples.stacks.values()), samples.rest.get(FOREIGN[0], 0)
    return _profile(allocator, samples, per_op=warm * total / (total + replay) or None)


def profiled_program(
    allocator: Allocator,
    program: Program,
    executor: Executor,
    folder: Path,
    *,
    timeout_s: float,
) -> Profile:
    """The same of a program that is run whole, with all that it starts."""
    inputs = folder / "inputs"
    inputs.mkdir()
    program.make_inputs(inputs)
    outcome = executor.run(
        ProgramJob(
            id=0,
            round=0,
            allocator=allocator,
            scenario=program.name,
            probe=Probe.PROGRAM,
            cpus=(),
            timeout_s=timeout_s,
            program=program,
            inputs=inputs,
            before=_recording(folder, PROGRAM_FREQUENCY),
        )
    )
    outcome.require(allocator)
    objects = [] if allocator.path is None else [allocator.path]
    if allocator.kind == "plugin":
        objects.append(resources.malloc_preload())
    return _profile(allocator, _samples(folder, objects, replayed=False), per_op=None)


def _recording(folder: Path, frequency: int) -> tuple[str, ...]:
    """What records whatever follows it into `folder`. Raises PerfError where it records nothing."""
    perf = _perf()
    rate = min(frequency, _most_frequent())
    words = (perf, "record", "-q", "-F", str(rate), "--call-graph", f"dwarf,{STACK_BYTES}", "-o")
    trial = [*words, str(folder / "trial.data"), "--", "/bin/true"]
    try:
        done = subprocess.run(
            trial, capture_output=True, text=True, check=False, timeout=TRIAL_TIMEOUT_S
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PerfError(f"perf: {error}") from None
    if done.returncode:
        lines = [plain(line).strip() for line in done.stderr.splitlines()]
        told = next((line for line in lines if line and line != "Error:"), "it does not say why")
        raise PerfError(f"perf cannot record here: {told}")
    return (*words, str(folder / "perf.data"), "--")


def _perf() -> str:
    """Raises PerfError where there is none."""
    found = shutil.which("perf")
    if found is None:
        raise PerfError(f"perf is {NOT_INSTALLED}")
    return found


def _most_frequent() -> int:
    try:
        return int(read_text(_MOST_FREQUENT) or FREQUENCY)
    except (OSError, ValueError):
        return FREQUENCY


def _samples(folder: Path, objects: Sequence[Path], *, replayed: bool) -> Samples:
    """Raises PerfError."""
    command = [_perf(), "script", "-i", str(folder / "perf.data"), "--no-inline"]
    command += ["-F", "comm,event,ip,sym,dso"]
    try:
        done = subprocess.run(
            command, capture_output=True, check=True, timeout=SCRIPT_TIMEOUT_S, cwd=folder
        )
    except (OSError, subprocess.SubprocessError) as error:
        raise PerfError(f"perf script: {error}") from None
    text = done.stdout.decode("utf-8", "replace")
    driver = resources.find("driver/allocphase-driver").resolve() if replayed else None
    found = read_samples(text.splitlines(), objects, driver=driver)
    if not found.stacks:
        raise PerfError("perf has seen nothing of the allocator: too few samples, or no calls")
    return found


def _profile(allocator: Allocator, samples: Samples, *, per_op: float | None) -> Profile:
    """Raises PerfError where most of the allocator's functions have no name."""
    own = sum(samples.stacks.values())
    named = 1 - samples.unnamed / own
    if named < NAMED:
        raise PerfError(
            f"perf names {named:.0%} of {allocator.name}'s samples: its object has no symbols"
        )
    total = own + sum(samples.rest.values())
    kernel = "with the kernel" if samples.sees_the_kernel else "without the kernel"
    notes = []
    if not samples.sees_the_kernel:
        notes.append(
            "perf may not look at the kernel here (/proc/sys/kernel/perf_event_paranoid is 2 or "
            "more): system calls and page faults are not in it"
        )
    if own < FEW:
        notes.append(f"only {counted(own, 'sample')} of the allocator: shares are coarse")
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


@dataclass(frozen=True, slots=True)
class _Call:
    """One frame, as perf prints it."""

    name: str
    path: str
    in_kernel: bool

    @property
    def file(self) -> str:
        return Path(self.path).name


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
        found.unnamed += stack[-1].kind is Kind.ALLOCATOR and stack[-1].name.startswith("(")
    return found


def _each(lines: Sequence[str]) -> Iterator[tuple[str, list[_Call]]]:
    """The event of each sample, and its frames, innermost first."""
    event, frames = "", list[_Call]()
    for line in (*lines, ""):
        if not line.strip():
            if frames:
                yield event, frames
            frames = []
        elif (part := _FRAME.match(line)) is not None:
            frames.append(_Call(_named(part[2]), part[3], in_kernel=_is_kernel(part[1], part[3])))
        elif (head := _EVENT.search(line)) is not None:
            event = head[1]


def _named(symbol: str) -> str:
    """Without its version, and under the name that a program calls it by."""
    name = symbol.partition("+0x")[0].partition("@")[0]
    return "free" if name == "cfree" else name


def _is_kernel(address: str, path: str) -> bool:
    """Its half of the addresses; what could not be unwound is at the very end of it."""
    return int(address, 16) >= 1 << 63 and path != _UNNAMED


def _stack(frames: Sequence[_Call], own: set[str]) -> tuple[Frame, ...] | None:
    """From the outermost frame that is the allocator's on; None where none is."""
    places = [at for at, call in enumerate(frames) if _is_own(call, own)]
    if not places:
        return None
    inner = frames[: places[-1] + 1]
    kernel = [call.name for call in inner if call.in_kernel]
    users = [_frame(call, own) for call in inner if not call.in_kernel]
    users.reverse()
    if kernel:
        users.append(Frame(_entry(kernel), "kernel", Kind.KERNEL))
    return merged(users)


def _is_own(call: _Call, own: set[str]) -> bool:
    if own:
        return call.path in own
    return call.file.startswith(_LIBC) and _MALLOC.fullmatch(call.name) is not None


def _frame(call: _Call, own: set[str]) -> Frame:
    libc = not own and call.file.startswith(_LIBC)
    kind = Kind.ALLOCATOR if libc or _is_own(call, own) else Kind.OTHER
    name = f"({call.file})" if call.name == _UNNAMED else call.name
    return Frame(name, call.file, kind)


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


def _rest(frames: Sequence[_Call], driver: Path | None) -> str:
    """Of a sample that is not the allocator's."""
    if driver is None:
        return FOREIGN[1]
    replays = any(call.name.startswith("replay") and call.path == str(driver) for call in frames)
    return FOREIGN[0] if replays else FOREIGN[2]
