"""Opens a run directory again, to measure what it still lacks.

run.json says all that decides which processes run. Everything it names is looked at again, and
where something is no longer what it was the run is refused: its first part and its second would
be of different things.
"""

from __future__ import annotations

import json
import shlex
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from allocphase import __version__
from allocphase.errors import UsageError
from allocphase.files.durable import PARTIAL, drop_torn_end, named_errors
from allocphase.files.folder_lock import FolderLock
from allocphase.machine.environment import timed_cpus
from allocphase.machine.fingerprint import TIME_FACTS, differences, fingerprint, machine_facts
from allocphase.probe.probe import Probe
from allocphase.process.driver import Job
from allocphase.run.plan import Plan, round_jobs, untimed_jobs
from allocphase.run.prepare import Begun
from allocphase.run.restore import Restored, restore
from allocphase.run.traces import make_inputs, make_trace, remove_traces
from allocphase.scenario import Program
from allocphase.store.manifest import Manifest
from allocphase.store.reader import RunFiles
from allocphase.store.record import Event, ProcessRecord
from allocphase.store.writer import RunWriter
from allocphase.text.units import counted

__all__ = ["resume"]

# Of what may be a file from elsewhere: one line can be read.
SHOWN_CHANGES = 3
SHOWN_LETTERS = 500
SHOWN_COMMAND = 400


def resume(path: Path) -> Begun:
    """The run in `path`, with what it has measured, its traces in place again.

    Raises UsageError when it is no run that can be continued, when another process fills it, and
    when something changed since; AllocphaseError when it cannot be written; InterruptionError.
    """
    manifest = path / "run.json"
    if path.is_dir() and not (manifest.exists() or manifest.is_symlink()):
        raise UsageError(f"{path}: there is no run.json in it: nothing that can be continued")
    files = RunFiles(path)
    if not files.manifest.plan.resumable:
        raise UsageError(f"{path}: cannot be continued: only what `allocphase run` made can")
    restored = restore(path, files.manifest)
    lock = FolderLock(path)
    try:
        return _reopened(files, restored, lock)
    except BaseException:
        lock.release()
        raise


def _reopened(files: RunFiles, restored: Restored, lock: FolderLock) -> Begun:
    """The journal is read under the lock: whoever had it before may have added to it."""
    finished, left = tuple(files.processes()), files.unfinished()
    if left is not None:
        changes = [*_changes(files.manifest, restored.plan), *_strangers(restored.plan, finished)]
        _refuse(files, changes)
        remove_traces(files.path)
        _sweep(files.path, finished)
        _make_workloads(files, restored)
        planned = counted(left[1], "process")
        done = f"continued after {len(finished)} of {planned}, in another hour"
        RunWriter(files.path).tell(Event.RESUMED, done)
    return Begun(
        path=files.path,
        plan=restored.plan,
        lock=lock,
        time_budget_s=restored.time_budget_s,
        finished=finished,
        ended=left is None,
        keep_failed=files.manifest.plan.keep_failed,
        keep_profiles=files.manifest.plan.keep_profiles,
    )


# ---- What must not have changed ------------------------------------------------------------


def _refuse(files: RunFiles, changes: Sequence[str]) -> None:
    if changes:
        reasons = [change[:SHOWN_LETTERS] for change in changes[:SHOWN_CHANGES]]
        if more := len(changes) - len(reasons):
            reasons.append(f"and {more} more")
        command = shlex.join(files.manifest.command)
        again = f": `{command}`" if len(command) <= SHOWN_COMMAND else ""
        why = "; ".join(reasons)
        raise UsageError(f"{files.path}: cannot be continued: {why}. Start anew{again}")


def _changes(manifest: Manifest, plan: Plan) -> Iterator[str]:
    if manifest.plan_sha256 != manifest.digest_of_plan():
        yield "run.json: its plan was edited"
    version = manifest.environment.get("allocphase")
    then = machine_facts(manifest.environment, driver=manifest.driver_sha256)
    kept = then["tuning"]  # is kept: it is in each arm's variables
    now = fingerprint(
        kept if isinstance(kept, Mapping) else None,
        simulated_caches=_text(then["simulated_caches"]),  # is the plan's
    )
    changed = differences(_facts(then, plan.cpus), _facts(now, timed_cpus()))
    instructions_only = set(then) - set(TIME_FACTS)
    for fact, line in changed.items():
        if fact not in instructions_only or Probe.INSTRUCTIONS in plan.probes:
            yield line
    if version != __version__:
        yield f"allocphase: {version} then, {__version__} now"
    for entry, allocator in zip(manifest.allocators, plan.allocators, strict=True):
        try:
            if allocator.sha256() != entry.sha256:
                yield f"allocator {allocator.name}: {allocator.path} is another object now"
        except OSError as error:
            yield f"allocator {allocator.name}: {allocator.path}: {error.strerror}"


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _facts(facts: Mapping[str, object], cpus: Sequence[int]) -> Mapping[str, object]:
    """As they are after a way through JSON."""
    found: dict[str, Any] = json.loads(json.dumps(facts))
    return {**found, "CPUs to time on": list(cpus)}


def _strangers(plan: Plan, finished: Sequence[ProcessRecord]) -> Iterator[str]:
    """Records that are none of the plan's: the journal of another run."""
    rounds = min(plan.rounds, 1 + max((record.round for record in finished), default=0))
    jobs = untimed_jobs(plan) + [job for i in range(rounds) for job in round_jobs(plan, i)]
    places = {job.id: _place(job, job.allocator.name) for job in jobs}
    for record in finished:
        if places.get(record.id) != _place(record, record.allocator):
            yield f"processes.jsonl: process {record.id} is not one of its plan"
            return


def _place(one: Job | ProcessRecord, allocator: str) -> tuple[int, int, str, str, Probe]:
    return (one.round, one.repeat, allocator, one.scenario, one.probe)


# ---- What a kill leaves behind -------------------------------------------------------------


def _sweep(path: Path, finished: Sequence[ProcessRecord]) -> None:
    """Removes torn ends, files that are not whole, and samples of no finished process."""
    for journal in ("processes.jsonl", "events.jsonl"):
        drop_torn_end(path / journal)
    kept = {f"{record.id}.npz" for record in finished}
    with named_errors(path):
        for partial in path.rglob(f"*{PARTIAL}"):
            partial.unlink()
        for samples in (path / "samples").glob("*.npz"):
            if samples.name not in kept:
                samples.unlink()


def _make_workloads(files: RunFiles, restored: Restored) -> None:
    writer = RunWriter(files.path)
    try:
        for index, chosen in enumerate(restored.scenarios):
            if isinstance(chosen, Program):
                make_inputs(writer.path, index, chosen)
                digest, what = chosen.digest, "its files"
            else:
                digest, what = make_trace(writer, index, chosen).digest, "its operations"
            if digest != files.manifest.scenarios[index].digest:
                _refuse(files, [f"scenario {chosen.name}: {what} are others now"])
    except BaseException:
        remove_traces(files.path)
        raise
