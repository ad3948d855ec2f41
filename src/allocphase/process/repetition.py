"""Repeats one process by hand: the commands for a shell, as it ran and under tools.

Each command is one line to be pasted, in a subshell, so that nothing of it stays in the reader's;
words in it that came from elsewhere are quoted. It starts in the folder that is kept of the
process, which gets the driver's files and what the allocator dumps. Of the environment only what
allocphase adds is written down: the harness's own may hold secrets, and is the shell's now.

    as it ran    the driver's call itself, behind the keeper where that ended the process: what
                 hung, or took all memory, would do so again
    gdb          stops where a signal does, and where the process ends itself: so where verify
                 found something. Its shell sets the variables: gdb must not be preloaded
    valgrind     without address randomisation turned off, for which the driver starts itself
                 again; with the allocator's own malloc left in place
    sanitizers   of a plug-in from source, built once more. Their runtime wraps what the driver
                 needs of libc, so the driver is told to trust it (--sanitizer)

Under a tool the syscalls probe observes nothing (--syscall-backend mark): its signal for each
system call would be the tool's.

Place in the pipeline: used by run, which keeps what failed.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path

from allocphase.allocator.environment import allocator_variables
from allocphase.allocator.source import Source, rebuilding
from allocphase.probe.probe import Probe
from allocphase.process.driver import (
    PADDING_VARIABLE,
    Failure,
    TraceJob,
    driver_arguments,
    file_bytes,
    own_variables,
)
from allocphase.process.keeper import keeping
from allocphase.text.units import format_bytes

__all__ = ["ENV", "Repetition", "quoted", "repetitions"]

ENV = "/usr/bin/env"  # the keeper starts it, which looks for nothing
_SANITIZED = "sanitized.so"
_SANITIZERS_OPTIONS = {"ASAN_OPTIONS": "detect_leaks=0", "UBSAN_OPTIONS": "print_stacktrace=1"}


@dataclass(frozen=True, slots=True)
class Repetition:
    """`words`: what the command does, or why there is none. `command`: one line for a shell."""

    words: str
    command: str = ""


def repetitions(job: TraceJob, failure: Failure, folder: Path) -> list[Repetition]:
    """The commands for a process of which `job` names what is kept; they run in `folder`."""
    call = _Call(job, failure.driver, folder.absolute())
    found = [_as_it_ran(call, failure), _in_gdb(call, failure), _under_valgrind(call, failure)]
    return found + ([_sanitized(call, failure)] if job.allocator.source is not None else [])


@dataclass(frozen=True, slots=True)
class _Call:
    """The driver's call for a job, in pieces that are ready for a shell."""

    job: TraceJob
    driver: Path
    folder: Path

    def variables(self, more: Mapping[str, str] | None = None) -> str:
        """What sets them for the command that follows."""
        job, ours = self.job, own_variables(self.job)
        ours.pop(PADDING_VARIABLE, None)
        if job.allocator.kind == "preload" and job.allocator.path is not None:
            ours["LD_PRELOAD"] = str(job.allocator.path.absolute())  # a kept driver does it itself
        ours |= more or {}
        others = [name for name in ("LD_PRELOAD", *allocator_variables(os.environ))
                  if name not in ours]  # fmt: skip
        words = [ENV, *(word for name in others for word in ("-u", name))]
        words += [f"{name}={value}" for name, value in ours.items()]
        padding = f"\"$(printf '%{job.padding_bytes}s' '' | tr ' ' x)\""
        return f"{quoted(words)} {PADDING_VARIABLE}={padding if job.padding_bytes else ''}"

    def words(self) -> list[str]:
        """The driver and its arguments."""
        arguments = driver_arguments(self.job, self.folder)
        return [str(self.driver), *arguments, "--aloud", "1"]

    def with_options(self, **options: str | None) -> _Call:
        """The same with other options of the driver's; None: without."""
        named = {name.replace("_", "-"): value for name, value in options.items()}
        changed = {**self.job.options, **named}
        kept = {name: value for name, value in changed.items() if value is not None}
        return replace(self, job=replace(self.job, options=kept))

    def under_a_tool(self) -> _Call:
        """Not observed by the driver."""
        observed = self.job.probe is Probe.SYSCALLS
        return self.with_options(syscall_backend="mark") if observed else self


def _as_it_ran(call: _Call, failure: Failure) -> Repetition:
    command = f"{call.variables()} {quoted(call.words())}"
    if failure.ended_by not in _ENDED:
        return Repetition("as it ran", _in_folder(call, command))
    job, limits = call.job, failure.limits
    kept = keeping(limits, timeout_s=job.timeout_s, file_bytes=file_bytes(job))
    front = quoted([str(call.driver), *kept])
    limit = {
        "timeout": f"{job.timeout_s:g} s",
        "memory": format_bytes(limits.memory_bytes),
        "processes": f"{limits.processes} processes",
    }[failure.ended_by]
    words = (
        f"as it ran: {_ENDED[failure.ended_by]} again, and is ended beyond {limit} as it was, with "
        f"a line that begins with `{failure.ended_by}`"
    )
    return Repetition(words, _in_folder(call, f"{front} {command}"))


# What a process does whose keeper ended it.
_ENDED = {
    "timeout": "it hangs",
    "memory": "it takes memory without end",
    "processes": "it starts processes without end",
}


def _in_gdb(call: _Call, failure: Failure) -> Repetition:
    tool = call.under_a_tool()
    command = [
        "gdb",
        "-q",
        *_source_folders(tool.job.allocator.source),
        *("-ex", f"set exec-wrapper {tool.variables()}"),
        *("-ex", "catch syscall exit_group"),
        *("-ex", "run"),
        *("--args", *tool.words()),
    ]
    words = (
        "in gdb, which stops where it crashes or the driver ends it, and `bt` says where that is"
    )
    if failure.ended_by in _ENDED:
        words = "in gdb, where `thread apply all bt` says where it is once it was stopped"
    return Repetition(words + _warning(failure), _in_folder(tool, quoted(command)))


def _source_folders(source: Source | None) -> list[str]:
    """An object from source knows neither where that lay nor where it was compiled."""
    folders = [source.path.parent, source.folder] if source else []
    return [word for folder in dict.fromkeys(folders) for word in ("-d", str(folder))]


def _warning(failure: Failure) -> str:
    """Of a tool, which has no keeper."""
    doing = _ENDED.get(failure.ended_by)
    return f"; {doing}, and Ctrl-C is all that ends it here" if doing else ""


def _under_valgrind(call: _Call, failure: Failure) -> Repetition:
    tool = call.under_a_tool().with_options(fixed_addresses=None)
    front = ["valgrind", "-q", "--trace-children=yes"]
    front += ["--soname-synonyms=somalloc=nouserintercepts"]  # what it calls its own malloc, it is
    command = f"{quoted(front)} {tool.variables()} {quoted(tool.words())}"
    words = f"under valgrind, some 50 times slower{_warning(failure)}"
    return Repetition(words, _in_folder(tool, command))


def _sanitized(call: _Call, failure: Failure) -> Repetition:
    source, allocator = call.job.allocator.source, call.job.allocator
    assert source is not None
    what = f"with {source.path.name}, as it is then, rebuilt under AddressSanitizer and UBSan"
    if allocator.kind == "preload":
        return Repetition(f"not {what}: both would take malloc's place")
    built = call.folder / _SANITIZED
    how = rebuilding(source)
    if how.runtime is None:
        return Repetition(f"not {what}: {how.command[0]} has no runtime library for it here")
    tool = call.under_a_tool()
    tool = replace(tool, job=replace(tool.job, allocator=replace(allocator, path=built)))
    tool = tool.with_options(sanitizer=str(how.runtime))
    variables = tool.variables({"LD_PRELOAD": str(how.runtime), **_SANITIZERS_OPTIONS})
    compiling = f"cd {quoted([str(source.folder)])} && {quoted([*how.command, '-o', str(built)])}"
    running = f"cd {quoted([str(call.folder)])} && {variables} {quoted(tool.words())}"
    return Repetition(what + _warning(failure), f"({compiling} && {running})")


def _in_folder(call: _Call, command: str) -> str:
    return f"(cd {quoted([str(call.folder)])} && {command})"


def quoted(words: list[str]) -> str:
    """Words of one command, ready for a shell."""
    return " ".join(map(_one_quoted, words))


def _one_quoted(word: str) -> str:
    """As shlex.quote; what a terminal would not show as it is in bash's $'...', byte by byte."""
    if word.isprintable() or not word:
        return shlex.quote(word)
    return "$'" + "".join(f"\\x{byte:02x}" for byte in os.fsencode(word)) + "'"
