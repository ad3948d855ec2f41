"""The gate: a first session, a second one for what it flagged, and the verdict on both."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from allocphase.allocator import Allocator
from allocphase.analysis.comparable import holds, not_holding
from allocphase.analysis.measures import MEASURES, QUANTILES, Measure
from allocphase.analysis.warnings import disturbances
from allocphase.errors import NothingMeasuredError, UsageError
from allocphase.files.durable import write_text
from allocphase.gate.arms import Arms, describe_arm, fresh_copies
from allocphase.gate.rounds import FIRST_SHARE, Clock, Finished, probes_of, run_session
from allocphase.judge import (
    TWIN,
    ArmEntry,
    Evidence,
    Failure,
    GateRow,
    GateVerdict,
    Judge,
    Limits,
    Row,
    SessionEntry,
    Settings,
    final_rows,
    planned_rows,
)
from allocphase.judge.document import FILE, document
from allocphase.judge.evidence import Saved
from allocphase.judge.judge import TooFewRoundsError
from allocphase.judge.rows import call_measures
from allocphase.machine.environment import environment
from allocphase.probe.probe import Probe
from allocphase.process.driver import Executor
from allocphase.run.progress_bar import Progress
from allocphase.run.request import TIMEOUT_S, Request, draw_seed
from allocphase.scenario import Scenario, generate
from allocphase.store.reader import RunFiles
from allocphase.trace.records import Kind, kind_of

__all__ = ["GateRequest", "Planned", "SavedArm", "planned_in", "run_gate"]

# A quantile with fewer calls of a process beyond it is not gated. Two processes alike differed by
# two thirds where 20 lay beyond, by a third or less from 50 on (standard deviation, of p99.9).
CALLS_BEYOND = 50
# driver/subject.c: what functions should be aligned to.
CACHE_LINE_BYTES = 64


_TIMES_ARE_ADVICE = (
    "times against a saved baseline are advice and fail nothing: what the machine did between the "
    "days looks like a change in every session; --limit time=10% makes them count"
)


@dataclass(frozen=True, slots=True, kw_only=True)
class SavedArm:
    """A baseline that was measured before, where the baseline's arm would be.

    rounds: what its times rest on, 0 where it has none. allocator: as by describe_arm. note: what
    the verdict says of it. differing: the machine's facts that are others now, a line a fact; what
    depends on one of them does not hold here, and is left out, or with `allow_mismatch` shown as
    advice.
    """

    values: Saved
    rounds: int
    allocator: ArmEntry
    note: str
    differing: Mapping[str, str] = field(default_factory=dict)
    allow_mismatch: bool = False

    def is_advice(self, row: Row) -> bool:
        """Whether the row is shown and never fails: where it does not hold here, and of times
        unless the user gave a limit. Both sessions divide by the same stored values, so a second
        one would find again whatever the machine did between the days.
        """
        return not holds(row.measure, self.differing) or (row.measure.timed and not row.rule.named)


@dataclass(frozen=True, slots=True, kw_only=True)
class GateRequest:
    """What to gate, and with which budget: `time_budget_s` of both sessions together.

    saved: instead of a baseline among the arms.
    """

    arms: Arms
    scenarios: Sequence[Scenario]
    limits: Limits
    out: Path
    seed: int = field(default_factory=draw_seed)
    max_rounds: int = 40
    min_rounds: int = 1
    time_budget_s: float = 600.0
    timeout_s: float = TIMEOUT_S
    label: str = "gate"
    command: Sequence[str] = ()
    verify: bool = True
    fail_inconclusive: bool = True
    saved: SavedArm | None = None

    @property
    def rounds(self) -> int:
        """Rounds of a session: no more than a saved baseline has values."""
        saved = self.saved.rounds if self.saved else 0
        return min(self.max_rounds, saved or self.max_rounds)


@dataclass(frozen=True, slots=True)
class _Engine:
    """What runs processes and tells the time; tests bring their own."""

    request: GateRequest
    executor: Executor
    progress: Progress
    clock: Clock

    def session(self, judge: Judge, *, budget_s: float) -> Finished:
        """One session; the confirming one has another seed and label, and no twin."""
        saved = self.request.saved
        arms, out = self.request.arms, self.request.out
        with fresh_copies(arms, out, twin=judge.has_twin) as copies:
            return run_session(
                _inner(self.request, judge, copies.arms),
                judge,
                Evidence(saved=saved.values if saved else None),
                self.executor,
                copies,
                progress=self.progress,
                budget_s=budget_s,
                clock=self.clock,
            )


def run_gate(
    request: GateRequest, executor: Executor, *, progress: Progress, clock: Clock = time.monotonic
) -> GateVerdict:
    """Runs both sessions; the verdict also lies in the first one's directory, as gate.json.

    Raises NothingMeasuredError when the limits leave no row, UsageError when the rounds can never
    decide, AllocphaseError when gate.json cannot be written, and as run.session.Session.
    """
    engine = _Engine(request, executor, progress, clock)
    start = clock()
    planned = planned_in(request)
    judge = _judge(request, planned.rows)
    first = engine.session(judge, budget_s=request.time_budget_s * FIRST_SHARE)
    left_s = request.time_budget_s - (clock() - start)
    doubtful = _doubtful(request, first) if left_s > 0.0 else []
    again = None
    if doubtful:
        again = engine.session(_confirming(request, doubtful), budget_s=left_s)
    verdict = _verdict(request, planned, first, again)
    _write(verdict, first.path)
    return verdict


def _judge(request: GateRequest, rows: Sequence[Row]) -> Judge:
    """Of the first session. Raises UsageError where its rounds can never decide anything."""
    judge = Judge(
        rows,
        request.limits,
        request.rounds,
        request.min_rounds,
        has_twin=request.saved is None,
    )
    try:
        return judge.within(request.rounds)
    except TooFewRoundsError as error:
        if request.saved and request.rounds < request.max_rounds:
            way_out = f"save the baseline with -r {error.needed} or more"
        else:
            way_out = f"--max-rounds {error.needed} or more"
        raise UsageError(f"{error}: {way_out}, or fewer scenarios") from None


def _confirming(request: GateRequest, rows: Sequence[Row]) -> Judge:
    """Of the second session: signs against the baseline alone, which need no assumption on the
    spread of the candidate (stats.sequential).
    """
    rounds = (request.rounds, request.min_rounds)
    return Judge(rows, request.limits, *rounds, confirms=True, has_twin=False, by_name=False)


@dataclass(frozen=True, slots=True)
class Planned:
    """The rows of a gate; left_out: why some that the limits leave on are not among them;
    mismatch: which do not hold on this machine, and why.
    """

    rows: Sequence[Row]
    left_out: Sequence[str]
    mismatch: Sequence[str] = ()


def planned_in(request: GateRequest) -> Planned:
    """What a gate will judge. Raises as `run_gate`."""
    rows = planned_rows([scenario.name for scenario in request.scenarios], request.limits)
    rows = [row for row in rows if row.measure.name != "build_time" or _has_build(request, row)]
    thin = _thin(request, rows)
    rows = [row for row in rows if row.id not in thin]
    saved, mismatch = request.saved, list[str]()
    if saved:
        mismatch = not_holding((row.measure for row in rows), saved.differing)
        rows = [r for r in rows if saved.allow_mismatch or holds(r.measure, saved.differing)]
    if not rows:
        reason = "; ".join([*thin.values(), *mismatch]) or "every row is off"
        raise NothingMeasuredError(f"nothing is left to measure: {reason}")
    return Planned(rows, list(thin.values()), mismatch)


def _thin(request: GateRequest, rows: Sequence[Row]) -> dict[str, str]:
    """By row, why a quantile is not gated: what a few calls say is chance. Raises UsageError where
    a limit names that very row.
    """
    found = {}
    for scenario in request.scenarios:
        tails = [r for r in rows if r.scenario == scenario.name and r.measure.name in QUANTILES]
        if not tails:
            continue
        calls = np.count_nonzero(kind_of(generate(scenario).ops) == Kind.MALLOC)
        for row in tails:
            beyond = round(calls * (1.0 - QUANTILES[row.measure.name]))
            if beyond >= CALLS_BEYOND:
                continue
            lie = "1 call lies" if beyond == 1 else f"{beyond} calls lie"
            reason = f"{row.id} is not gated: {lie} beyond it in a process, {CALLS_BEYOND} must"
            if row.rule.required:
                raise UsageError(f"{reason}: take a lower quantile or a longer scenario")
            found[row.id] = reason
    return found


def _has_build(request: GateRequest, row: Row) -> bool:
    """Only a scenario with a build part has a time of it: a glob must not ask for the others."""
    chosen = next(one for one in request.scenarios if one.name == row.scenario)
    return generate(chosen).build_ops > 0


def _inner(request: GateRequest, judge: Judge, arms: Sequence[Allocator]) -> Request:
    scenarios = {row.scenario for row in judge.rows}
    extra = (Probe.VERIFY,) if request.verify and not judge.confirms else ()
    return Request(
        allocators=arms,
        scenarios=[one for one in request.scenarios if one.name in scenarios],
        probes=probes_of(judge, *extra),
        rounds=judge.max_rounds,
        seed=(request.seed + judge.confirms) % 2**32,  # another order, as reproducible as the first
        timeout_s=request.timeout_s,
        out=request.out,
        label=f"{request.label}-confirm" if judge.confirms else request.label,
        command=request.command,
    )


def _doubtful(request: GateRequest, first: Finished) -> list[Row]:
    """The flagged rows that a second session can confirm; none where the candidate is broken."""
    if any(failure.broken_candidate for failure in _failures(first)):
        return []
    rows = [row for row in final_rows(first.result, None) if row.flagged]
    return [row.row for row in rows if not _is_advice(request, row)]


def _is_advice(request: GateRequest, row: GateRow) -> bool:
    return request.saved is not None and request.saved.is_advice(row.row)


def _advised(row: GateRow) -> GateRow:
    """The row as the first session has it: a second one confirms no advice."""
    return GateRow.of(row.row, row.first.outcome, first=row.first, advisory=True)


def _verdict(
    request: GateRequest, planned: Planned, first: Finished, again: Finished | None
) -> GateVerdict:
    joined = final_rows(first.result, again.result if again else None)
    rows = tuple(_advised(row) if _is_advice(request, row) else row for row in joined)
    sessions = [first, again] if again else [first]
    failures = [failure for session in sessions for failure in _failures(session)]
    return GateVerdict(
        baseline=_describe_baseline(request),
        candidate=describe_arm(request.arms.candidate),
        environment=environment(),
        rows=rows,
        failures=tuple(failures),
        sessions=tuple(_describe(session) for session in sessions),
        notes=(*planned.left_out, *_notes(request, sessions)),
        machine_mismatch=tuple(planned.mismatch),
        fail_inconclusive=request.fail_inconclusive,
        settings=_settings(request),
    )


def _describe_baseline(request: GateRequest) -> ArmEntry:
    if request.saved:
        return request.saved.allocator
    assert request.arms.baseline is not None, "it is measured, or was saved"
    return describe_arm(request.arms.baseline)


def _failures(session: Finished) -> list[Failure]:
    return [
        Failure(
            arm=record.allocator,
            scenario=record.scenario,
            probe=record.probe,
            status=record.status,
            message=record.message,
        )
        for record in session.evidence.failures()
    ]


def _notes(request: GateRequest, sessions: Sequence[Finished]) -> list[str]:
    notes = [request.saved.note] if request.saved else []
    if request.saved and any(
        row.measure.timed and not row.rule.named for row, _ in sessions[0].result.rows
    ):
        notes.append(_TIMES_ARE_ADVICE)
    baseline = request.arms.baseline
    if baseline is not None and baseline.kind == "libc":
        notes.append("libc cannot be copied: its twin is libc itself")
    for session in sessions:
        notes += RunFiles(session.path).notes()
        seen = disturbances(session.evidence.records)
        notes += [f"{session.path.name}: {warning.text}" for warning in seen]
    notes += _unaligned(request, sessions[0])
    unused = request.limits.unused(_limited(request, sessions[0]))
    return notes + [f"the limit {line} speaks of no row here" for line in unused]


def _limited(request: GateRequest, session: Finished) -> list[tuple[Measure, str]]:
    """What a limit may speak of here, also to turn it off: each metric on each scenario."""
    ran = RunFiles(session.path).manifest.scenarios
    built = {entry.name for entry in ran if entry.build_operations}
    rows = [(row.measure, row.scenario) for row, _ in session.result.rows]
    others = [
        (one, scenario.name)
        for scenario in request.scenarios
        for one in (*MEASURES.values(), *call_measures(session.evidence, scenario.name))
        if one.name != "build_time" or scenario.name in built
    ]
    return [*rows, *others]


def _unaligned(request: GateRequest, session: Finished) -> list[str]:
    """Two builds are compared by their times, and where their functions lie is part of those."""
    baseline, candidate = request.arms.baseline, request.arms.candidate
    one_object = baseline is not None and baseline.sha256() == candidate.sha256()
    if one_object or not any(row.measure.timed for row, _ in session.result.rows):
        return []
    arms = {
        record.allocator
        for record in session.evidence.records
        if (record.result.function_alignment_bytes or CACHE_LINE_BYTES) < CACHE_LINE_BYTES
    }
    return [
        f"the functions of the {arm} do not begin a cache line, so layout alone may move its time"
        f" by several per cent: build it with -falign-functions={CACHE_LINE_BYTES}"
        for arm in sorted(arms - {TWIN})
    ]


def _describe(session: Finished) -> SessionEntry:
    return SessionEntry(
        path=str(session.path),
        rounds=session.result.rounds,
        planned=session.planned,
        repeated=session.repeated,
        seconds=round(session.seconds, 1),
    )


def _settings(request: GateRequest) -> Settings:
    return Settings(
        theta=request.limits.theta,
        memory_theta=request.limits.memory_theta,
        limits=tuple(str(line) for line in request.limits.lines),
        max_rounds=request.rounds,
        time_budget_s=request.time_budget_s,
        seed=request.seed,
        scenarios=tuple(scenario.name for scenario in request.scenarios),
    )


def _write(verdict: GateVerdict, folder: Path) -> None:
    text = json.dumps(document(verdict), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(folder / FILE, text + "\n")
