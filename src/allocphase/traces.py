"""The traces of a run, which lie in its directory while it is being filled."""

from __future__ import annotations

import shutil
from pathlib import Path

from allocphase import interruption
from allocphase.durable import named_errors
from allocphase.layout import Trace
from allocphase.result import RunWriter, ops_arrays
from allocphase.scenario import Scenario, generate
from allocphase.trace import write

__all__ = ["make_trace", "remove_traces", "trace_path"]


def make_trace(writer: RunWriter, index: int, scenario: Scenario) -> Trace:
    """Writes the trace of scenario `index`, and its operations unless they are there already.

    Raises UsageError for a scenario that makes no valid trace, AllocphaseError when the directory
    cannot be written, InterruptionError.
    """
    interruption.check()
    made, path = generate(scenario), trace_path(writer.path, index)
    with named_errors(path):
        path.parent.mkdir(exist_ok=True)
    write(made, path)
    if not writer.has_operations(index):
        writer.write_operations(index, ops_arrays(made.ops, made.threads["op_count"]))
    return made


def trace_path(run: Path, index: int) -> Path:
    """Where the trace of scenario `index` lies."""
    return run / "traces" / f"{index}.trace"


def remove_traces(run: Path) -> None:
    """They are the bulk of a run, and run.json can make them again."""
    shutil.rmtree(run / "traces", ignore_errors=True)
