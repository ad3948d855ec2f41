"""The run directory: what a run leaves on disk, and all that reports and gates ever read.

    run.json              schema, environment, plan, allocators, scenarios
    processes.jsonl       one line a finished process, synced before the next one starts
    events.jsonl          one line an event of the run as a whole: resumed, unlocked, ended
    samples/<id>.npz      what the process left: latencies, events, checkpoints
    operations/<n>.npz    of scenario n: kind, size and thread of every operation

A torn last line of the journal belongs to a process that did not finish: it is dropped.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np

from allocphase.consistency import (
    Counts,
    latencies_problem,
    operations_problem,
    samples_problem,
    thread_counts,
)
from allocphase.documents import parse_json, read_json
from allocphase.durable import append_line, named_errors, write_whole
from allocphase.errors import UsageError, shown
from allocphase.layout import FLAGS_SHIFT, WAIT, Kind, kind_of
from allocphase.samples import KIND_NAMES, RAW_OPS, Arrays, load_arrays, save_arrays
from allocphase.shape import NAME, one_of, table
from allocphase.shapes import MANIFEST, RECORD, result_problem

__all__ = [
    "SCHEMA",
    "Event",
    "ProcessRecord",
    "RunFiles",
    "RunWriter",
    "is_slow",
    "ops_arrays",
    "resume_command",
]

SCHEMA = 2
# driver/probes/histogram.h: histogram_kind
FREE_REMOTE = len(Kind)
SLOW_REPLAY_NS = 2e9
# Some 60,000 processes.
MAX_JOURNAL_BYTES = 128 << 20


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
        values = parse_json(line)
        if not isinstance(values, dict) or set(values) != set(cls.__slots__):
            raise ValueError("not a process record")
        if fault := RECORD(values):
            raise ValueError(f"a process record with values of the wrong type: {fault[1:]}")
        record = cls(**values)
        if fault := result_problem(record.probe, record.status, record.result):
            raise ValueError(f"result{fault}")
        return record


class Event(StrEnum):
    """What can happen to a run as a whole; without ENDED it is partial."""

    RESUMED = "resumed"
    UNLOCKED = "unlocked"
    ENDED = "ended"


EVENT = table({"event": one_of(tuple(Event)), "message": NAME})


class RunWriter:
    """Appends to one run directory; what a method returns from is on disk.

    Raises AllocphaseError, which names the file, where the disk is full or may not be written.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        with named_errors(path):
            for folder in (path, path / "samples", path / "operations"):
                folder.mkdir(parents=True, exist_ok=True)

    def write_manifest(self, manifest: Mapping[str, Any]) -> None:
        """Writes run.json whole or not at all."""
        text = json.dumps({"schema": SCHEMA, **manifest}, indent=2, ensure_ascii=False) + "\n"
        write_whole(self.path / "run.json", lambda path: path.write_text(text, encoding="utf-8"))

    def write_operations(self, index: int, arrays: Arrays) -> None:
        """The operations of scenario `index`: see `ops_arrays`."""
        path = self.path / "operations" / f"{index}.npz"
        write_whole(path, lambda partial: save_arrays(partial, arrays))

    def has_operations(self, index: int) -> bool:
        """Whether they are there: then they are whole."""
        return (self.path / "operations" / f"{index}.npz").exists()

    def add(self, record: ProcessRecord, arrays: Arrays) -> None:
        """Samples first, then the journal line that makes them count."""
        if arrays:
            path = self.path / "samples" / f"{record.id}.npz"
            write_whole(path, lambda partial: save_arrays(partial, arrays))
        append_line(self.path / "processes.jsonl", record.to_json().encode("utf-8"))

    def tell(self, event: Event, message: str) -> None:
        """What happened to the run as a whole, in one sentence."""
        line = json.dumps({"event": event.value, "message": message}, ensure_ascii=False)
        append_line(self.path / "events.jsonl", line.encode("utf-8"))


class RunFiles:
    """Reads one run directory. Raises UsageError where a file is missing or not of this schema."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = _read_manifest(path / "run.json")
        self._records: dict[int, ProcessRecord] = {}
        self._read_bytes = 0  # of the journal, which only grows: no line is parsed twice
        self._counts: dict[str, Counts] = {}

    def processes(self) -> list[ProcessRecord]:
        """Every finished process, in order of finishing."""
        path = self.path / "processes.jsonl"
        for line in _whole_lines(path, start=self._read_bytes):
            number = len(self._records) + 1
            try:
                record = ProcessRecord.from_json(line.decode("utf-8"))
            except (ValueError, TypeError) as error:
                raise UsageError(f"{path}: line {number}: {error}") from None
            if record.id in self._records:
                raise UsageError(f"{path}: line {number}: process {record.id} is there twice")
            self._records[record.id] = record
            self._read_bytes += len(line) + 1
        return list(self._records.values())

    def unfinished(self) -> tuple[int, int] | None:
        """(finished, planned) processes of a run that can be continued; None when it has ended.

        A run whose rounds were chosen while it ran (a gate's) is never told to be partial.
        """
        if not self.manifest["plan"].get("resumable") or Event.ENDED in dict(self._events()):
            return None
        return len(self.processes()), self.manifest["plan"].get("processes", 0)

    def notes(self) -> list[str]:
        """Doubts about the run as a whole, a sentence each: a report shows them."""
        notes = [message for event, message in self._events() if event is not Event.ENDED]
        return [*notes, partial] if (partial := self.partial()) is not None else notes

    def partial(self) -> str | None:
        """How much is measured of a run that has not ended, and how to go on; None: it has."""
        if (count := self.unfinished()) is None:
            return None
        way_out = resume_command(self.path)
        return f"partial: {count[0]} of {count[1]} processes; continue with {way_out}"

    def _events(self) -> Iterator[tuple[Event, str]]:
        path = self.path / "events.jsonl"
        for number, line in enumerate(_whole_lines(path), start=1):
            try:
                values = parse_json(line.decode("utf-8"))
                if fault := EVENT(values):
                    raise ValueError(fault[1:])
            except ValueError as error:
                raise UsageError(f"{path}: line {number}: {error}") from None
            yield Event(values["event"]), values["message"]

    def samples(self, process_id: int) -> Arrays:
        """What the process left; empty when it left nothing. Every index in it is one."""
        record = self._record(process_id)
        path = self.path / "samples" / f"{record.id}.npz"
        arrays, fault = self._arrays_of(record, path) if path.exists() else ({}, "")
        if not fault and (record.probe, record.status) == ("latency", "ok"):
            fault = latencies_problem(arrays)
        if fault:
            raise UsageError(f"{path}: {fault}")
        return arrays

    def operations(self, scenario: str) -> Arrays:
        """`kind`, `size`, `thread`, `op` of each operation of a scenario, shape (ops,)."""
        names = [entry["name"] for entry in self.manifest["scenarios"]]
        if scenario not in names:
            raise UsageError(f"{self.path}: run.json has no scenario {shown(scenario)}")
        path = self.path / "operations" / f"{names.index(scenario)}.npz"
        arrays = load_arrays(path, operations=self._most_operations)
        if fault := operations_problem(arrays, kinds=len(KIND_NAMES)):
            raise UsageError(f"{path}: {fault}")
        return arrays

    @property
    def _most_operations(self) -> int:
        """Of one trace, as run.json says: what bounds the size of its files."""
        counts = [entry["operations"] for entry in self.manifest["scenarios"]]
        return min(max(counts, default=0), RAW_OPS)

    def _arrays_of(self, record: ProcessRecord, path: Path) -> tuple[Arrays, str]:
        arrays = load_arrays(path, operations=self._most_operations)
        counts = self._counts_of(record.scenario)
        return arrays, samples_problem(arrays, counts, kinds=len(KIND_NAMES))

    def _record(self, process_id: int) -> ProcessRecord:
        if process_id not in self._records:
            self.processes()
        if process_id not in self._records:
            raise UsageError(f"{self.path}: samples of process {process_id}, which no line names")
        return self._records[process_id]

    def _counts_of(self, scenario: str) -> Counts:
        if scenario not in self._counts:
            self._counts[scenario] = thread_counts(self.operations(scenario))
        return self._counts[scenario]


def _whole_lines(path: Path, *, start: int = 0) -> list[bytes]:
    """Lines from a byte on, without what follows the last newline; none without a file."""
    if not path.exists():
        return []
    if path.stat().st_size > MAX_JOURNAL_BYTES:
        raise UsageError(f"{path}: longer than {MAX_JOURNAL_BYTES} bytes, the most that is read")
    with path.open("rb") as file:
        file.seek(start)
        return file.read().split(b"\n")[:-1]


def resume_command(run: Path) -> str:
    """What continues the run in that directory."""
    return shlex.join(["allocphase", "run", "--resume", str(run)])


def ops_arrays(trace_ops: Any, thread_counts: Any, *, raw_ops: int = RAW_OPS) -> Arrays:
    """What a report needs of a trace: kind, size and thread per operation, and its rank there.

    The kind is an index into samples.KIND_NAMES: a free with a hand-over is a free_remote.
    `trace_ops`: records of dtype OP, shape (ops,). `thread_counts`: operations of each thread.

    A trace of more than `raw_ops` operations has no latency of most of them, and the slowest calls
    carry their own kind, size and thread: of such a trace the arrays are empty, and `thread_ops`,
    shape (threads,), says how long each thread is.
    """
    thread_counts = np.asarray(thread_counts, dtype=np.int64)
    if len(trace_ops) > raw_ops:
        return {**_no_operations(), "thread_ops": thread_counts}
    thread = np.repeat(np.arange(len(thread_counts), dtype=np.uint16), thread_counts)
    starts = np.repeat(np.cumsum(thread_counts) - thread_counts, thread_counts)
    rank = (np.arange(len(trace_ops)) - starts).astype(np.uint32)
    size = np.asarray(trace_ops["size"])
    kind = kind_of(trace_ops)
    remote = (kind == Kind.FREE) & (trace_ops["kind_flags"] >> FLAGS_SHIFT & WAIT > 0)
    kind[remote] = FREE_REMOTE
    return {"kind": kind, "size": size, "thread": thread, "op": rank}


def _no_operations() -> Arrays:
    types = {"kind": np.uint8, "size": np.uint32, "thread": np.uint16, "op": np.uint32}
    return {name: np.empty(0, dtype) for name, dtype in types.items()}


def is_slow(result: Mapping[str, Any]) -> bool:
    """Whether one replay of a throughput process took so long that one process has to do."""
    cold_ns_per_op = float(result.get("throughput", {}).get("cold_ns_per_op", 0.0))
    return cold_ns_per_op * int(result.get("operations", 0)) > SLOW_REPLAY_NS


def _read_manifest(path: Path) -> dict[str, Any]:
    try:
        manifest = read_json(path)
    except FileNotFoundError:
        raise UsageError(f"{path.parent}: no run directory: there is no run.json in it") from None
    if not isinstance(manifest, dict) or manifest.get("schema") != SCHEMA:
        raise UsageError(f"{path}: schema: this version reads schema {SCHEMA}")
    if fault := MANIFEST(manifest):
        raise UsageError(f"{path}: {fault[1:]}")
    return dict(manifest)
