"""run.json: what was planned, on which machine, of what: enough to judge a run, or to go on.

docs/schema.md says what each key means.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Literal

from allocphase.errors import UsageError
from allocphase.files.typed import (
    Amount,
    Count,
    Name,
    Positive,
    at_most,
    length,
    load_json,
    plain,
)
from allocphase.operation import MAX_OPERATIONS, MAX_WORK_NS
from allocphase.probe.probe import Probe

__all__ = [
    "MAX_ROUNDS",
    "SCHEMA",
    "AllocatorEntry",
    "BenchmarkEntry",
    "Manifest",
    "PlanEntry",
    "ProgramEntry",
    "RecordingEntry",
    "ScenarioEntry",
    "SourceEntry",
    "read_manifest",
]

SCHEMA = 3
# Rounds become rows of arrays; the command line allows a thousandth of it.
MAX_ROUNDS = 1_000_000
Operations = Annotated[int, at_most(MAX_OPERATIONS)]


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanEntry:
    """Which processes, in which order. `processes`: how many the plan has in all.

    left_out: by allocator, the scenarios in which it has no cell; left_out_cells: [allocator,
    scenario, probe]. resumable: the plan alone says what is run; a gate chooses as it goes.
    cpus: empty where nothing was measured here, but imported.
    keep_failed: what repeats a failed process stays in the run directory. keep_profiles: so does
    what callgrind wrote of each process of the instructions probe.
    """

    probes: tuple[Probe, ...]
    rounds: Annotated[int, at_most(MAX_ROUNDS)]
    seed: Count
    timeout_s: Positive
    cpus: tuple[Count, ...]
    syscall_backend: str
    processes: Count
    quick: bool
    left_out: Mapping[str, tuple[str, ...]]
    left_out_cells: tuple[Annotated[tuple[str, ...], length(3)], ...]
    driver_options: Mapping[str, str]
    time_budget_s: Amount | None
    resumable: bool
    keep_failed: bool = False
    keep_profiles: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceEntry:
    """What an arm was compiled from: its C file, flags of its own, and where the compiler ran."""

    path: str
    cflags: tuple[str, ...] = ()
    folder: str


@dataclass(frozen=True, slots=True, kw_only=True)
class AllocatorEntry:
    """An arm. `path`: its object, None for libc; `floor`: the null allocator, no cell itself;
    `source`: of one that was compiled for the run; `ignored_settings`: keys of `config` that the
    object knows nothing of.
    """

    name: Name
    title: str
    summary: str
    kind: Literal["plugin", "preload", "libc"]
    path: str | None
    sha256: str | None
    config: Mapping[str, str]
    environment: Mapping[str, str]
    floor: bool
    source: SourceEntry | None = None
    ignored_settings: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class ProgramEntry:
    """The command of a program scenario: see scenario/program.py. files: where they lie."""

    command: tuple[str, ...]
    needs: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    inputs: str | None = None
    output_sha256: str | None = None
    exit_code: Count = 0
    cpus: Count = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    share_in_malloc: str | None = None
    folder: str | None = None
    input: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingEntry:
    """A trace file that is replayed, and what it says of its origin: see trace/provenance.py.
    changed: touch or pace of the replay is not the file's. paced: its recorded gaps are waited for.
    labels: what was found when it was held against its program, a line a metric.
    """

    path: str
    changed: bool = False
    paced: bool = False
    labels: tuple[str, ...] = ()
    origin: str = ""
    command: tuple[str, ...] = ()
    recorded: str = ""
    allocator: str = ""
    threads: Count = 1
    never_freed: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkEntry:
    """Of a benchmark that others ran, and that was imported: what ran it, and the file's name."""

    tool: str
    file: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ScenarioEntry:
    """What a scenario is, and what its trace came to. `digest`: SHA-256 of the trace, in hex; of a
    program, which has none and nothing that is a trace's, of what decides what it does.
    `work_ns`: of the program's own after each operation, 0 where a replay calls as soon as it can.

    recording: of a trace file, which has neither family nor seed. benchmark: of one that was
    imported, of which no trace is known, and of whose digest its name decides.
    lane_operations: by lane, how many operations a replay has there, of those that are repeated;
    span_operations: of these the longest chain in which each waits for the one before.
    """

    name: Name
    title: str
    stands_for: str
    source: str
    does_not_show: str
    seed: Count = 0
    digest: str
    family: str = ""
    touch: str = ""
    work_ns: Annotated[int, at_most(MAX_WORK_NS)] = 0
    parameters: Mapping[str, object] = field(default_factory=dict)
    operations: Operations = 0
    operation_counts: Mapping[str, Count] = field(default_factory=dict)
    threads: Count = 0
    build_operations: Count = 0
    drain_operations: Count = 0
    peak_live_bytes: Count = 0
    requested_bytes: Count = 0
    lane_operations: tuple[Operations, ...] = ()
    span_operations: Operations = 0
    program: ProgramEntry | None = None
    recording: RecordingEntry | None = None
    benchmark: BenchmarkEntry | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Manifest:
    """The whole document. `started`: ISO 8601; `environment`: facts of the machine by name."""

    schema: int = SCHEMA
    label: str
    started: str
    command: tuple[str, ...]
    environment: Mapping[str, object]
    plan: PlanEntry
    allocators: tuple[AllocatorEntry, ...]
    scenarios: tuple[ScenarioEntry, ...]
    driver_sha256: str
    plan_sha256: str

    def ignored_settings(self, allocator: str) -> tuple[str, ...]:
        """Of the arm of that name; nothing of one that is not there."""
        named = (entry for entry in self.allocators if entry.name == allocator)
        return next((entry.ignored_settings for entry in named), ())

    def to_json(self) -> str:
        """The text of run.json."""
        values = {"schema": self.schema, **plain(self)}
        return json.dumps(values, indent=2, ensure_ascii=False) + "\n"

    def digest_of_plan(self) -> str:
        """Of all that decides which processes run, and on what; `plan_sha256` is it, unless the
        file was edited.
        """
        parts = ("plan", "allocators", "scenarios", "driver_sha256")
        planned = {part: plain(getattr(self, part)) for part in parts}
        text = json.dumps(planned, sort_keys=True, ensure_ascii=False)
        return hashlib.sha256(text.encode("utf-8")).hexdigest()


def read_manifest(path: Path) -> Manifest:
    """Raises DataError with the file and the key where it is none of this schema, UsageError where
    there is none.
    """
    try:
        return load_json(Manifest, path, schema=SCHEMA)
    except FileNotFoundError:
        raise UsageError(f"{path.parent}: no run directory: there is no run.json in it") from None
