"""One driver process: from a job to an outcome. The boundary that tests replace with a fake.

A process that crashes, hangs or is killed costs its own outcome only, with its status, the
signal by name, what it was doing and the end of its stderr. It runs contained (keeper.py).
"""

from __future__ import annotations

import errno
import os
import random
import resource
import signal
import time
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Protocol

from allocphase import resources
from allocphase.allocator import Allocator
from allocphase.allocator.environment import with_room_for_tls, without_allocator_variables
from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.durable import keep_file, require_room
from allocphase.files.removal import passing_folder, remove_tree
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.process.callgrind import CACHE_SIM, only_profile, profile_of, under
from allocphase.process.counters import without_refused
from allocphase.process.keeper import Command, Containment, Ending, Limits, Reason
from allocphase.process.output import DamagedError, Delivery, ForeignError, read_delivery
from allocphase.process.progress import FaultyOperation, faulty_operations, whereabouts
from allocphase.process.turns import Turn
from allocphase.text.line import plain
from allocphase.text.units import format_bytes

__all__ = [
    "PADDING_VARIABLE",
    "DriverExecutor",
    "Executor",
    "Failure",
    "Job",
    "Outcome",
    "TraceJob",
    "bad_end",
    "driver_arguments",
    "file_bytes",
    "own_variables",
    "raise_failure",
    "signal_name",
]

# The length of the environment moves the stack, and with it what shares a cache line (Mytkowicz
# et al., "Producing wrong data without doing anything obviously wrong", 2009): so it is drawn.
PADDING_VARIABLE = "ALLOCPHASE_PADDING"
PADDING_BYTES = 4096
_POINTER_BYTES = 8
# Folders or files, with colons between, which allocators may write: /dev/shm, a device.
WRITABLE_VARIABLE = "ALLOCPHASE_WRITABLE"
MOST_WRITABLE = 15  # driver/keeper.c: MOST_WRITABLE, but for the folder
# Of what an allocator with settings says on stderr in a process that ends well, characters.
MOST_SAID = 200
# Longer than every file of the driver's that does not grow with the trace. latency.bin does: by
# half of what the trace has. What is left is for the allocator's own words on stderr.
FILE_BYTES = 64 << 20
# driver/base/system.h: enum exit_code; others are of a process that nobody measures.
MEASURED, HINDERED = 0, 3
DRIVERS_OWN_WORDS = "allocphase-driver: "
# A disk that is full or broken is nobody's fault but for those who fill it: then no file of the
# harness's own has room either.
DISK_ERRORS = (errno.ENOSPC, errno.EDQUOT, errno.EROFS, errno.EIO)
ROOM_BYTES = 1 << 20
# First of all, since what is wrong with the other options is told to the keeper.
UNDER_A_KEEPER = ("--kept", "1")
# Two readings of one clock, in two processes that start and end within a millisecond of each
# other, differ by less.
CLOCK_TOLERANCE = 0.01


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """One process to run. `padding_bytes`: length of an environment variable that says nothing.

    repeat: which process of its cell within the round; 0 where there is one. options: the driver's
    by name, and CACHE_SIM, which is callgrind's. before: what it runs under with its keeper, see
    keeper.Command. turn: with whom it takes turns (turns.py).
    """

    id: int
    round: int
    allocator: Allocator
    scenario: str
    probe: Probe
    cpus: tuple[int, ...]
    timeout_s: float
    repeat: int = 0
    padding_bytes: int = 0
    options: Mapping[str, str] = field(default_factory=dict)
    before: tuple[str, ...] = ()
    turn: Turn | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class TraceJob(Job):
    """One that replays a trace. profile: where what callgrind writes is kept, of a process of the
    instructions probe; None: it goes with the process. callers: see callgrind.under; with any of
    them the profile is for `profile` alone.
    """

    trace: Path
    profile: Path | None = None
    callers: int = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """What it takes to look into a process that failed, beside its job. ended_by: "ended" where it
    ended by itself; operations: where in its trace, as far as is known. Of a program: the end of
    its stdout and its stderr, and how many bytes it wrote to the first.
    """

    driver: Path
    limits: Limits
    ended_by: Reason
    operations: tuple[FaultyOperation, ...] = ()
    output: bytes = b""
    output_bytes: int = 0
    words: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """What became of a job. `result` says nothing where the driver wrote none; `failure` is there
    where a driver was started, and the status is not ok.
    """

    status: Status
    message: str
    wall_s: float
    result: Result = field(default_factory=Result)
    arrays: Arrays = field(default_factory=dict)
    failure: Failure | None = None

    def require(self, allocator: Allocator) -> None:
        """Raises AllocphaseError with what became of it, unless it ended well."""
        if self.status is not Status.OK:
            raise AllocphaseError(f"{allocator.name}: {self.status}: {self.message}")


class Executor(Protocol):
    """Runs one job to its end, whatever that is."""

    def run(self, job: Job) -> Outcome: ...


def padding(rng: random.Random) -> int:
    """A length in bytes for `Job.padding_bytes`."""
    return rng.randrange(PADDING_BYTES)


class DriverExecutor:
    """Runs jobs in fresh driver processes. `driver`: the binary, where it is not the package's."""

    def __init__(self, *, limits: Limits | None = None, driver: Path | None = None) -> None:
        binary = resources.find("driver/allocphase-driver")
        self.driver = driver or binary
        self._containment = Containment(binary, limits or Limits())
        self._stopped: AllocphaseError | None = None

    def stop(self, reason: AllocphaseError) -> None:
        """Kills what runs; every `run`, under way or to come, raises `reason`.

        For another thread or a signal handler: it takes no lock.
        """
        self._stopped = reason
        self._containment.stop()

    def run(self, job: Job) -> Outcome:
        """Raises AllocphaseError when the driver itself fails: that is no fault of a subject.

        All files of the process lie beside its trace, and are gone afterwards.
        """
        assert isinstance(job, TraceJob), "others are for who has an executor of their own"
        beside = job.trace.parent.absolute()
        with passing_folder(beside=beside) as folder, job.turn or nullcontext():
            start = time.monotonic()
            ending = self._run_in(folder, job)
            wall_s = time.monotonic() - start
            if _is_of_a_disk(ending):
                _check_disk(folder)
            outcome = _outcome(job, folder, ending, limits=self.limits, wall_s=wall_s)
            if outcome.status is Status.OK:
                return outcome
            return replace(outcome, failure=self._failure(folder, ending))

    def contained(self, command: Command) -> Ending:
        """Runs a command under the keeper. Raises as `stop` says."""
        if self._stopped is not None:
            raise self._stopped
        ending = self._containment.run(command)
        if self._stopped is not None:
            raise self._stopped
        return ending

    @property
    def limits(self) -> Limits:
        """Of each process."""
        return self._containment.limits

    def _failure(self, folder: Path, ending: Ending) -> Failure:
        return Failure(
            driver=self.driver,
            limits=self.limits,
            ended_by=ending.reason,
            operations=faulty_operations(folder / "progress.bin"),
        )

    def _run_in(self, folder: Path, job: TraceJob) -> Ending:
        working_folder = folder / "cwd"  # what an allocator dumps into it goes with it
        working_folder.mkdir()
        arguments = [str(self.driver), *UNDER_A_KEEPER, *driver_arguments(job, folder)]
        environment = {**_environment(job), "TMPDIR": str(working_folder)}
        if job.probe is Probe.INSTRUCTIONS:
            environment[PADDING_VARIABLE] = "x" * _to_whole_pages(job, arguments, environment)
        return self.contained(
            Command(
                arguments=arguments,
                environment=environment,
                folder=working_folder,
                timeout_s=job.timeout_s,
                file_bytes=file_bytes(job),
                writable=[folder, *_also_writable()],
                before=job.before,
                stdin=None if job.turn is None else job.turn.stdin,
            )
        )


def file_bytes(job: TraceJob) -> int:
    """What no file of its process may be longer than."""
    return FILE_BYTES + job.trace.stat().st_size


def driver_arguments(job: TraceJob, folder: Path) -> list[str]:
    """What the driver is called with, but for its keeper's; its files go into `folder`."""
    arguments = ["--trace", str(job.trace.absolute()), "--out", str(folder)]
    arguments += ["--probe", job.probe.value]
    if job.allocator.path is not None and job.allocator.kind in ("plugin", "preload"):
        option = "--plugin" if job.allocator.kind == "plugin" else "--preloaded"
        arguments += [option, str(job.allocator.path.absolute())]
    if job.allocator.kind == "plugin":  # others read theirs from the environment
        for key, value in job.allocator.config.items():
            arguments += ["--set", f"{key}={value}"]
    for cpu in job.cpus:
        arguments += ["--cpu", str(cpu)]
    for name, value in job.options.items():
        if name != CACHE_SIM:
            arguments += [f"--{name}", value]
    if job.turn is not None:
        arguments += ["--in-turns", "1"]
    if job.probe is Probe.INSTRUCTIONS:
        driver = resources.find("driver/allocphase-driver")
        caches = job.options.get(CACHE_SIM, "")
        for argument in under(folder, driver, caches=caches, callers=job.callers):
            arguments += ["--under", argument]
    return arguments


def _to_whole_pages(job: TraceJob, arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """How long the padding must be for the stack to begin at the same place in its page, whatever
    the folders are called: a simulated cache would tell them apart.

    The driver's arguments and environment lie above the stack, and pointers to them. A preload's
    path is in both; what is for valgrind is in neither.
    """
    texts = [f"{name}={value}" for name, value in environment.items()]
    for place, text in enumerate(arguments):
        if "--under" not in (text, arguments[place - 1]):
            texts.append(text)
    if job.allocator.kind == "preload":
        texts.append(f"LD_PRELOAD={job.allocator.path}")
    return -sum(len(os.fsencode(text)) + 1 + _POINTER_BYTES for text in texts) % PADDING_BYTES


def _also_writable() -> list[Path]:
    """What whoever runs this permits beside a process's own folder. Raises UsageError."""
    paths = [Path(text) for text in os.environ.get(WRITABLE_VARIABLE, "").split(":") if text]
    if len(paths) > MOST_WRITABLE:
        raise UsageError(f"{WRITABLE_VARIABLE}: more than {MOST_WRITABLE} paths")
    return paths


def _environment(job: TraceJob) -> dict[str, str]:
    ours = ("LD_PRELOAD", PADDING_VARIABLE)
    inherited = {} if job.probe is Probe.INSTRUCTIONS else without_allocator_variables(os.environ)
    return {k: v for k, v in inherited.items() if k not in ours} | own_variables(job)


def own_variables(job: TraceJob) -> dict[str, str]:
    """What the driver has beside the harness's own environment, which is there without LD_PRELOAD
    and what is an allocator's setting: the same conditions for each kind of allocator.

    A plug-in is bound when it is loaded, so a preload is too: else the linker's work would be in
    the first call of each function. Room for the thread-local variables of a plug-in that reads
    them as fast as a preload is only set aside when a process starts.
    """
    variables = dict(job.allocator.environment)
    if job.allocator.kind == "preload":
        variables["LD_BIND_NOW"] = "1"
    elif job.allocator.kind == "plugin":
        variables["GLIBC_TUNABLES"] = with_room_for_tls(variables.get("GLIBC_TUNABLES"))
    variables[PADDING_VARIABLE] = "x" * job.padding_bytes
    return variables


# ---- From an ending to an outcome --------------------------------------------------------


def _outcome(
    job: TraceJob, folder: Path, ending: Ending, *, limits: Limits, wall_s: float
) -> Outcome:
    raise_failure(job, ending)
    words = ending.words.replace(f"{folder}/", "")  # a folder that is gone by then
    where = f" {whereabouts(folder / 'progress.bin')}"
    bad = bad_end(job, ending, where, limits)
    if (hindrance := _hindrance(ending)) is not None:
        words = hindrance.replace(f"{folder}/", "")
        bad = Status.UNSUPPORTED, f"the driver was hindered{where}:"
    if bad is None:
        try:
            delivery = read_delivery(folder, trace=job.trace, probe=job.probe, token=ending.token)
            _check_clock(delivery, ending)
            delivery = _with_profile(job, folder, delivery)
            delivery = replace(delivery, result=without_refused(delivery.result))
            return _measured(job, delivery, ending, wall_s=wall_s)
        except ForeignError as stranger:
            bad = Status.CRASHED, f"ended with exit code {ending.code}{where}{stranger}."
        except DamagedError as damage:
            bad = Status.CORRUPT, f"the driver's own memory was damaged: {damage}."
    status, message = bad
    return Outcome(status=status, message=f"{message} {words}".strip(), wall_s=wall_s)


def _with_profile(job: TraceJob, folder: Path, delivery: Delivery) -> Delivery:
    """With what callgrind has counted. Raises DamagedError where it has left nothing to read."""
    part = delivery.result.instructions
    if job.probe is not Probe.INSTRUCTIONS or part is None or delivery.status is not Status.OK:
        return delivery
    try:
        if isinstance(job, TraceJob) and job.callers and job.profile is not None:
            keep_file(only_profile(folder), job.profile)
            return delivery
        path, profile = profile_of(folder, resources.find("driver/allocphase-driver"))
    except (OSError, ValueError) as error:
        raise DamagedError(f"the profile: {error}") from None
    if isinstance(job, TraceJob) and job.profile is not None:
        keep_file(path, job.profile)
    part = replace(
        part,
        counted=profile.by_call,
        functions=profile.functions,
        simulated=profile.simulated,
        valgrind=profile.version,
    )
    return replace(delivery, result=replace(delivery.result, instructions=part))


def _hindrance(ending: Ending) -> str | None:
    """What the driver was kept from, in its own last words, which end with the token."""
    last_line = ending.words.rpartition("\n")[2]
    signature = f" {ending.token}"
    if (ending.reason, ending.code) != ("ended", HINDERED) or not ending.token:
        return None
    if not last_line.startswith(DRIVERS_OWN_WORDS) or not last_line.endswith(signature):
        return None
    return last_line.removeprefix(DRIVERS_OWN_WORDS).removesuffix(signature)


def _is_of_a_disk(ending: Ending) -> bool:
    words = _hindrance(ending) or ""
    return any(words.endswith(os.strerror(error)) for error in DISK_ERRORS)


def _check_disk(folder: Path) -> None:
    """Raises AllocphaseError where the harness itself has no room beside the driver's files.

    What the allocator has written into its working folder is no reason: that is gone by then.
    """
    remove_tree(folder / "cwd")
    require_room(folder, ROOM_BYTES)


def _check_clock(delivery: Delivery, ending: Ending) -> None:
    """Raises DamagedError where the process had a clock of its own."""
    clock = delivery.result.clock
    if clock is None or not ending.clock_hz:
        return
    ratio = ending.clock_hz / clock.hz
    if abs(ratio - 1.0) > CLOCK_TOLERANCE:
        raise DamagedError(f"its time ran {ratio:.3g} times as fast as the keeper's")


def _measured(job: Job, delivery: Delivery, ending: Ending, *, wall_s: float) -> Outcome:
    result = delivery.result
    if job.allocator.environment and delivery.status is Status.OK:
        result = replace(result, said=plain(ending.words)[:MOST_SAID])
    if ending.left and delivery.status is Status.OK:
        result = replace(result, tampered=(*result.tampered, "processes left running"))
    return Outcome(
        status=delivery.status,
        message=delivery.message,
        wall_s=wall_s,
        result=result,
        arrays=delivery.arrays,
    )


def raise_failure(job: Job, ending: Ending) -> None:
    """Raises AllocphaseError where the driver or its keeper could not do its own work."""
    if ending.failure:
        whose = f"{job.allocator.name} on {job.scenario} ({job.probe})"
        words = plain(ending.failure).removeprefix(DRIVERS_OWN_WORDS)
        raise AllocphaseError(f"{whose}: {DRIVERS_OWN_WORDS}{words}")


def bad_end(job: Job, ending: Ending, where: str, limits: Limits) -> tuple[Status, str] | None:
    """The status and message of a process that did not end by itself; None where it did. where:
    what it was at, as the words of a sentence.
    """
    if ending.reason == "timeout":
        return Status.TIMEOUT, f"still running after {job.timeout_s:g} s{where}: killed."
    if ending.reason == "memory":
        limit = format_bytes(limits.memory_bytes)
        return Status.OUT_OF_MEMORY, f"grew beyond {limit}{where}: killed."
    if ending.reason == "disk":
        return Status.CRASHED, f"filled the disk, with long files or very many,{where}: killed."
    if ending.reason == "processes":
        return Status.CRASHED, f"started more than {limits.processes} processes{where}: killed."
    if ending.reason == "lost":
        return Status.CRASHED, f"the process that watched it ended ({ending.code}),{where}."
    if ending.code < 0:
        words = f"killed by {signal_name(-ending.code)}{where}."
        return Status.CRASHED, words + _advice(job, -ending.code)
    if ending.code != MEASURED:
        return Status.CRASHED, f"ended with exit code {ending.code}{where}."
    return None


def signal_name(number: int) -> str:
    """SIGSEGV, or \"signal 40\"."""
    try:
        return signal.Signals(number).name
    except ValueError:  # most of the real-time signals have no name
        return f"signal {number}"


def _advice(job: Job, number: int) -> str:
    if number == signal.SIGSYS and job.probe is Probe.SYSCALLS:
        return " It has changed what counts its system calls: try --syscall-backend ptrace."
    if number in (signal.SIGKILL, signal.SIGXCPU):
        return f" Not by allocphase: by the kernel {_kernels_reasons(number)}, or by hand."
    return ""


def _kernels_reasons(number: int) -> str:
    """The kernel itself says no more than the signal. SIGXCPU comes at the soft limit."""
    soft_s, hard_s = resource.getrlimit(resource.RLIMIT_CPU)
    limit_s = soft_s if number == signal.SIGXCPU else hard_s
    named = "" if limit_s == resource.RLIM_INFINITY else f" of {limit_s} s"
    limit = f"beyond its limit{named} of CPU time (ulimit -t)"
    return limit if number == signal.SIGXCPU else f"for want of memory or {limit}"
