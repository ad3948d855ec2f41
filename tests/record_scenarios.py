"""`make recordings`: records the scenarios of the collection that are recordings again.

Each says in its own file which program it is of. Its files are made, it runs under `allocphase
record`, and the trace takes the place of the old one. What the trace says of itself is told without
this machine's folders. The labels beside it are of the old trace then, and are not told:
`allocphase validate NAME` makes new ones.

    python -m tests.record_scenarios [NAME ...]
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from allocphase import trace
from allocphase.files.typed import read
from allocphase.process.program import program_environment
from allocphase.recorder.convert import convert
from allocphase.recorder.event_file import open_recording
from allocphase.scenario.program import Program, ProgramTable
from allocphase.text.units import format_bytes
from allocphase.trace.encoding import sealed
from allocphase.trace.provenance import Provenance, written_provenance

ROOT = Path(__file__).resolve().parents[1]
SCENARIOS = ROOT / "scenarios"
COMMAND = Path(sys.executable).with_name("allocphase")


def main(names: Sequence[str]) -> int:
    """Records those of the names, or all."""
    found = {path.stem: path for path in sorted(SCENARIOS.glob("recorded-*.toml"))}
    for name in names or found:
        said = tomllib.loads(found[name].read_text("utf-8"))
        target = SCENARIOS / said["trace"]
        operations = record(program_of(name, said), target)
        print(f"{target.name}: {operations:,} operations, {format_bytes(target.stat().st_size)}")
    return 0


def program_of(name: str, said: dict[str, Any]) -> Program:
    """What a recording's file says that was recorded; its trace need not be there."""
    table = read(ProgramTable, said["program"])
    files = tuple(str(SCENARIOS / file) for file in table.files)
    return Program(
        name=name,
        title=said["title"],
        stands_for=said["stands_for"],
        source=said["source"],
        does_not_show=said["does_not_show"],
        seed=said["seed"],
        default=False,
        program=replace(table, files=files),
    )


def record(program: Program, target: Path) -> int:
    """Writes the trace of a run of it, and returns how many operations it has."""
    # Paths as long as those of the program that `validate` records: they are on the heap, too.
    with tempfile.TemporaryDirectory(prefix="allocphase-") as name:
        inputs, cwd = Path(name, "inputs"), Path(name, "cwd")
        inputs.mkdir()
        cwd.mkdir()
        program.make_inputs(inputs)
        events, whole = Path(name, "app.events"), Path(name, "app.trace")
        subprocess.run(
            [COMMAND, "record", "-o", events, "--", *program.arguments(inputs)],
            env=program_environment(program, inputs=inputs, own=cwd),
            cwd=cwd,
            stdout=subprocess.DEVNULL,
            check=True,
        )
        said = _of_no_machine(convert(open_recording(events), whole), program)
        made = replace(trace.read(whole), meta=written_provenance(said))
        trace.write(sealed(made), target)
        return len(made.ops)


def _of_no_machine(said: Provenance, program: Program) -> Provenance:
    """The command as its scenario has it, and files by their names alone."""
    command = [part.replace("{inputs}/", "") for part in program.program.command]
    return replace(
        said,
        command=tuple(part.replace("{python}", "python3") for part in command),
        allocator=Path(said.allocator).name,
    )


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
