"""The run directory: what a run leaves on disk, and all that reports and gates ever read.

    run.json              schema, environment, plan, allocators, scenarios
    processes.jsonl       one line a finished process, synced before the next one starts
    events.jsonl          one line an event of the run as a whole: resumed, unlocked, ended
    samples/<id>.npz      what the process left: latencies, events, checkpoints; but of a gate's
                          latency processes those of the first round only
    failed/               with --keep-failed: of failed processes, what repeats them
    operations/<n>.npz    of scenario n: kind, size and thread of every operation

A torn last line of the journal belongs to a process that did not finish: it is dropped.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from pathlib import Path

from allocphase.errors import DataError, UsageError, shown
from allocphase.files.regular import read_regular, refuse_linked_folder
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import RAW_OPS, Arrays, load_arrays
from allocphase.probe.consistency import (
    Counts,
    latencies_problem,
    operations_problem,
    repeated_count,
    samples_problem,
    thread_counts,
)
from allocphase.probe.probe import Probe
from allocphase.store.manifest import read_manifest
from allocphase.store.record import Event, EventRecord, ProcessRecord
from allocphase.text.units import counted

__all__ = ["RunFiles", "resume_command"]

# Which allocphase makes in a run directory, and fills or empties.
FOLDERS = ("samples", "operations", "traces", "figures", "failed")
# Some 60,000 processes.
MAX_JOURNAL_BYTES = 128 << 20
# A few in each part of a run.
MAX_EVENTS = 10_000


class RunFiles:
    """Reads one run directory.

    Raises UsageError where it is none of this schema, or was asked for what it does not have;
    DataError where its journal or its arrays are damaged.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self.manifest = read_manifest(path / "run.json")
        for name in FOLDERS:
            refuse_linked_folder(path / name)
        self._records: dict[int, ProcessRecord] = {}
        self._read_bytes = 0  # of the journal, which only grows: no line is parsed twice
        self._counts: dict[str, tuple[Counts, int]] = {}

    def processes(self) -> list[ProcessRecord]:
        """Every finished process, in order of finishing."""
        path = self.path / "processes.jsonl"
        for line in _whole_lines(path, start=self._read_bytes):
            number = len(self._records) + 1
            try:
                record = ProcessRecord.from_json(line.decode("utf-8"))
            except (ValueError, TypeError) as error:
                raise DataError(f"{path}: line {number}: {error}") from None
            if record.id in self._records:
                raise DataError(f"{path}: line {number}: process {record.id} is there twice")
            if record.round > number:  # each round has a process; arrays have a row for each round
                raise DataError(f"{path}: line {number}: is of round {record.round} already")
            self._records[record.id] = record
            self._read_bytes += len(line) + 1
        return list(self._records.values())

    def unfinished(self) -> tuple[int, int] | None:
        """(finished, planned) processes of a run that can be continued; None when it has ended.

        A run whose rounds were chosen while it ran (a gate's) is never told to be partial.
        """
        if not self.manifest.plan.resumable or Event.ENDED in dict(self._events()):
            return None
        return len(self.processes()), self.manifest.plan.processes

    def notes(self) -> list[str]:
        """Doubts about the run as a whole, a sentence each: a report shows them."""
        notes = [message for event, message in self._events() if event is not Event.ENDED]
        return [*notes, partial] if (partial := self.partial()) is not None else notes

    def partial(self) -> str | None:
        """How much is measured of a run that has not ended, and how to go on; None: it has."""
        if (count := self.unfinished()) is None:
            return None
        way_out = resume_command(self.path)
        planned = counted(count[1], "process")
        return f"partial: {count[0]} of {planned}; continue with {way_out}"

    def _events(self) -> Iterator[tuple[Event, str]]:
        path = self.path / "events.jsonl"
        for number, line in enumerate(_whole_lines(path), start=1):
            if number > MAX_EVENTS:
                raise DataError(f"{path}: more than {MAX_EVENTS} events")
            try:
                record = EventRecord.from_json(line.decode("utf-8"))
            except ValueError as error:
                raise DataError(f"{path}: line {number}: {error}") from None
            yield record.event, record.message

    def samples(self, process_id: int) -> Arrays:
        """What the process left; empty when it left nothing. Every index in it is one."""
        record = self._record(process_id)
        path = self.path / "samples" / f"{record.id}.npz"
        has_left = path.exists() or path.is_symlink()
        arrays, fault = self._arrays_of(record, path) if has_left else ({}, "")
        if not fault and record.probe is Probe.LATENCY and record.ok and record.has_samples:
            fault = latencies_problem(arrays)
        if fault:
            raise DataError(f"{path}: {fault}")
        return arrays

    def operations(self, scenario: str) -> Arrays:
        """`kind`, `size`, `thread`, `op` of each operation of a scenario, shape (ops,), and
        `thread_build` and `thread_drain`, shape (threads,).
        """
        names = [entry.name for entry in self.manifest.scenarios]
        if scenario not in names:
            raise UsageError(f"{self.path}: run.json has no scenario {shown(scenario)}")
        path = self.path / "operations" / f"{names.index(scenario)}.npz"
        arrays = load_arrays(path, operations=self._most_operations)
        if fault := operations_problem(arrays, kinds=len(KIND_NAMES)):
            raise DataError(f"{path}: {fault}")
        return arrays

    @property
    def _most_operations(self) -> int:
        """Of one trace, as run.json says: what bounds the size of its files."""
        counts = [entry.operations for entry in self.manifest.scenarios]
        return min(max(counts, default=0), RAW_OPS)

    def _arrays_of(self, record: ProcessRecord, path: Path) -> tuple[Arrays, str]:
        if record.probe.of_programs:
            return load_arrays(path, operations=0), ""
        arrays = load_arrays(path, operations=self._most_operations)
        counts, repeated = self._counts_of(record.scenario)
        fault = samples_problem(arrays, counts, repeated=repeated, kinds=len(KIND_NAMES))
        return arrays, fault

    def _record(self, process_id: int) -> ProcessRecord:
        if process_id not in self._records:
            self.processes()
        if process_id not in self._records:
            raise UsageError(f"{self.path}: samples of process {process_id}, which no line names")
        return self._records[process_id]

    def _counts_of(self, scenario: str) -> tuple[Counts, int]:
        """Of each thread, and of what is repeated."""
        if scenario not in self._counts:
            operations = self.operations(scenario)
            self._counts[scenario] = thread_counts(operations), repeated_count(operations)
        return self._counts[scenario]


def _whole_lines(path: Path, *, start: int = 0) -> list[bytes]:
    """Lines from a byte on, without what follows the last newline; none without a file."""
    try:
        return read_regular(path, MAX_JOURNAL_BYTES, start=start).split(b"\n")[:-1]
    except FileNotFoundError:
        return []
    except OSError as error:
        raise DataError(f"{path}: {error.strerror}") from None


def resume_command(run: Path) -> str:
    """What continues the run in that directory."""
    return shlex.join(["allocphase", "run", "--resume", str(run)])
