"""Makes the run directory of a request, up to the moment before its first process.

What is not whole by then goes away again: a directory either has its run.json, and can be
continued, or it is not there. (But for a kill: then it has no run.json, and nothing is lost.)
"""

from __future__ import annotations

import datetime
import math
import re
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from allocphase.allocator import Allocator, resolve
from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.folder_lock import FolderLock
from allocphase.machine.environment import timed_cpus
from allocphase.machine.fingerprint import driver_sha256
from allocphase.process.callgrind import CACHE_SIM
from allocphase.run.describe import describe_program, describe_run, describe_scenario
from allocphase.run.plan import (
    CHECK_EVERY,
    FLOOR,
    Plan,
    ProgramWorkload,
    Workload,
    program_workload,
)
from allocphase.run.request import Request
from allocphase.run.traces import make_inputs, make_trace, trace_path
from allocphase.scenario import AnyScenario, Program, is_paced
from allocphase.store.manifest import ScenarioEntry
from allocphase.store.record import ProcessRecord
from allocphase.store.writer import RunWriter

__all__ = ["Begun", "begin", "making", "new_folder"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """A run directory to be filled. `finished`: what an earlier part of the run has measured.

    `ended`: there is nothing left to measure. `lock`: nobody else fills it meanwhile.
    `keep_failed`: what repeats a failed process stays there. `keep_profiles`: what callgrind wrote.
    """

    path: Path
    plan: Plan
    lock: FolderLock
    time_budget_s: float = math.inf
    finished: tuple[ProcessRecord, ...] = ()
    ended: bool = False
    keep_failed: bool = False
    keep_profiles: bool = False


# One warm pass of 4 ms instead of five of 20: a process is short, and its figure less steady.
# A quarter of the checkpoints: each reads a map of the process's memory. A fifth of the most warm
# replays in which calls are looked at one by one, in each of the probes that are joined.
QUICK_OPTIONS = {"pass-ns": "4000000", "passes": "1", "checkpoints": "100", "warm-replays": "10"}


def begin(request: Request) -> Begun:
    """Raises UsageError for scenarios that make no valid trace, AllocphaseError when out/ cannot
    be written, InterruptionError. Nothing stays of a directory that was not finished.
    """
    started = datetime.datetime.now(tz=datetime.UTC)
    allocators = [one.keeping(request.kept_variables) for one in _with_floor(request)]
    path = new_folder(request.out, request.label, started)
    lock = FolderLock(path)
    with _gone_when_it_fails(path, lock):
        writer = RunWriter(path)
        workloads, entries = _make_workloads(request.scenarios, writer)
        plan = _plan(request, allocators, workloads)
        manifest = describe_run(request, plan, started, entries, driver_sha256=driver_sha256())
        writer.write_manifest(manifest)
    return Begun(
        path=path,
        plan=plan,
        lock=lock,
        time_budget_s=request.time_budget_s,
        keep_failed=request.keep_failed,
        keep_profiles=request.keep_profiles,
    )


def _plan(
    request: Request,
    allocators: Sequence[Allocator],
    workloads: Sequence[Workload | ProgramWorkload],
) -> Plan:
    return Plan(
        allocators=allocators,
        workloads=workloads,
        probes=request.probes,
        rounds=request.rounds,
        seed=request.seed,
        timeout_s=request.timeout_s,
        cpus=timed_cpus(),
        syscall_backend=request.syscall_backend,
        driver_options=_driver_options(request),
        only=request.only,
        quick=request.quick,
    )


def _driver_options(request: Request) -> dict[str, str]:
    found = dict(QUICK_OPTIONS if request.quick else {})
    if request.check_every is not None:
        found[CHECK_EVERY] = str(request.check_every)
    if request.simulated_caches:
        found[CACHE_SIM] = request.simulated_caches
    return found


def _with_floor(request: Request) -> tuple[Allocator, ...]:
    """Every timed figure of a trace has the null allocator's beside it."""
    chosen = tuple(request.allocators)
    if all(isinstance(one, Program) for one in request.scenarios):
        return chosen
    if any(not a.correct for a in chosen) or not any(probe.timed for probe in request.probes):
        return chosen
    if any(a.name == FLOOR for a in chosen):
        raise UsageError(f"allocator {FLOOR!r} is the floor: give yours another NAME")
    return (*resolve(FLOOR), *chosen)


@contextmanager
def making(folder: Path, *, out: Path) -> Iterator[None]:
    """Around the making of a folder in `out`. Raises UsageError where that is something else, and
    AllocphaseError where it cannot be.
    """
    try:
        yield
    except (FileExistsError, NotADirectoryError):
        raise UsageError(f"{out}: is no folder: --out names one, there or not yet") from None
    except OSError as error:
        raise AllocphaseError(f"{folder}: cannot be made: {error.strerror}") from error


def new_folder(out: Path, label: str, started: datetime.datetime) -> Path:
    """A folder of its own for each run, also for two that start in one second."""
    stem = started.strftime("%Y%m%d-%H%M%S")
    words = re.sub(r"[^\w.-]+", "-", label).strip("-") or "run"
    for attempt in range(100):
        suffix = f"-{attempt}" if attempt else ""
        folder = out / f"{stem}-{words}{suffix}"
        with making(folder, out=out):
            try:
                folder.mkdir(parents=True)
            except FileExistsError:
                continue
        return folder
    raise AllocphaseError(f"{out}: a hundred runs named {stem}-{words} already")


@contextmanager
def _gone_when_it_fails(path: Path, lock: FolderLock) -> Iterator[None]:
    try:
        yield
    except BaseException:
        shutil.rmtree(path, ignore_errors=True)
        lock.release()
        raise


def _make_workloads(
    scenarios: Sequence[AnyScenario], writer: RunWriter
) -> tuple[list[Workload | ProgramWorkload], list[ScenarioEntry]]:
    workloads: list[Workload | ProgramWorkload] = []
    entries: list[ScenarioEntry] = []
    for index, chosen in enumerate(scenarios):
        if isinstance(chosen, Program):
            inputs = make_inputs(writer.path, index, chosen)
            workloads.append(program_workload(chosen, inputs, cpus=len(timed_cpus())))
            entries.append(describe_program(chosen))
            continue
        made = make_trace(writer, index, chosen)
        workloads.append(
            Workload(
                name=chosen.name,
                trace=trace_path(writer.path, index),
                threads=len(made.threads),
                paced=is_paced(chosen),
                live_bytes=made.peak_live_bytes,
            )
        )
        entries.append(describe_scenario(chosen, made, digest=made.digest))
    return workloads, entries
