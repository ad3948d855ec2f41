"""From a file of benchmarks to a run directory: a scenario a benchmark, a process a repetition.

A repetition's time stands where a throughput process has that of its one warm pass: so it is a
sample of `time_per_op_ns`, an operation being what the benchmark calls an iteration, and is judged
as such. Everything else of a process was not measured, and is absent. What else the file tells
stands among `allocator_stats`: told, not judged.

Repetition k of two allocators is one round only where the user says so: benchmarks run one after
the other, and what the machine does meanwhile does not cancel. So a file has one allocator, and two
files are two runs, whose times are compared unpaired.
"""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from types import MappingProxyType
from typing import Any, Protocol

import numpy as np

from allocphase.errors import UsageError, shown
from allocphase.files.regular import read_regular_text
from allocphase.probe.arrays import Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result, Throughput
from allocphase.probe.status import Status
from allocphase.run.foreign import go, google_benchmark
from allocphase.run.foreign.benchmarks import Benchmark, Benchmarks, Repetition
from allocphase.store.manifest import (
    AllocatorEntry,
    BenchmarkEntry,
    Manifest,
    PlanEntry,
    ScenarioEntry,
)
from allocphase.store.record import Event, ProcessRecord
from allocphase.store.writer import RunWriter

__all__ = ["FORMATS", "BenchmarkSource", "read_benchmarks", "write_imported"]


class _Parser(Protocol):
    def __call__(self, text: str, /) -> Benchmarks: ...


FORMATS: Mapping[str, _Parser] = MappingProxyType(
    {"google-benchmark": google_benchmark.parse, "go": go.parse}
)
_MAX_BYTES = 16 << 20
# No process was started: the key has to have a value.
_TIMEOUT_S = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class BenchmarkSource:
    """Where benchmarks come from, and what the user says of them. allocator: None: their names
    say it. paired: repetition k of all was taken in one round.
    """

    path: Path
    name: str
    allocator: str | None = None
    paired: bool = False
    label: str = "import"
    command: tuple[str, ...] = ()


def read_benchmarks(source: BenchmarkSource) -> Benchmarks:
    """With an allocator each, and a time when they started. Raises UsageError with the file."""
    path = source.path
    try:
        found = FORMATS[source.name](read_regular_text(path, _MAX_BYTES, follow=True))
        changed = datetime.fromtimestamp(path.stat().st_mtime, tz=UTC)
        chosen = _of_allocators(found.benchmarks, source)
    except OSError as error:
        raise UsageError(f"{path}: {error.strerror}") from None
    except ValueError as error:  # UnicodeDecodeError is one
        raise UsageError(f"{path}: {error}") from None
    started = found.started or changed.isoformat(timespec="seconds")
    return replace(found, benchmarks=chosen, started=started)


def _of_allocators(
    benchmarks: Sequence[Benchmark], source: BenchmarkSource
) -> tuple[Benchmark, ...]:
    if not benchmarks:
        raise ValueError(f"there is no result of {source.name} in it")
    named = dict.fromkeys(one.allocator for one in benchmarks if one.allocator)
    if source.allocator in named:
        return tuple(one for one in benchmarks if one.allocator == source.allocator)
    if not named or source.allocator is not None:
        return tuple(_given(one, source.allocator) for one in benchmarks)
    unnamed = next((one.name for one in benchmarks if not one.allocator), None)
    if unnamed is not None:
        raise ValueError(f"{shown(unnamed)} names no allocator, as others do: say --allocator NAME")
    if len(named) > 1 and not source.paired:
        raise ValueError(
            f"it has {len(named)} allocators ({', '.join(named)}): import each into a run of its "
            "own by --allocator NAME, or say --paired if repetition k of all was taken in one round"
        )
    return tuple(benchmarks)


def _given(one: Benchmark, allocator: str | None) -> Benchmark:
    if allocator is None:
        raise ValueError("its benchmarks name no allocator: say which by --allocator NAME")
    if one.allocator:
        raise ValueError(f"{shown(one.name)} is of allocator {shown(one.allocator)}")
    return replace(one, allocator=allocator)


# ---- The run directory -------------------------------------------------------------------


def write_imported(found: Benchmarks, source: BenchmarkSource, folder: Path) -> None:
    """Fills a folder that is empty or not there; it is gone where that fails.

    Raises AllocphaseError where the disk is full.
    """
    try:
        writer = RunWriter(folder)
        names = tuple(dict.fromkeys(one.name for one in found.benchmarks))
        entries = [_scenario(name, found, source) for name in names]
        manifest = _manifest(found, source, entries)
        writer.write_manifest(replace(manifest, plan_sha256=manifest.digest_of_plan()))
        for index, entry in enumerate(entries):
            writer.write_operations(index, _no_operations(entry.threads))
        for record in _records(found.benchmarks):
            writer.add(record, {})
        writer.tell(Event.IMPORTED, _told(found, source))
        for note in found.notes:
            writer.tell(Event.IMPORTED, note)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise


def _told(found: Benchmarks, source: BenchmarkSource) -> str:
    how = "repetition k of all in one round, as was said" if source.paired else "not paired"
    return f"imported from {source.path.name} of {found.tool}, {how}: times alone, no trace"


def _scenario(name: str, found: Benchmarks, source: BenchmarkSource) -> ScenarioEntry:
    """The digest is of the name: what the benchmark does is not in the file."""
    held = [one for one in found.benchmarks if one.name == name]
    return ScenarioEntry(
        name=name,
        title=name,
        stands_for=f"What {name} stands for is not in the file.",
        source=f"{source.path.name}, by {found.tool}",
        does_not_show="Anything but the time of an iteration.",
        digest=hashlib.sha256(f"{found.tool}\0{name}".encode()).hexdigest(),
        threads=max(one.threads for one in held),
        benchmark=BenchmarkEntry(tool=found.tool, file=source.path.name),
    )


def _manifest(
    found: Benchmarks, source: BenchmarkSource, entries: Sequence[ScenarioEntry]
) -> Manifest:
    allocators = dict.fromkeys(one.allocator for one in found.benchmarks)
    counts = [len(one.repetitions) for one in found.benchmarks]
    return Manifest(
        label=source.label,
        started=found.started,
        command=source.command,
        environment=found.environment,
        plan=PlanEntry(
            probes=(Probe.THROUGHPUT,),
            rounds=max(counts),
            seed=0,
            timeout_s=_TIMEOUT_S,
            cpus=(),
            syscall_backend="",
            processes=sum(counts),
            quick=False,
            left_out={},
            left_out_cells=(),
            driver_options={},
            time_budget_s=None,
            resumable=False,
        ),
        allocators=tuple(_allocator(name, found) for name in allocators),
        scenarios=tuple(entries),
        driver_sha256=_measured_by(found),
        plan_sha256="",
    )


def _allocator(name: str, found: Benchmarks) -> AllocatorEntry:
    return AllocatorEntry(
        name=name,
        title=name,
        summary=f"As {found.tool} measured it; the object is not known.",
        kind="libc",
        path=None,
        sha256=None,
        config={},
        environment={},
        floor=False,
    )


def _measured_by(found: Benchmarks) -> str:
    """What measured, as a fact of the machine: times of another tool are not held against these."""
    text = json.dumps([found.tool, found.version])
    return hashlib.sha256(text.encode("utf-8")).hexdigest()


def _no_operations(threads: int) -> Arrays:
    """Of a trace of which nothing is known: no operation in any thread."""
    none: dict[str, Any] = {"kind": np.uint8, "size": np.uint32, "thread": np.uint16}
    arrays: Arrays = {name: np.empty(0, kind) for name, kind in (none | {"op": np.uint32}).items()}
    for name in ("thread_ops", "thread_build", "thread_drain"):
        arrays[name] = np.zeros(threads, dtype=np.int64)
    return arrays


def _records(benchmarks: Sequence[Benchmark]) -> Iterator[ProcessRecord]:
    number = 0
    for one in benchmarks:
        for turn, repetition in enumerate(one.repetitions):
            yield _record(one, repetition, number, turn)
            number += 1


def _record(one: Benchmark, repetition: Repetition, number: int, turn: int) -> ProcessRecord:
    good = repetition.time_ns is not None
    return ProcessRecord(
        id=number,
        round=turn,
        allocator=one.allocator,
        scenario=one.name,
        probe=Probe.THROUGHPUT,
        status=Status.OK if good else Status.UNSUPPORTED,
        message=repetition.problem,
        wall_s=repetition.wall_s,
        result=_result(repetition.time_ns, repetition.told),
    )


def _result(time_ns: float | None, told: Mapping[str, float]) -> Result:
    if time_ns is None:
        return Result()
    throughput = Throughput(warm_ns_per_op=(time_ns,), helper_ns_per_op=None)
    return Result(throughput=throughput, allocator_stats=dict(told))
