"""One run of a program: from a job to an outcome, as process/driver.py has it of traces.

The driver (driver/program.c) starts the command with the allocator and a witness preloaded, and
times it; what it printed and who served its malloc is looked at here, when it has ended.
"""

from __future__ import annotations

import hashlib
import os
import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from allocphase import resources
from allocphase.allocator.environment import (
    environment_of,
    preloaded,
    without_allocator_variables,
)
from allocphase.files.regular import opened, read_regular
from allocphase.files.removal import passing_folder
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Program as Measured
from allocphase.probe.result import ProgramCalls
from allocphase.probe.status import Status
from allocphase.process.calls import make_table, read_followed, read_table
from allocphase.process.driver import (
    PADDING_VARIABLE,
    DriverExecutor,
    Failure,
    Job,
    Outcome,
    bad_end,
    raise_failure,
    signal_name,
)
from allocphase.process.keeper import Command, Ending, Limits
from allocphase.process.output import DamagedError, ForeignError, read_program_delivery
from allocphase.scenario.program import Program
from allocphase.text.line import plain
from allocphase.text.units import format_bytes

__all__ = [
    "FIXED_VARIABLES",
    "KEPT_VARIABLES",
    "ProgramExecutor",
    "ProgramJob",
    "program_environment",
]

# Of what a program writes; stdout is a file of its folder.
OUTPUT_BYTES = 256 << 20
BLOCK_BYTES = 1 << 20
# Of the output of a run that failed.
KEPT_OUTPUT_BYTES = 1 << 20
# Of the user's environment, for a scenario's program; and what it has in any.
KEPT_VARIABLES = ("PATH", "HOME", "LD_LIBRARY_PATH")
FIXED_VARIABLES = {"LC_ALL": "C"}  # messages, sorting and calls are those of no machine
PRELOAD = "LD_PRELOAD"
WITNESS_VARIABLE = "ALLOCPHASE_WITNESS"
TABLE_VARIABLE = "ALLOCPHASE_CALLS"
# A line of some 200 bytes for each process, and for each command that takes a process over.
WITNESS_BYTES = 256 << 20
# A server, or a build, has more than what an allocator starts for its own purposes; a bomb has no
# end.
PROCESSES = 1024
# By number, what driver/program.c says of a program that has stopped itself.
STOPPED_BYTES = 16
STDERR_LINES = 3
# Of --timeout, and on top of it: who makes system calls for longer goes on without a tracer, and
# has all of its time for that.
OBSERVED_SHARE = 0.5
NONE = "-"
_LIBC = ("libc.so.6", "libc-2")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramJob(Job):
    """One run of a program. inputs: the folder of its files, beside which its own is made.
    observed_s: for how long its system calls are counted, at most; None: they are not.
    """

    program: Program
    inputs: Path
    observed_s: float | None = None


class ProgramExecutor:
    """Runs what is a program's, and hands on the rest."""

    def __init__(self, inner: DriverExecutor) -> None:
        self._inner = inner

    def run(self, job: Job) -> Outcome:
        """As the inner one's."""
        if not isinstance(job, ProgramJob):
            return self._inner.run(job)
        if job.probe is Probe.PROGRAM_SYSCALLS:
            observed_s = job.timeout_s * OBSERVED_SHARE
            job = replace(job, observed_s=observed_s, timeout_s=job.timeout_s + observed_s)
        with passing_folder(beside=job.inputs.parent.absolute()) as folder:
            start = time.monotonic()
            ending = self._inner.contained(_command(job, folder, self._inner.driver))
            wall_s = time.monotonic() - start
            outcome = _outcome(job, folder, ending, self._inner, wall_s=wall_s)
            if outcome.status is Status.OK:
                return outcome
            return replace(outcome, failure=self._failure(folder, ending))

    def _failure(self, folder: Path, ending: Ending) -> Failure:
        output, size = b"", 0
        with suppress(OSError), opened(folder / "stdout", max_bytes=OUTPUT_BYTES) as file:
            size = file.seek(0, os.SEEK_END)
            file.seek(max(0, size - KEPT_OUTPUT_BYTES))
            output = file.read(KEPT_OUTPUT_BYTES)
        return Failure(
            driver=self._inner.driver,
            limits=_limits(self._inner),
            ended_by=ending.reason,
            output=output,
            output_bytes=size,
            words=ending.words,
        )


def _limits(inner: DriverExecutor) -> Limits:
    return replace(inner.limits, processes=PROCESSES)


def _command(job: ProgramJob, folder: Path, driver: Path) -> Command:
    table, own = job.program.program, folder / "cwd"
    own.mkdir()
    arguments = [str(driver), "--program", job.probe.value, "--kept", "1", "--out", str(folder)]
    environment = _environment(job, folder)
    if job.probe is Probe.PROGRAM_CALLS:
        environment |= _counting(environment[PRELOAD], folder)
    arguments += ["--preload", environment.pop(PRELOAD)]  # the driver itself goes without
    if job.observed_s is not None:
        arguments += ["--observed-ns", str(int(job.observed_s * 1e9))]
    for cpu in job.cpus:
        arguments += ["--cpu", str(cpu)]
    if table.input is not None:
        arguments += ["--input", table.input]
    return Command(
        arguments=[*arguments, "--", *job.program.arguments(job.inputs.absolute())],
        environment=environment,
        folder=own if table.folder is None else Path(table.folder),
        timeout_s=job.timeout_s,
        file_bytes=OUTPUT_BYTES,
        writable=[folder] if table.folder is None else (),
        processes=PROCESSES,
        before=job.before,
    )


def program_environment(program: Program, *, inputs: Path, own: Path) -> dict[str, str]:
    """The user's, for a program of the user's own; else what a program needs anywhere. Without
    settings of allocators. own: the folder that it may write to.
    """
    given = dict(os.environ)
    if program.program.folder is None:
        given = {key: given[key] for key in KEPT_VARIABLES if key in given}
        given |= {**FIXED_VARIABLES, "TMPDIR": str(own)}
    return {**without_allocator_variables(given), **program.variables(inputs.absolute())}


def _environment(job: ProgramJob, folder: Path) -> dict[str, str]:
    inherited = {
        **program_environment(job.program, inputs=job.inputs, own=folder / "cwd"),
        WITNESS_VARIABLE: str(folder / "witness"),
        PADDING_VARIABLE: "x" * _padding_bytes(job),
        PRELOAD: str(resources.find("driver/liballocphase-witness.so")),
    }
    return environment_of(job.allocator, inherited)


def _counting(preload: str, folder: Path) -> dict[str, str]:
    """What counts the calls of malloc comes before the allocator."""
    table = folder / "calls"
    make_table(table)
    counter = resources.find("driver/liballocphase-count.so")
    return {TABLE_VARIABLE: str(table), PRELOAD: f"{counter}:{preload}"}


def _padding_bytes(job: ProgramJob) -> int:
    """None where calls are counted at fixed addresses: interpreters copy the environment to the
    heap, and the heap's size decides on one brk more or less.
    """
    return 0 if job.probe is Probe.PROGRAM_SYSCALLS else job.padding_bytes


# ---- From an ending to an outcome --------------------------------------------------------


def _outcome(
    job: ProgramJob, folder: Path, ending: Ending, inner: DriverExecutor, *, wall_s: float
) -> Outcome:
    raise_failure(job, ending)
    if (bad := bad_end(job, ending, _stop(folder, ending), _limits(inner))) is not None:
        status, message = bad
        return Outcome(status=status, message=f"{message} {_tail(ending)}".strip(), wall_s=wall_s)
    try:
        delivery = read_program_delivery(folder, probe=job.probe, token=ending.token)
    except ForeignError as stranger:
        words = f"ended with exit code {ending.code}{stranger}."
        return Outcome(status=Status.CRASHED, message=words, wall_s=wall_s)
    except DamagedError as damage:
        return Outcome(status=Status.CORRUPT, message=str(damage), wall_s=wall_s)
    if delivery.status is not Status.OK:
        return Outcome(status=delivery.status, message=delivery.message, wall_s=wall_s)
    measured = delivery.result.of(job.probe)
    assert isinstance(measured, Measured), "by read_program_delivery"
    try:
        seen = _seen(job, folder, measured)
    except DamagedError as damage:
        return Outcome(status=Status.CORRUPT, message=str(damage), wall_s=wall_s)
    except OSError as error:  # a program of the user's own may write where it likes
        message = f"what it printed, or who served it, is not known: {_lost(error)}."
        return Outcome(status=Status.CORRUPT, message=message, wall_s=wall_s)
    status, message = _status(job, seen, ending)
    part: dict[str, Any] = {job.probe.value: seen.measured}
    result = replace(delivery.result, **part)
    if ending.left:
        result = replace(result, tampered=(*result.tampered, "processes left running"))
    return Outcome(
        status=status,
        message=message,
        wall_s=wall_s,
        result=result,
        arrays=delivery.arrays | seen.arrays,
    )


def _stop(folder: Path, ending: Ending) -> str:
    """Of one that was killed for its time, whether it had stopped itself, as bad_end wants it."""
    with suppress(OSError, ValueError):
        if ending.reason == "timeout":
            number = int(read_regular(folder / "stopped", STOPPED_BYTES))
            return f", stopped by {signal_name(number)} and continued by nobody"
    return ""


def _lost(error: OSError) -> str:
    return f"allocphase's file {Path(str(error.filename)).name} beside its folder: {error.strerror}"


@dataclass(frozen=True, slots=True)
class _Witness:
    """A line of witness.c's."""

    malloc: str
    new: str
    program: str


@dataclass(frozen=True, slots=True)
class _Seen:
    """What was looked at after the end. `other`: the first process that somebody else served.
    `arrays`: beside those that the driver left.
    """

    measured: Measured
    other: _Witness | None
    arrays: Arrays


def _seen(job: ProgramJob, folder: Path, measured: Measured) -> _Seen:
    """Raises DamagedError for what the program has written over."""
    witnesses = list(_witnesses(folder / "witness"))
    ours = preloaded(job.allocator)
    other = next((w for w in witnesses if not _serves(w.malloc, ours)), None)
    new = {w.new for w in witnesses if w.new not in (NONE, w.malloc)}
    bypassing = sorted(new) if ours else []
    digest = hashlib.sha256()
    with opened(folder / "stdout", max_bytes=OUTPUT_BYTES) as file:
        while block := file.read(BLOCK_BYTES):
            digest.update(block)
    found = replace(
        measured,
        processes=len(witnesses),
        output_sha256=digest.hexdigest(),
        providers_of_new=tuple(bypassing),
    )
    if not isinstance(found, ProgramCalls):
        return _Seen(found, other, {})
    table, followed = read_table(folder / "calls"), read_followed(folder / "processes")
    counted = replace(
        found,
        malloc_calls=table.calls,
        requested_bytes=table.requested_bytes,
        peak_usable_bytes=table.peak_usable_bytes,
    )
    if followed is None:
        return _Seen(counted, other, table.arrays)
    compared = replace(
        counted,
        started=len(followed.started),
        unreached=followed.unreached(witness.program for witness in witnesses),
        largest=table.largest(followed),
    )
    return _Seen(compared, other, table.arrays)


def _serves(provider: str, ours: str | None) -> bool:
    if ours is None:
        return Path(provider).name.startswith(_LIBC)
    return Path(provider).resolve() == Path(ours).resolve()


def _witnesses(path: Path) -> Iterator[_Witness]:
    """What is no line of a witness's was written by somebody else, and says nothing."""
    with opened(path, max_bytes=WITNESS_BYTES) as file:
        for line in file:
            fields = line.decode("utf-8", errors="replace").rstrip("\n").split("\t")
            if len(fields) == 4:
                yield _Witness(*fields[1:])


def _status(job: ProgramJob, seen: _Seen, ending: Ending) -> tuple[Status, str]:
    measured, table = seen.measured, job.program.program
    if measured.output_bytes >= OUTPUT_BYTES:
        return Status.CRASHED, f"wrote {format_bytes(OUTPUT_BYTES)} to its output, and got no more."
    code = os.waitstatus_to_exitcode(measured.wait_status)
    if code != table.exit_code:
        words = _how_it_ended(code, table.exit_code)
        return Status.CRASHED, f"{words} {_tail(ending)}".strip()
    if not measured.processes:
        return Status.UNSUPPORTED, (
            "no process of it could be given an allocator: it is linked statically, or gains "
            "privileges when it is started."
        )
    if seen.other is not None:
        return Status.WRONG_ALLOCATOR, (
            f"malloc of {plain(seen.other.program)} comes from {plain(seen.other.malloc)}."
        )
    if table.output_sha256 not in (None, measured.output_sha256):
        return Status.CORRUPT, (
            f"its output is another: SHA-256 {measured.output_sha256}, "
            f"{measured.output_bytes:,} bytes. {_tail(ending)}".strip()
        )
    return Status.OK, ""


def _how_it_ended(code: int, wanted: int) -> str:
    if code < 0:
        return f"was killed by {signal_name(-code)}."
    return f"ended with exit code {code}, not {wanted}."


def _tail(ending: Ending) -> str:
    """The end of what it said on stderr, on one line."""
    lines = [line.strip() for line in ending.words.splitlines() if line.strip()]
    return " / ".join(lines[-STDERR_LINES:])
