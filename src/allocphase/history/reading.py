"""From a run directory to what a history keeps of it: a value for each allocator, scenario, metric.

One process gives one number of each metric; a run's value is their median with its interval. Of a
gate there are two, the baseline and the candidate, each of a commit of its own; the twin says
nothing that the baseline does not. Latencies by kind and system calls by name stay in the run.

Place in the pipeline: reads run directories; `database` keeps what it makes.
"""

from __future__ import annotations

import datetime
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from allocphase.analysis.counts import CONFIDENCE
from allocphase.analysis.frames import Run
from allocphase.analysis.measures import CATALOGUE, Measure
from allocphase.analysis.process_metrics import ProcessMetrics
from allocphase.errors import DataError, UsageError, shown
from allocphase.files.regular import read_regular
from allocphase.history.model import CommitEntry, Measured, MeasuredValue, ObjectEntry
from allocphase.judge import BASELINE, CANDIDATE, TWIN
from allocphase.judge.document import FILE as GATE_FILE
from allocphase.judge.document import read_verdict
from allocphase.judge.verdict import ArmEntry
from allocphase.machine.fingerprint import machine_facts
from allocphase.stats import median_interval
from allocphase.stats.values import FloatArray, agree
from allocphase.store.manifest import AllocatorEntry, ScenarioEntry
from allocphase.store.reader import MAX_JOURNAL_BYTES
from allocphase.store.record import ProcessRecord, rounds_of
from allocphase.text.times import in_utc

__all__ = ["RunArm", "measured", "read_run"]

# Of these more is no worse, or they are the clock's.
_LEFT_OUT = frozenset({"ops_per_second", "clock_floor", "clock_step", "verified"})
_KEPT = tuple(
    one
    for one in CATALOGUE
    if one.claimed and not one.is_family and one.unit and one.name not in _LEFT_OUT
)
# How gate/revisions.py calls what it built: mine@0123456789ab, and settings after it.
_OF_COMMIT = re.compile(r"^([^@?]+)@([0-9a-f]{12})(?=\?|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class RunArm:
    """Some allocators of a run that are of one commit: all of them, or one arm of a gate.

    names: by the name in the run's journal that in the history. sources: where the files lie that
    they were made of, for who looks for the commit. revision: as a gate named it, else empty.
    """

    run: Run
    arm: str
    names: Mapping[str, str]
    objects: Mapping[str, ObjectEntry]
    sources: tuple[Path, ...]
    revision: str = ""

    @property
    def identity(self) -> str:
        """The same whenever this arm of this run is read: run.json is written once."""
        return f"{_digest(self.run.path / 'run.json')} {self.arm}".rstrip()

    @property
    def started(self) -> datetime.datetime:
        """In UTC, so that texts have the order of times. Raises DataError where it is no time."""
        started = self.run.manifest.started
        try:
            return in_utc(started)
        except ValueError:
            where = self.run.path / "run.json"
            raise DataError(f"{where}: started: {shown(started)} is no time") from None


def read_run(path: Path) -> list[RunArm]:
    """The arms of a run directory: one, or of a gate two. Raises UsageError where it is none, and
    where it is a gate's, but not the first session; DataError where it is damaged.
    """
    run = Run(path)
    if (path / GATE_FILE).exists():
        verdict = read_verdict(path)
        arms = {BASELINE: verdict.baseline, CANDIDATE: verdict.candidate}
        ran = {entry.name: entry for entry in run.manifest.allocators}
        return [_gate_arm(run, arm, told, ran[arm]) for arm, told in arms.items() if arm in ran]
    if CANDIDATE in run.allocators and set(run.allocators) <= {BASELINE, TWIN, CANDIDATE}:
        raise UsageError(
            f"{path}: is of a gate, and has no {GATE_FILE}: add the gate's first run directory"
        )
    entries = [entry for entry in run.manifest.allocators if not entry.floor]
    return [
        RunArm(
            run=run,
            arm="",
            names={entry.name: _OF_COMMIT.sub(r"\1", entry.name) for entry in entries},
            objects={entry.name: _object(entry) for entry in entries},
            sources=tuple(place for entry in entries if (place := _source(entry)) is not None),
        )
    ]


def measured(
    arm: RunArm, *, commit: CommitEntry | None, branch: str, label: str | None
) -> Measured:
    """All its values, as a history takes them; label: another one than the run has."""
    manifest = arm.run.manifest
    journal = _digest(arm.run.path / "processes.jsonl")
    found = Measured(
        identity=arm.identity,
        content="",
        path=str(arm.run.path.resolve()),
        arm=arm.arm,
        label=manifest.label if label is None else label,
        branch=branch,
        started=arm.started.isoformat(timespec="seconds"),
        commit=commit,
        objects={arm.names[name]: one for name, one in arm.objects.items()},
        values=tuple(_values(arm)),
    )
    told = (journal, found.path, found.label, branch, commit)
    return replace(found, content=hashlib.sha256(repr(told).encode("utf-8")).hexdigest())


def _gate_arm(run: Run, arm: str, told: ArmEntry, entry: AllocatorEntry) -> RunArm:
    named = _OF_COMMIT.match(told.name)
    place = Path(told.path) if told.path else None
    return RunArm(
        run=run,
        arm=arm,
        names={arm: _OF_COMMIT.sub(r"\1", told.name)},
        objects={arm: ObjectEntry(told.path, told.sha256, told.config)},
        sources=tuple(each for each in (_source(replace(entry, path=None)), place) if each)[:1],
        revision=named[2] if named else "",
    )


def _object(entry: AllocatorEntry) -> ObjectEntry:
    return ObjectEntry(entry.path, entry.sha256, entry.config)


def _source(entry: AllocatorEntry) -> Path | None:
    """What a repository would have: what an object was compiled from, or the object."""
    if entry.source is not None:
        return Path(entry.source.path)
    return Path(entry.path) if entry.path else None


def _digest(path: Path) -> str:
    try:
        return hashlib.sha256(read_regular(path, MAX_JOURNAL_BYTES)).hexdigest()
    except FileNotFoundError:  # a journal without a process
        return ""


def _values(arm: RunArm) -> Iterator[MeasuredValue]:
    run = arm.run
    machine = machine_facts(run.manifest.environment, driver=run.manifest.driver_sha256)
    facts = {one.facts: {name: machine[name] for name in one.facts} for one in _KEPT}
    for scenario in run.manifest.scenarios:
        processes = ProcessMetrics(run.files)
        for name in arm.names:
            records = run.records_of(name, scenario.name)
            probes = {record.probe for record in records if record.ok}
            for one in _KEPT:
                if one.probe not in probes:
                    continue
                values = _values_of(processes, records, one)
                if values.size:
                    yield _value(arm.names[name], scenario, one, values, facts[one.facts])


def _values_of(
    processes: ProcessMetrics, records: Sequence[ProcessRecord], one: Measure
) -> FloatArray:
    if one.timed:
        values = processes.by_round(records, one, rounds=rounds_of(records))
    else:
        values = processes.every(records, one)
    return values[np.isfinite(values)]


def _value(
    allocator: str,
    scenario: ScenarioEntry,
    one: Measure,
    values: FloatArray,
    facts: Mapping[str, object],
) -> MeasuredValue:
    found = median_interval(values, confidence=CONFIDENCE)
    return MeasuredValue(
        scenario=scenario.name,
        digest=scenario.digest,
        allocator=allocator,
        metric=one.name,
        unit=one.unit,
        facts=facts,
        value=found.estimate,
        lower=found.lower if found.bounded else None,
        upper=found.upper if found.bounded else None,
        exact=agree(values) and _says_the_same_another_day(one, scenario),
        processes=values.size,
    )


def _says_the_same_another_day(one: Measure, scenario: ScenarioEntry) -> bool:
    """Whether a count on which the processes of a run agree is the next run's, too: not what the
    kernel has a part in (resident memory), nor how far threads are apart, which is a run's.
    """
    if one.timed or one.rule not in ("exact", "off"):
        return False
    return one.of_trace or (scenario.program is None and scenario.threads == 1)
