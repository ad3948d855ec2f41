"""Repeats one run of a program by hand, as process/repetition.py has it of traces.

    as it ran    by `allocphase exec`, in its folder, with its variables and its input; without the
                 keeper, which allows no core file and ends what takes too long
    gdb          where its command is a program, and no script: gdb stops where a signal does

Of a scenario's program the environment is as small as it was; the values of what it has of the
user's are the shell's then, and are not written down.

Place in the pipeline: used by run, which keeps what failed.
"""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import dataclass
from pathlib import Path

from allocphase.allocator import Allocator, resolve
from allocphase.allocator.environment import allocator_variables, environment_of
from allocphase.allocator.program import find_program
from allocphase.errors import AllocphaseError
from allocphase.files.elf import elf_head
from allocphase.process.driver import Failure
from allocphase.process.program import FIXED_VARIABLES, KEPT_VARIABLES, ProgramJob
from allocphase.process.repetition import ENV, Repetition, quoted
from allocphase.spec import Spec

__all__ = ["program_repetitions"]


def program_repetitions(job: ProgramJob, failure: Failure, folder: Path) -> list[Repetition]:
    """The commands for a run of which `job` names what is kept. One of a scenario runs in
    `folder`, one of a command line where it ran.
    """
    call = _Call(job, folder.absolute())
    return [_by_exec(call, failure), *_in_gdb(call)]


@dataclass(frozen=True, slots=True)
class _Call:
    """The program's call, in pieces that are ready for a shell."""

    job: ProgramJob
    folder: Path

    def variables(self) -> str:
        """What sets the program's own for the command that follows."""
        own = [f"{key}={value}" for key, value in self._own.items()]
        if self.job.program.program.folder is not None:
            others = [word for name in allocator_variables(os.environ) for word in ("-u", name)]
            return quoted([ENV, *others, *own])
        kept = " ".join(f'{name}="${name}"' for name in KEPT_VARIABLES if name in os.environ)
        fixed = [f"{name}={value}" for name, value in FIXED_VARIABLES.items()]
        return f"{quoted([ENV, '-i'])} {kept} {quoted([*fixed, f'TMPDIR={self.folder}', *own])}"

    @property
    def _own(self) -> dict[str, str]:
        return self.job.program.variables(self.job.inputs.absolute())

    @property
    def input(self) -> str:
        """Where it reads from."""
        return quoted([self.job.program.program.input or os.devnull])

    def words(self) -> list[str]:
        """The command itself."""
        return self.job.program.arguments(self.job.inputs.absolute())

    def in_its_folder(self, command: str) -> str:
        """A line that leaves the reader's shell where it is."""
        where = self.job.program.program.folder or str(self.folder)
        return f"(cd {quoted([where])} && {command})"


def _by_exec(call: _Call, failure: Failure) -> Repetition:
    words = "as it ran; `ulimit -c unlimited` before it lets a crash leave a core file"
    if failure.ended_by != "ended":
        words = "as it ran; nothing but Ctrl-C ends it here"
    tool = Path(sys.executable).with_name("allocphase")
    front = [str(tool)] if tool.exists() else [sys.executable, "-m", "allocphase.cli"]
    front += ["exec", "-a", _spec(call.job.allocator), "--"]
    command = f"{call.variables()} {quoted([*front, *call.words()])} < {call.input}"
    return Repetition(words, call.in_its_folder(command))


def _in_gdb(call: _Call) -> list[Repetition]:
    name, *arguments = call.words()
    try:
        program = find_program(name, os.environ)
        if elf_head(program) is None:
            return []
    except OSError:  # it was there when it ran
        return []
    preload = [f"{key}={value}" for key, value in environment_of(call.job.allocator, {}).items()]
    command = [
        *("gdb", "-q"),
        *("-ex", f"set exec-wrapper {call.variables()} {quoted(preload)}"),
        *("-ex", f"run < {call.input}"),
        *("--args", str(program), *arguments),
    ]
    words = "in gdb, which stops where it crashes, and `bt` says where that is"
    return [Repetition(words, call.in_its_folder(quoted(command)))]


def _spec(allocator: Allocator) -> str:
    """What names it on a command line: its name, where that is enough, else its object."""
    with contextlib.suppress(AllocphaseError):
        if resolve(allocator.name) == (allocator,):
            return allocator.name
    name = Spec.of_allocator(allocator.name).name
    if allocator.path is None:
        return allocator.name
    own = allocator.config if allocator.kind == "plugin" else {}
    settings = [f"{key}={value}" for key, value in own.items()]
    settings += [f"env.{key}={value}" for key, value in allocator.environment.items()]
    return f"{name}={allocator.path.absolute()}" + (f"?{'&'.join(settings)}" if settings else "")
