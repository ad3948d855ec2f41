"""What the mutations start from: small, whole and real."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from allocphase import trace
from allocphase.allocator import resolve as resolve_allocator
from allocphase.analysis.frames import Run
from allocphase.claim import judge, load, write_section
from allocphase.gate import run_gate
from allocphase.gate.baseline import save_baseline
from allocphase.gate.saved import measure_baseline
from allocphase.judge.document import FILE as VERDICT_FILE
from allocphase.probe.probe import TRACE_PROBES
from allocphase.process.driver import DriverExecutor, Job, TraceJob
from allocphase.process.keeper import Ending
from allocphase.recorder.event_file import write_recording
from allocphase.recorder.events import (
    EVENT,
    NO_OBJECT,
    UNKNOWN_OBJECT,
    Batch,
    Entry,
    RecordedThread,
    RecordingFacts,
)
from allocphase.recorder.events import Kind as EventKind
from allocphase.run.session import run
from allocphase.scenario import resolve as resolve_scenario
from allocphase.store.record import Event, EventRecord
from allocphase.trace.records import Draft, Kind, Touch, operations
from tests.support.gates import FigureExecutor, arm, gate_request, no_progress
from tests.support.made_calls import Call, facts, recording_of
from tests.support.plugins import ROOT
from tests.support.runs import request_of
from tests.support.traces import Op, free, malloc, sync, tags, write_trace

__all__ = [
    "Left",
    "deliveries",
    "documents",
    "event_file",
    "gate_directory",
    "recording",
    "run_directory",
    "traces",
    "unfinished_run",
]

SCENARIOS = (
    "phase-report?allocations=6",
    "phase-report?allocations=8",
    "cache-thrash?iterations=3",
)


def event_file(path: Path) -> Path:
    """Two threads, every way of telling an object, numbers of every width."""
    rows = [
        (1, 0, 100, 0, EventKind.ALLOCATION, Entry.MALLOC, 0),
        (2, 1, 1 << 40, 3, EventKind.ALLOCATION, Entry.CALLOC, 0),
        (400, 0, 300, 0, EventKind.REALLOC_BEGIN, Entry.REALLOC, 0),
        (70000, 2, 300, 0, EventKind.REALLOC_END, Entry.REALLOC, 0),
        (1 << 36, NO_OBJECT, 0, 0, EventKind.FREE, Entry.FREE, 0),
        (1 << 36, UNKNOWN_OBJECT, 0, 0, EventKind.FREE, Entry.DELETE, 0),
    ]
    rows += [
        ((1 << 36) + i, 3 + i, 70 * i + 1, 0, EventKind.ALLOCATION, Entry.NEW, i % 7)
        for i in range(600)
    ]
    rows += [((1 << 37) + i, 3 + i, 0, 0, EventKind.FREE, Entry.DELETE, 0) for i in range(300)]
    others = [(5 + i, 602 - i, 0, 0, EventKind.FREE, Entry.FREE, 0) for i in range(200)]
    batches = [Batch(0, np.array(rows, EVENT)), Batch(1, np.array(others, EVENT))]
    threads = (RecordedThread(tid=7), RecordedThread(tid=8, parent=0, created=3, birth=5, end=99))
    facts = RecordingFacts(command=("program",), ticks_per_second=1e8, threads=threads)
    return write_recording(path, facts, batches).path


def traces(folder: Path) -> list[Path]:
    """One thread, every kind of operation, tags and foreign frees, hand-over, a lane of two."""
    kinds: list[Op] = [malloc(0, 24), (Kind.CALLOC, 1, 90, 0, 0), (Kind.ALIGNED_ALLOC, 2, 50, 6, 0)]
    kinds += [(Kind.REALLOC, 0, 400, 0, 0), (Kind.WRITE, 1, 5, 0, 0), free(1), malloc(1, 8)]
    kinds += [free(slot) for slot in (2, 0, 1)]
    foreign: list[Op] = [malloc(0, tag=1), (Kind.FREE_FOREIGN, 0, 0, 0, 2), free(0, tag=1)]
    handed = [malloc(0), malloc(1), free(0), free(1)]
    table = tags((1, 1, 0.5), (1, 2, 0.5))
    return [
        write_trace(folder / "one", [malloc(0), free(0)]),
        write_trace(folder / "kinds", kinds, touch=Touch.ALL, build_ops=3, drain_ops=3),
        write_trace(folder / "tags", foreign, tag_table=table),
        write_trace(folder / "threads", handed, thread=[0, 1, 1, 0]),
        _lane(folder / "lane"),
        _recorded(folder / "recorded"),
    ]


def _recorded(path: Path) -> Path:
    """What only a recording has: threads that end, their order, columns, a source."""
    ops = [malloc(0), sync(1), sync(1), free(0), sync(1), sync(1), malloc(2), free(2)]
    return write_trace(
        path,
        ops,
        thread=[0, 0, 1, 1, 1, 0, 0, 2],
        lane=(0, 1, 0),
        build_ops=7,
        drain_ops=1,
        threads_end=True,
        gaps_ns=[index * 10**9 for index in range(len(ops))],
        touched=[64, 0, 0, 0, 0, 0, 9, 0],
        meta=b'{"origin": "made up"}',
    )


def recording(path: Path) -> Path:
    """An event file of two threads, one made and joined by the other."""
    calls = [Call(0, "malloc", 0, 40), Call(1, "calloc", 1, 90), Call(0, "realloc", 0, 400)]
    calls += [Call(1, "free", 0), Call(1, "memalign", 2, 64), Call(0, "free", 1)]
    child = RecordedThread(parent=0, created=1, birth=2, end=100, joined=110, joined_by=0)
    recording_of(path, calls, facts(RecordedThread(birth=0), child))
    return path


def _lane(path: Path) -> Path:
    ops = operations(
        np.array([Kind.MALLOC, Kind.FREE] * 2), np.array([0, 0, 1, 1]), size=np.array([8, 0] * 2)
    )
    draft = Draft(ops=ops, thread=np.array([0, 0, 1, 1], dtype=np.uint32), lane=(0, 0))
    trace.write(trace.complete(draft, touch=Touch.NONE), path)
    return path


def run_directory(out: Path) -> Path:
    """A run of libc, measured by the driver: every probe, two rounds, one and two threads."""
    scenarios = [resolve_scenario(spec)[0] for spec in SCENARIOS]
    request = request_of(
        out,
        allocators=resolve_allocator("libc"),
        scenarios=scenarios,
        probes=list(TRACE_PROBES),
        rounds=2,
        quick=True,
        timeout_s=60.0,
    )
    folder = run(request, DriverExecutor(), progress=no_progress)
    write_section(judge(load("phase-report"), Run(folder)), folder)
    return folder


def unfinished_run(out: Path) -> Path:
    """The same, of which the last process and the word that it has ended are missing."""
    folder = run_directory(out)
    lines = (folder / "processes.jsonl").read_bytes().splitlines(keepends=True)
    (folder / "processes.jsonl").write_bytes(b"".join(lines[:-1]))
    resumed = EventRecord(event=Event.RESUMED, message="continued")
    (folder / "events.jsonl").write_text(resumed.to_json() + "\n", encoding="utf-8")
    return folder


def gate_directory(folder: Path) -> Path:
    """A gate's first session: latencies of its first round, and quantiles of the others."""
    executor = FigureExecutor(latency_ns=lambda job: 30 + job.round % 2, ops=1200)
    scenarios = resolve_scenario("phase-report?allocations=600")
    request = gate_request(folder, "p90=10%", scenarios=scenarios)
    return Path(run_gate(request, executor, progress=no_progress).sessions[0].path)


@dataclass(frozen=True, slots=True)
class Left:
    """What one driver process left: `folder` with its files, and how it ended."""

    job: Job
    folder: Path
    ending: Ending


@dataclass
class _KeepingExecutor(DriverExecutor):
    """Copies what processes leave into `kept` before it goes away."""

    kept: Path
    left: list[Left] = field(default_factory=list)

    def __post_init__(self) -> None:
        super().__init__()

    def _run_in(self, folder: Path, job: TraceJob) -> Ending:
        ending = super()._run_in(folder, job)
        copy = self.kept / f"{len(self.left)}"
        shutil.copytree(folder, copy)
        self.left.append(Left(job, copy, ending))
        return ending


def deliveries(folder: Path) -> list[Left]:
    """Of libc under every probe, on a trace of one thread and of two."""
    executor = _KeepingExecutor(folder / "kept")
    (libc,) = resolve_allocator("libc")
    written = traces(folder)
    for path in (written[1], written[3]):
        for probe in TRACE_PROBES:
            executor.run(
                TraceJob(
                    id=0,
                    round=0,
                    allocator=libc,
                    scenario=path.name,
                    trace=path,
                    probe=probe,
                    cpus=(min(os.sched_getaffinity(0)),) * 2,
                    timeout_s=60.0,
                    options={"pass-ns": "1", "passes": "1"},
                )
            )
    return executor.left


def documents(folder: Path) -> list[Path]:
    """gate.json, claims.json and a saved baseline, in `folder`."""
    (folder / VERDICT_FILE).write_bytes((ROOT / "tests" / "golden" / "gate.json").read_bytes())
    claims = write_section(judge(load("phase-report"), None), folder)
    scenarios = resolve_scenario("phase-report?allocations=50")
    request = request_of(folder / "runs", allocators=(), probes=(), scenarios=scenarios, rounds=2)
    executor = FigureExecutor(calls=lambda _: {"mmap": 2})
    found = measure_baseline(request, executor, name="main", arm=arm("old"), progress=no_progress)
    return [folder / VERDICT_FILE, claims, save_baseline(found, folder)]
