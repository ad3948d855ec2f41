"""What `validate` compares call by call: the program's calls, and what it has live meanwhile, with
those that its trace stands for.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from allocphase.commands.shared import say
from allocphase.errors import AllocphaseError

if TYPE_CHECKING:
    import numpy as np
    import numpy.typing as npt

    from allocphase.analysis.exact import Alike
    from allocphase.analysis.frames import Run
    from allocphase.scenario import Program, Recorded

__all__ = ["exactly_alike"]


def exactly_alike(
    run: Run, recording: Recorded, whole: Program, nothing: Program
) -> Iterator[Alike]:
    """Calls by kind as they were counted in the run, and what is live, in a recording made now.

    nothing: a program that calls nothing, measured beside. What cannot be compared is said on
    stderr.
    """
    from allocphase.analysis.exact import calls_alike, live_alike
    from allocphase.recorder.alike import calls_by_kind, replayed_calls
    from allocphase.scenario.recorded import MAX_CHECKED
    from allocphase.trace.facts import program_live_bytes
    from allocphase.trace.provenance import RECORDED

    said = recording.provenance
    if said is None or said.origin != RECORDED:
        say("calls, live bytes: not compared: the trace is no whole recording", err=True)
        return
    trace = recording.read()
    calls = calls_alike(
        run, (whole.name, nothing.name), calls_by_kind, replayed_calls(trace, said.notes)
    )
    if calls is not None:
        yield calls
    if len(trace.ops) > MAX_CHECKED:
        say(f"live bytes: not compared: more than {MAX_CHECKED:,} operations", err=True)
        return
    try:
        program = _live_now(whole)
    except (OSError, AllocphaseError) as error:
        say(f"live bytes: not compared: {error}", err=True)
        return
    yield live_alike(program, program_live_bytes(trace))


def _live_now(whole: Program) -> list[npt.NDArray[np.int64]]:
    """Of the program, recorded once more. Raises OSError, AllocphaseError."""
    from allocphase.allocator.program import find_program
    from allocphase.process.program import program_environment
    from allocphase.recorder.alike import live_bytes
    from allocphase.recorder.event_file import open_recording
    from allocphase.recorder.start import record_apart

    with tempfile.TemporaryDirectory(prefix="allocphase-") as name:
        inputs, own = Path(name, "inputs"), Path(name, "cwd")
        inputs.mkdir()
        own.mkdir()
        whole.make_inputs(inputs)
        table, variables = whole.program, program_environment(whole, inputs=inputs, own=own)
        arguments = whole.arguments(inputs)
        tree = record_apart(
            find_program(arguments[0], variables),
            arguments,
            variables,
            path=Path(name, "again.events"),
            folder=Path(table.folder) if table.folder is not None else own,
            stdin=Path(table.input) if table.input is not None else None,
        )
        path = next((image.path for image in tree.images if image.path is not None), None)
        if path is None or tree.ended is not None:
            raise AllocphaseError("the program could not be recorded again")
        return live_bytes(open_recording(path))
