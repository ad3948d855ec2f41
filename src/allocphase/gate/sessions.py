"""The gate: a first session, a second one for what it flagged, and the verdict on both."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from allocphase.allocator import Allocator
from allocphase.analysis.measures import MEASURES, Measure
from allocphase.analysis.program_metrics import output_of
from allocphase.analysis.warnings import disturbances, setting_warnings
from allocphase.errors import UsageError
from allocphase.files.durable import write_text
from allocphase.gate.arms import describe_arm, fresh_copies
from allocphase.gate.planned import Planned, planned_in
from allocphase.gate.request import GateRequest
from allocphase.gate.rounds import FIRST_SHARE, Clock, Finished, probes_of, run_session
from allocphase.judge import (
    BASELINE,
    CANDIDATE,
    TWIN,
    ArmEntry,
    Evidence,
    Failure,
    GateRow,
    GateVerdict,
    Judge,
    Row,
    SessionEntry,
    Settings,
    candidates_own,
    final_rows,
)
from allocphase.judge.document import FILE, document
from allocphase.judge.judge import TooFewRoundsError
from allocphase.judge.rows import call_measures
from allocphase.machine.environment import environment
from allocphase.probe.probe import Probe
from allocphase.process.driver import Executor
from allocphase.run.progress_bar import Progress
from allocphase.run.request import Request
from allocphase.scenario import Program
from allocphase.store.reader import RunFiles

__all__ = ["require_decidable", "run_gate"]

# driver/subject.c: what functions should be aligned to.
CACHE_LINE_BYTES = 64


_TIMES_ARE_ADVICE = (
    "times against a saved baseline are advice and fail nothing: what the machine did between the "
    "days looks like a change in every session; --limit time=10% makes them count"
)


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
                stretch=self.request.stretch,
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
    spent_s = clock() - start
    left_s = max(request.time_budget_s, min(spent_s / FIRST_SHARE, _most_s(request))) - spent_s
    doubtful = _doubtful(request, first) if left_s > 0.0 else []
    again = None
    if doubtful:
        again = engine.session(_confirming(request, doubtful), budget_s=left_s)
    verdict = _verdict(request, planned, first, again)
    _write(verdict, first.path)
    return verdict


def require_decidable(request: GateRequest) -> None:
    """Raises what `run_gate` would before its first process: for who has long work before it."""
    _judge(request, planned_in(request).rows)


def _most_s(request: GateRequest) -> float:
    """Of both sessions together: after a first one that took more than its share, the second has
    more, too.
    """
    return request.stretch * request.time_budget_s


def _judge(request: GateRequest, rows: Sequence[Row]) -> Judge:
    """Of the first session. Raises UsageError where its rounds can never decide anything."""
    judge = Judge(
        rows,
        request.limits,
        request.rounds,
        request.min_rounds,
        until_improved=request.until_improved,
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


def _inner(request: GateRequest, judge: Judge, arms: Sequence[Allocator]) -> Request:
    names = {row.scenario for row in judge.rows}
    scenarios = [one for one in request.scenarios if one.name in names]
    explained = request.explained & names if not judge.confirms else frozenset[str]()
    extra = (Probe.VERIFY,) if request.verify and not judge.confirms else ()
    gated = probes_of(judge, *extra)
    probes = probes_of(judge, *extra, Probe.LATENCY) if explained else gated
    return Request(
        allocators=arms,
        scenarios=scenarios,
        probes=probes,
        rounds=judge.max_rounds,
        seed=(request.seed + judge.confirms) % 2**32,  # another order, as reproducible as the first
        timeout_s=request.timeout_s,
        out=request.out,
        label=f"{request.label}-confirm" if judge.confirms else request.label,
        command=request.command,
        kept_variables=request.kept_variables,
        simulated_caches=request.simulated_caches,
        only=None
        if probes == gated
        else frozenset(
            (arm.name, one.name, probe.value)
            for arm in arms
            for one in scenarios
            for probe in probes
            if probe in gated or one.name in explained
        ),
    )


def _doubtful(request: GateRequest, first: Finished) -> list[Row]:
    """The flagged rows that a second session can confirm; none where the candidate is broken."""
    if candidates_own(_failures(first)):
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
        environment=environment(
            tuning=request.kept_variables, simulated_caches=request.simulated_caches or None
        ),
        rows=rows,
        failures=tuple(failures),
        sessions=tuple(_describe(session) for session in sessions),
        notes=(*request.notes, *planned.left_out, *_notes(request, sessions)),
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
    notes += _settings_in_doubt(sessions)
    notes += _uncounted(request, sessions[0])
    notes += _unlike_outputs(request, sessions[0])
    notes += _unaligned(request, sessions[0])
    unused = request.limits.unused(_limited(request, sessions[0]))
    return notes + [f"the limit {line} speaks of no row here" for line in unused]


def _settings_in_doubt(sessions: Sequence[Finished]) -> list[str]:
    """Of each arm, what may not hold of what was set; a twin is its baseline."""
    found: dict[str, None] = {}
    for session in sessions:
        manifest = RunFiles(session.path).manifest
        for arm in (BASELINE, CANDIDATE):
            records = [one for one in session.evidence.records if one.allocator == arm]
            doubts = setting_warnings(records, manifest.ignored_settings(arm))
            found |= {f"{arm}: {warning.text}": None for warning in doubts}
    return list(found)


def _uncounted(request: GateRequest, session: Finished) -> list[str]:
    """Of each program, why its system calls are no row, where nobody could count them."""
    found = [(one.name, session.evidence.uncounted(one.name)) for one in request.scenarios]
    return [f"{name}: system calls are not gated: {why}" for name, why in found if why]


def _unlike_outputs(request: GateRequest, session: Finished) -> Iterator[str]:
    """Programs that printed one thing under the baseline each time, and another one under the
    candidate. One with a digest has its status by that.
    """
    for scenario in request.scenarios:
        if isinstance(scenario, Program):
            mine = [one for one in session.evidence.records if one.scenario == scenario.name]
            before, after = (
                output_of([one for one in mine if one.allocator == arm])
                for arm in (BASELINE, CANDIDATE)
            )
            if None not in (before, after) and before != after:
                yield (
                    f"{scenario.name} prints something else under the candidate than under the "
                    "baseline: one of the two is wrong"
                )


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
        if one.probe.of_programs == isinstance(scenario, Program)
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
