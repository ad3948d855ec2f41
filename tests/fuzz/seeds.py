"""What the mutations start from: small, whole and real."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from allocphase import trace
from allocphase.allocator import resolve as resolve_allocator
from allocphase.analysis.frames import Run
from allocphase.claim import judge, load, write_section
from allocphase.gate.baseline import save_baseline
from allocphase.gate.saved import measure_baseline
from allocphase.judge.document import FILE as VERDICT_FILE
from allocphase.probe.probe import Probe
from allocphase.process.driver import DriverExecutor
from allocphase.run.session import run
from allocphase.scenario import resolve as resolve_scenario
from allocphase.trace.records import Draft, Kind, Touch, operations
from tests.support.gates import FigureExecutor, arm, no_progress
from tests.support.plugins import ROOT
from tests.support.runs import request_of
from tests.support.traces import Op, free, malloc, tags, write_trace

__all__ = ["documents", "run_directory", "traces"]

SCENARIOS = (
    "phase-report?allocations=6",
    "phase-report?allocations=8",
    "cache-thrash?iterations=3",
)


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
        write_trace(folder / "kinds", kinds, touch=Touch.ALL, build_ops=3),
        write_trace(folder / "tags", foreign, tag_table=table),
        write_trace(folder / "threads", handed, thread=[0, 1, 1, 0]),
        _lane(folder / "lane"),
    ]


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
        probes=list(Probe),
        rounds=2,
        quick=True,
        timeout_s=60.0,
    )
    folder = run(request, DriverExecutor(), progress=no_progress)
    write_section(judge(load("phase-report"), Run(folder)), folder)
    return folder


def documents(folder: Path) -> list[Path]:
    """gate.json, claims.json and a saved baseline, in `folder`."""
    (folder / VERDICT_FILE).write_bytes((ROOT / "tests" / "golden" / "gate.json").read_bytes())
    claims = write_section(judge(load("phase-report"), None), folder)
    scenarios = resolve_scenario("phase-report?allocations=50")
    request = request_of(folder / "runs", allocators=(), probes=(), scenarios=scenarios, rounds=2)
    executor = FigureExecutor(calls=lambda _: {"mmap": 2})
    found = measure_baseline(request, executor, name="main", arm=arm("old"), progress=no_progress)
    return [folder / VERDICT_FILE, claims, save_baseline(found, folder)]
