"""Program scenarios: a command that is run whole, what it reads, and what it must print.

    [program]
    command = ["perl", "{inputs}/work.pl"]     a list, no shell; {inputs}: the folder of its files,
                                               {python}: the Python that runs allocphase
    needs = ["perl"]                           commands without which it is not measured
    files = ["programs/work.pl"]               beside the scenario's own; a .c is compiled with cc
    inputs = "json_lines"                      what makes more of them, of the scenario's seed
    output_sha256 = "..."                      of its stdout; another output is corrupt
    cpus = 1                                   how many it may use; 0: all that there are
    environment = { PYTHONMALLOC = "malloc" }
    share_in_malloc = "13% of ..."             for readers: how much of it is malloc, as measured

It runs in an empty folder of its own, and may write there. A program of a command line has the
user's folder and environment, and no digest: then outputs are held against each other.
"""

from __future__ import annotations

import hashlib
import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated

from allocphase.errors import UsageError, shown
from allocphase.files.durable import copy_whole
from allocphase.files.regular import read_regular
from allocphase.files.typed import Check, Count, Name, at_most, known, length
from allocphase.scenario.inputs import INPUTS

__all__ = ["Program", "ProgramTable", "ad_hoc"]

MAX_FILE_BYTES = 16 << 20

_Digest = Annotated[
    str,
    Check(
        "a SHA-256 in hexadecimal",
        lambda text: isinstance(text, str) and re.fullmatch("[0-9a-f]{64}", text) is not None,
    ),
]
_Variables = Mapping[
    Annotated[str, Check("a variable's name", lambda key: bool(re.fullmatch(r"\w+", key)))], str
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramTable:
    """The table [program] of a scenario's TOML file, and the same in run.json.

    files: from the file's folder on; in run.json, as they lie. folder, input: where a program of a
    command line runs, and what its stdin is.
    """

    command: Annotated[tuple[str, ...], length(least=1)]
    needs: tuple[Name, ...] = ()
    files: tuple[Name, ...] = ()
    inputs: Annotated[str, known(INPUTS)] | None = None
    output_sha256: _Digest | None = None
    exit_code: Annotated[int, at_most(255)] = 0
    cpus: Count = 1
    environment: _Variables = field(default_factory=dict)
    share_in_malloc: str | None = None
    folder: str | None = None
    input: str | None = None


@dataclass(frozen=True, slots=True)
class Program:
    """A scenario that is a command, run whole under an allocator."""

    name: str
    title: str
    stands_for: str
    source: str
    does_not_show: str
    seed: int
    default: bool
    program: ProgramTable

    def with_parameters(self, changes: Mapping[str, object]) -> Program:
        """Itself, as long as there are no changes. Raises UsageError: a program has none."""
        for key in changes:
            raise UsageError(f"scenario {self.name}: is a program, and has no parameter {key!r}")
        return self

    @property
    def missing(self) -> str | None:
        """Why it cannot run here, None where it can."""
        for command in self.program.needs:
            if shutil.which(command) is None:
                return f"not installed: {command}"
        return None

    @property
    def digest(self) -> str:
        """SHA-256 of all that decides what it does, in hex. Raises UsageError for a file of its
        that cannot be read.
        """
        table = self.program
        parts = [list(table.command), dict(sorted(table.environment.items())), self.seed]
        parts += [table.inputs, table.output_sha256, table.exit_code, table.cpus]
        parts += [table.folder, table.input, *map(self._digest_of, table.files)]
        return hashlib.sha256(json.dumps(parts).encode()).hexdigest()

    def make_inputs(self, folder: Path) -> None:
        """Fills the empty `folder` with what it reads: equal seeds make equal files.

        Raises UsageError where that fails.
        """
        try:
            for name in self.program.files:
                _put(Path(name), folder)
            if self.program.inputs is not None:
                INPUTS[self.program.inputs](folder, self.seed)
        except OSError as error:
            raise UsageError(f"scenario {self.name}: its files: {error}") from None

    def _digest_of(self, name: str) -> str:
        try:
            content = read_regular(Path(name), MAX_FILE_BYTES, follow=True)
        except OSError as error:
            raise UsageError(f"scenario {self.name}: {name}: {error.strerror}") from None
        return f"{Path(name).name} {hashlib.sha256(content).hexdigest()}"

    def arguments(self, inputs: Path) -> list[str]:
        """The command, with the folder of its inputs and the Python that runs this."""
        return [_filled(part, inputs) for part in self.program.command]

    def variables(self, inputs: Path) -> dict[str, str]:
        """Its own environment variables, likewise."""
        found = self.program.environment.items()
        return {key: _filled(value, inputs) for key, value in found}


def _filled(text: str, inputs: Path) -> str:
    return text.replace("{inputs}", str(inputs)).replace("{python}", sys.executable)


def _put(source: Path, folder: Path) -> None:
    """Copies a file; a C file becomes a program. Raises OSError."""
    if source.suffix != ".c":
        copy_whole(source, folder / source.name)
        return
    command = ["cc", "-O2", "-pthread", "-o", str(folder / source.stem), str(source)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        lines = done.stderr.splitlines()
        first = next((line for line in lines if "error" in line), "no word of why")
        raise OSError(f"{source.name}: cc: {first.strip()}")


def ad_hoc(
    command: str,
    *,
    name: str | None = None,
    environment: Sequence[str] = (),
    folder: Path | None = None,
    stdin: Path | None = None,
) -> Program:
    """The program that a command line gives as one text, taken apart as a shell does, and run
    without one. Raises UsageError with the option that is wrong.
    """
    try:
        parts = tuple(shlex.split(command))
    except ValueError as error:
        raise UsageError(f"--program {shown(command)}: {error}: quote it as for a shell") from None
    if not parts:
        raise UsageError("--program: there is no command")
    where = (folder or Path()).absolute()
    if not where.is_dir():
        raise UsageError(f"--cwd {where}: no such folder")
    executable = parts[0] if "/" not in parts[0] else str(where / parts[0])
    if shutil.which(executable) is None:
        raise UsageError(f"--program: {shown(parts[0])}: no such command, or it cannot be executed")
    if stdin is not None and not stdin.is_file():
        raise UsageError(f"--stdin {stdin}: no such file")
    called = name or Path(parts[0]).name
    if not called.isprintable() or set(called) & set("?&=:"):
        raise UsageError(f"--name {shown(called)}: letters, digits and . _ - make a name")
    return Program(
        name=called,
        title=shlex.join(parts),
        stands_for="The command that was given.",
        source="The command line.",
        does_not_show="Whatever the command does not do.",
        seed=0,
        default=False,
        program=ProgramTable(
            command=(executable, *parts[1:]),
            cpus=0,
            environment=dict(_variable(text) for text in environment),
            folder=str(where),
            input=None if stdin is None else str(stdin.absolute()),
        ),
    )


def _variable(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not re.fullmatch(r"\w+", key):
        raise UsageError(f"--env {shown(text)}: it is written NAME=VALUE")
    return key, value
