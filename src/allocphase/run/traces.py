"""The traces of a run, and the files of its programs, which lie in its directory while it is
being filled.
"""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase import interruption
from allocphase.files.durable import named_errors
from allocphase.files.regular import refuse_linked_folder
from allocphase.operation import FREE_REMOTE
from allocphase.probe.arrays import RAW_OPS, Arrays
from allocphase.scenario import Program, Recorded, Traced, generate
from allocphase.store.writer import RunWriter
from allocphase.trace import write
from allocphase.trace.records import FLAGS_SHIFT, WAIT, Kind, Trace, kind_of

__all__ = ["inputs_path", "make_inputs", "make_trace", "ops_arrays", "remove_traces", "trace_path"]


def make_trace(writer: RunWriter, index: int, scenario: Traced) -> Trace:
    """Writes the trace of scenario `index`, and its operations unless they are there already. That
    of a recording is unpacked there, and mapped.

    Raises UsageError for a scenario that makes no valid trace, AllocphaseError when the directory
    cannot be written, InterruptionError.
    """
    interruption.check()
    path = trace_path(writer.path, index)
    with named_errors(path):
        path.parent.mkdir(exist_ok=True)
    refuse_linked_folder(path.parent)
    if isinstance(scenario, Recorded):
        scenario.write(path)
        made = replace(scenario, path=str(path)).read()
    else:
        made = generate(scenario)
        write(made, path)
    if not writer.has_operations(index):
        writer.write_operations(index, ops_arrays(made.ops, made.threads))
    return made


def make_inputs(run: Path, index: int, program: Program) -> Path:
    """The folder with the files of scenario `index`, made anew. Raises as make_trace."""
    interruption.check()
    folder = inputs_path(run, index)
    with named_errors(folder):
        folder.parent.mkdir(exist_ok=True)
        refuse_linked_folder(folder.parent)
        folder.mkdir()
    program.make_inputs(folder)
    return folder


def inputs_path(run: Path, index: int) -> Path:
    """Where the files of scenario `index` lie, if it is a program."""
    return run / "traces" / f"{index}.inputs"


def trace_path(run: Path, index: int) -> Path:
    """Where the trace of scenario `index` lies."""
    return run / "traces" / f"{index}.trace"


def remove_traces(run: Path) -> None:
    """They are the bulk of a run, and run.json can make them again."""
    shutil.rmtree(run / "traces", ignore_errors=True)


def ops_arrays(trace_ops: Any, threads: Any, *, raw_ops: int = RAW_OPS) -> Arrays:
    """What a report needs of a trace: kind, size and thread per operation, and its rank there; and
    how many operations of each thread are of the build and of the drain: `thread_build` and
    `thread_drain`, shape (threads,).

    The kind is an index into operation.KIND_NAMES: a free with a hand-over is a free_remote. The
    size of a free is that of its object, which the trace itself does not say.
    `trace_ops`: records of dtype OP, shape (ops,). `threads`: of dtype THREAD.

    A trace of more than `raw_ops` operations has no latency of most of them, and the slowest calls
    carry their own kind, size and thread: of such a trace the arrays are empty, and `thread_ops`,
    shape (threads,), says how long each thread is.
    """
    thread_counts = threads["op_count"].astype(np.int64)
    parts = {f"thread_{key}": threads[f"{key}_ops"].astype(np.int64) for key in ("build", "drain")}
    if len(trace_ops) > raw_ops:
        return {**_no_operations(), "thread_ops": thread_counts, **parts}
    thread = np.repeat(np.arange(len(thread_counts), dtype=np.uint16), thread_counts)
    starts = np.repeat(np.cumsum(thread_counts) - thread_counts, thread_counts)
    rank = (np.arange(len(trace_ops)) - starts).astype(np.uint32)
    kind = kind_of(trace_ops)
    size = _with_sizes_of_frees(trace_ops, kind)
    remote = (kind == Kind.FREE) & (trace_ops["kind_flags"] >> FLAGS_SHIFT & WAIT > 0)
    kind[remote] = FREE_REMOTE
    return {"kind": kind, "size": size, "thread": thread, "op": rank, **parts}


def _with_sizes_of_frees(trace_ops: Any, kind: npt.NDArray[np.uint8]) -> npt.NDArray[np.uint32]:
    """By slot and epoch, a free comes after what gave its object the size that it has."""
    order = np.lexsort((trace_ops["epoch"], trace_ops["slot"]))
    size, gives = np.array(trace_ops["size"], dtype=np.uint32), kind[order] <= Kind.ALIGNED_ALLOC
    giver = order[np.maximum.accumulate(np.where(gives, np.arange(len(order)), 0))]
    frees = np.isin(kind[order], (Kind.FREE, Kind.FREE_FOREIGN))
    size[order[frees]] = size[giver[frees]]
    return size


def _no_operations() -> Arrays:
    types = {"kind": np.uint8, "size": np.uint32, "thread": np.uint16, "op": np.uint32}
    return {name: np.empty(0, dtype) for name, dtype in types.items()}
