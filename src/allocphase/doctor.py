"""What this machine can measure, what would disturb it, what is missing and how to get it.

Nothing is guessed: each ability is tried, with the driver itself and a small trace.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from allocphase import allocator, resources, scenario, trace
from allocphase.allocator.environment import allocator_variables
from allocphase.machine.environment import environment, timed_cpus
from allocphase.machine.valgrind import NOT_INSTALLED, find_valgrind
from allocphase.probe.counter_group import HARDWARE_COUNTERS
from allocphase.probe.probe import Probe
from allocphase.probe.result import Hardware, Instructions, ProgramSyscalls
from allocphase.probe.status import Status
from allocphase.process.driver import FILE_BYTES, DriverExecutor, Outcome, TraceJob
from allocphase.process.keeper import Command, Containment, Limits
from allocphase.process.program import ProgramExecutor, ProgramJob
from allocphase.run.request import one_trace
from allocphase.text.line import plain
from allocphase.text.units import format_bytes, format_ns

__all__ = ["Finding", "findings"]

Level = Literal["ok", "note", "missing"]
BUSY_LOAD = 0.3
TRIAL_TIMEOUT_S = 20.0


@dataclass(frozen=True, slots=True)
class Finding:
    """One line of the examination."""

    level: Level
    subject: str
    text: str

    def line(self) -> str:
        """As printed: the level first, so that a reader can scan for what is not ok."""
        return f"{self.level:<8}{self.subject:<20}{self.text}"


def findings() -> Iterator[Finding]:
    """Every finding; the trials take about a second."""
    facts = environment()
    yield Finding("ok", "machine", f"{facts['cpu']}, {facts['cpus']} CPUs, {_memory(facts)}")
    yield from _disturbances(facts)
    yield from _abilities()
    yield from _tools()
    yield from _allocators()


def _memory(facts: dict[str, object]) -> str:
    return format_bytes(float(str(facts["memory_bytes"])))


def _disturbances(facts: dict[str, object]) -> Iterator[Finding]:
    if facts["virtual"]:
        text = "page faults and system calls cost several times what they do on bare metal"
        yield Finding("note", "virtual machine", text)
    governor = facts["governor"]
    if governor not in (None, "performance"):
        text = f"{governor}: clock rates vary; `cpupower frequency-set -g performance` fixes them"
        yield Finding("note", "frequency governor", text)
    if facts["boost"]:
        text = "on: the clock rises while others idle, and falls as the CPU warms"
        yield Finding("note", "boost", text)
    if isinstance(facts["cpu_quota"], float):
        text = f"{facts['cpu_quota']} CPUs: whoever has used them up is stopped while it is timed"
        yield Finding("note", "CPU quota", text)
    load = float(str(facts["load_average"]))
    if load > BUSY_LOAD * len(timed_cpus()):
        yield Finding("note", "load", f"{load:.2f}: other processes run; expect wider intervals")
    if facts["aslr"] == "0":
        text = "off: every process has one and the same layout, whose luck cannot average out"
        yield Finding("note", "ASLR", text)
    huge = facts["transparent_huge_pages"]
    level: Level = "note" if huge == "always" else "ok"
    yield Finding(level, "huge pages", f"{huge}: part of every RSS figure, recorded with the run")
    if found := allocator_variables(os.environ):
        words = ", ".join(f"{name}={value}" for name, value in found.items())
        text = f"{words}: taken out of what is measured (--keep-allocator-environment leaves them)"
        yield Finding("note", "tuning", plain(text))


def _abilities() -> Iterator[Finding]:
    try:
        scratch = tempfile.TemporaryDirectory(prefix="allocphase-doctor-")
    except OSError as error:
        text = f"{error.strerror or error}: nothing can be tried; set TMPDIR to another folder"
        yield Finding("missing", "temporary folder", text)
        return
    with scratch as folder:
        path = Path(folder) / "trial.trace"
        trace.write(scenario.generate(one_trace("phase-report", reason="doctor replays one")), path)
        yield _fence(Path(folder))
        timed = _trial(path, Probe.LATENCY)
        yield _clock(timed)
        yield from _lacks(timed)
        yield _backend("dispatch", _trial(path, Probe.SYSCALLS, backend="dispatch"))
        yield _backend("ptrace", _trial(path, Probe.SYSCALLS, backend="ptrace"))
        yield _rss(_trial(path, Probe.MEMORY))
        yield _instructions(path)
        yield _hardware(path)
        yield _program_syscalls(Path(folder))


def _instructions(path: Path) -> Finding:
    """Whether callgrind can count a driver's process."""
    if find_valgrind() is None:
        return Finding("note", "instructions", f"valgrind is {NOT_INSTALLED}")
    outcome = _trial(path, Probe.INSTRUCTIONS)
    if outcome.status is not Status.OK:
        return Finding("missing", "instructions", outcome.message)
    version = outcome.result.part(Instructions).valgrind
    return Finding("ok", "instructions", f"counted by callgrind {version}")


def _hardware(path: Path) -> Finding:
    """Whether the processor's counters can be read; where not, whether it is they that are missing
    or counting as such that is not permitted.
    """
    outcome = _trial(path, Probe.HARDWARE)
    if outcome.status is not Status.OK:
        return Finding("missing", "hardware", outcome.message)
    part = outcome.result.part(Hardware)
    if part.events:
        text = f"counted outside of the kernel: {', '.join(part.events)}"
        lost = "".join(f"; no {name}: {why}" for name, why in part.left_out.items())
        return Finding("ok", "hardware", f"{text}{lost}")
    why = outcome.result.lacking(HARDWARE_COUNTERS)
    kernels = _trial(path, Probe.HARDWARE, options={"software-counters": "1"})
    counting = kernels.status is Status.OK and kernels.result.part(Hardware).events
    works = "; what the kernel itself counts can be read" if counting else ""
    return Finding("note", "hardware", f"{why}{works}")


# To be tried by somebody who may write into their own folder alone.
_TRESPASSES = "echo > ../outside; kill -0 $PPID && echo > heard"


def _fence(folder: Path) -> Finding:
    """What keeps an allocator to its own folder."""
    inside = folder / "inside"
    inside.mkdir()
    driver = resources.find("driver/allocphase-driver")
    Containment(driver, Limits()).run(
        Command(
            arguments=["/bin/sh", "-c", _TRESPASSES],
            environment=os.environ,
            folder=inside,
            timeout_s=TRIAL_TIMEOUT_S,
            file_bytes=FILE_BYTES,
            writable=[inside],
        )
    )
    if (folder / "outside").exists():
        text = "no Landlock (Linux 6.2 has what is needed): allocators can write wherever you can"
        return Finding("missing", "fence", text)
    if (inside / "heard").exists():
        text = "around files; Linux 6.12 would keep signals in, too: allocators can kill this run"
        return Finding("note", "fence", text)
    return Finding("ok", "fence", "allocators can write into their own folder, and kill themselves")


def _trial(
    path: Path, probe: Probe, *, backend: str = "auto", options: Mapping[str, str] | None = None
) -> Outcome:
    options = {"fixed-addresses": "1", **(options or {})}
    if probe is Probe.SYSCALLS:
        options["syscall-backend"] = backend
    return DriverExecutor().run(
        TraceJob(
            id=0,
            round=0,
            allocator=allocator.resolve("libc")[0],
            scenario="phase-report",
            trace=path,
            probe=probe,
            cpus=tuple(timed_cpus()),
            timeout_s=TRIAL_TIMEOUT_S,
            options=options,
        )
    )


def _program_syscalls(folder: Path) -> Finding:
    """Whether a program's system calls can be counted."""
    subject, inputs = "program syscalls", folder / "inputs"
    inputs.mkdir()
    program = scenario.ad_hoc("true", folder=folder)
    outcome = ProgramExecutor(DriverExecutor()).run(
        ProgramJob(
            id=0,
            round=0,
            allocator=allocator.resolve("libc")[0],
            scenario=program.name,
            probe=Probe.PROGRAM_SYSCALLS,
            cpus=tuple(timed_cpus()),
            timeout_s=TRIAL_TIMEOUT_S,
            program=program,
            inputs=inputs,
        )
    )
    if outcome.status is not Status.OK:
        return Finding("missing", subject, outcome.message)
    if outcome.result.part(ProgramSyscalls).calls is None:
        why = outcome.result.lacking("system calls")
        return Finding("missing", subject, f"{why}: they are not counted")
    return Finding("ok", subject, "works")


def _clock(outcome: Outcome) -> Finding:
    if outcome.status is not Status.OK:
        return Finding("missing", "clock", outcome.message)
    clock = outcome.result.clock
    assert clock is not None, "a latency process that ended well has read it"
    cost, step = format_ns(clock.overhead_ns), format_ns(clock.step_ns)
    text = f"{clock.source}: a reading costs {cost}, steps of {step}; shorter calls are a floor"
    return Finding("ok", "clock", text)


def _lacks(outcome: Outcome) -> Iterator[Finding]:
    """What the driver was not allowed, and what is lost with it."""
    if outcome.status is not Status.OK:
        return
    found = dict(text.split(": ", 1) for text in outcome.result.lacks)
    for what, lost in _LOST.items():
        if what in found:
            yield Finding("missing", what, f"{found[what]}: {lost}")
        else:
            yield Finding("ok", what, "works")
    if outcome.result.tracer_pid:
        text = f"process {outcome.result.tracer_pid} traces what allocphase starts: times mislead"
        yield Finding("note", "debugger", text)


# What conditions_lack() in the driver can say, and what a run is without it.
_LOST = {
    "fixed addresses": "layouts differ between the probes that are joined operation by operation",
    "pinning to a CPU": "threads may move while they are timed: expect wider intervals",
}


def _backend(name: str, outcome: Outcome) -> Finding:
    if outcome.status is Status.OK:
        return Finding("ok", f"syscalls: {name}", "works")
    return Finding("missing", f"syscalls: {name}", outcome.message)


def _rss(outcome: Outcome) -> Finding:
    memory = outcome.result.memory
    if outcome.status is not Status.OK or memory is None:
        return Finding("missing", "memory", outcome.message)
    if memory.rss_source == "smaps_rollup":
        return Finding("ok", "memory", "exact, from smaps_rollup")
    return Finding("note", "memory", "from statm, which runs late: this kernel has no smaps_rollup")


def _tools() -> Iterator[Finding]:
    compiler = os.environ.get("CC", "cc")
    if shutil.which(compiler):
        yield Finding("ok", "C compiler", f"{compiler}: NAME=path.c works")
    else:
        yield Finding("missing", "C compiler", "for NAME=path.c: apt-get install gcc")


def _allocators() -> Iterator[Finding]:
    for found in allocator.collected().values():
        level: Level = "missing" if found.missing else "ok"
        yield Finding(level, found.name, found.missing or found.title)
