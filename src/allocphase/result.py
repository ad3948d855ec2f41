"""The run directory: what a run leaves on disk, and all that reports and gates ever read.

    run.json              schema, environment, plan, allocators, scenarios
    processes.jsonl       one line a finished process, synced before the next one starts
    samples/<id>.npz      what the process left: latencies, events, checkpoints
    operations/<n>.npz    of scenario n: kind, size and thread of every operation

A torn last line of the journal belongs to a process that did not finish: it is dropped.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allocphase.errors import UsageError
from allocphase.layout import FLAGS_SHIFT, WAIT, Kind, kind_of
from allocphase.samples import Arrays, load_arrays, save_arrays

__all__ = ["SCHEMA", "ProcessRecord", "RunFiles", "RunWriter", "is_slow", "ops_arrays"]

SCHEMA = 1
# driver/histogram.h: histogram_kind
FREE_REMOTE = len(Kind)
SLOW_REPLAY_NS = 2e9
_RUN_KEYS = ("schema", "label", "started", "command", "environment", "plan")
_RUN_LISTS = ("allocators", "scenarios")


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessRecord:
    """One finished process: a line of the journal. `result` is the driver's own JSON."""

    id: int
    round: int
    allocator: str
    scenario: str
    probe: str
    status: str
    message: str
    wall_s: float
    result: Mapping[str, Any]

    def to_json(self) -> str:
        """One line without its newline."""
        values = {name: getattr(self, name) for name in self.__slots__}
        return json.dumps(values, ensure_ascii=False, separators=(",", ":"))

    @classmethod
    def from_json(cls, line: str) -> ProcessRecord:
        """Raises ValueError when the line is no record of this schema."""
        values = json.loads(line)
        if not isinstance(values, dict) or set(values) != set(cls.__slots__):
            raise ValueError("not a process record")
        record = cls(**values)
        texts = (record.allocator, record.scenario, record.probe, record.status, record.message)
        if not all(isinstance(text, str) for text in texts) or not isinstance(record.result, dict):
            raise ValueError("a process record with values of the wrong type")
        return record


class RunWriter:
    """Appends to one run directory; what `add` returns from is on disk."""

    def __init__(self, path: Path) -> None:
        self.path = path
        for folder in (path, path / "samples", path / "operations"):
            folder.mkdir(parents=True, exist_ok=True)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Writes run.json whole or not at all."""
        text = json.dumps({"schema": SCHEMA, **manifest}, indent=2, ensure_ascii=False)
        partial = self.path / "run.json.partial"
        with partial.open("w", encoding="utf-8") as file:
            file.write(text + "\n")
            file.flush()
            os.fsync(file.fileno())
        partial.replace(self.path / "run.json")

    def write_operations(self, index: int, arrays: Arrays) -> None:
        """The operations of scenario `index`: see `ops_arrays`."""
        save_arrays(self.path / "operations" / f"{index}.npz", arrays)

    def add(self, record: ProcessRecord, arrays: Arrays) -> None:
        """Samples first, then the journal line that makes them count."""
        if arrays:
            save_arrays(self.path / "samples" / f"{record.id}.npz", arrays)
        with (self.path / "processes.jsonl").open("a", encoding="utf-8") as journal:
            journal.write(record.to_json() + "\n")
            journal.flush()
            os.fsync(journal.fileno())


class RunFiles:
    """Reads one run directory. Raises UsageError where a file is missing or not of this schema."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = _read_manifest(path / "run.json")

    def processes(self) -> list[ProcessRecord]:
        """Every finished process, in order of finishing."""
        return list(self._records())

    def samples(self, process_id: int) -> Arrays:
        """What the process left; empty when it left nothing."""
        path = self.path / "samples" / f"{int(process_id)}.npz"
        return load_arrays(path) if path.exists() else {}

    def operations(self, scenario: str) -> Arrays:
        """`kind`, `size`, `thread`, `op` of each operation of a scenario, shape (ops,)."""
        names = [entry["name"] for entry in self.manifest["scenarios"]]
        return load_arrays(self.path / "operations" / f"{names.index(scenario)}.npz")

    def _records(self) -> Iterator[ProcessRecord]:
        path = self.path / "processes.jsonl"
        if not path.exists():
            return
        lines = path.read_bytes().split(b"\n")
        for number, line in enumerate(lines[:-1], start=1):  # what follows the last \n is torn
            try:
                yield ProcessRecord.from_json(line.decode("utf-8"))
            except (ValueError, TypeError) as error:
                raise UsageError(f"{path}: line {number}: {error}") from None


def ops_arrays(trace_ops: Any, thread_counts: Any) -> Arrays:
    """What a report needs of a trace: kind, size and thread per operation, and its rank there.

    The kind is an index into metrics.KIND_NAMES: a free with a hand-over is a free_remote.
    `trace_ops`: records of dtype OP, shape (ops,). `thread_counts`: operations of each thread.
    """
    thread_counts = np.asarray(thread_counts, dtype=np.int64)
    thread = np.repeat(np.arange(len(thread_counts), dtype=np.uint16), thread_counts)
    starts = np.repeat(np.cumsum(thread_counts) - thread_counts, thread_counts)
    rank = (np.arange(len(trace_ops)) - starts).astype(np.uint32)
    size = np.asarray(trace_ops["size"])
    kind = kind_of(trace_ops)
    remote = (kind == Kind.FREE) & (trace_ops["kind_flags"] >> FLAGS_SHIFT & WAIT > 0)
    kind[remote] = FREE_REMOTE
    return {"kind": kind, "size": size, "thread": thread, "op": rank}


def is_slow(result: Mapping[str, Any]) -> bool:
    """Whether one replay of a throughput process took so long that one process has to do."""
    cold_ns_per_op = float(result.get("throughput", {}).get("cold_ns_per_op", 0.0))
    return cold_ns_per_op * int(result.get("operations", 0)) > SLOW_REPLAY_NS


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UsageError(f"{path.parent}: no run directory: there is no run.json in it") from None
    except (OSError, ValueError) as error:
        raise UsageError(f"{path}: not readable as JSON: {error}") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise UsageError(f"{path}: schema: this version reads schema {SCHEMA}")
    for key in (*_RUN_KEYS, *_RUN_LISTS):
        if key not in manifest:
            raise UsageError(f"{path}: {key}: missing")
    for key in _RUN_LISTS:
        entries = manifest[key]
        if not isinstance(entries, list) or not all(
            isinstance(entry, dict) and isinstance(entry.get("name"), str) for entry in entries
        ):
            raise UsageError(f"{path}: {key}: must be a list of tables with a name")
    return manifest
