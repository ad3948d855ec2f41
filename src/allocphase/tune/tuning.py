"""The search, the gate of its winner against the default, and the answer.

The gate judges what is minimised by theta, and each bound as a limit of its own: `peak_rss<=1.1x`
is `--limit peak_rss=10%`, and a bound below the default's value wants the row improved by so much.
A value is a factor of the default's median in the search. Counts on which all processes agree are
held against the bound itself.
"""

from __future__ import annotations

import json
import math
import shlex
import time
from collections.abc import Mapping, Sequence

from allocphase.allocator import Allocator
from allocphase.errors import UsageError
from allocphase.files.durable import write_text
from allocphase.gate import Arms, GateRequest, require_decidable, run_gate
from allocphase.gate.rounds import Clock, TooLittleTimeError
from allocphase.judge import GateRow, GateVerdict, Limits, Outcome
from allocphase.judge.limits import Limit, of_itself, parse_limit
from allocphase.judge.render.words import failure_text
from allocphase.process.driver import Executor
from allocphase.run.progress_bar import Progress
from allocphase.text.units import counted
from allocphase.tune.document import FILE, Answer, Confirmation, Tuning, document
from allocphase.tune.halving import schedule
from allocphase.tune.request import TuneRequest
from allocphase.tune.search import SEARCH_SHARE, Found, search
from allocphase.tune.target import Bound

__all__ = ["run_tune"]

_OPEN = (Outcome.INCONCLUSIVE, Outcome.NOT_MEASURED)


def run_tune(
    request: TuneRequest, executor: Executor, *, progress: Progress, clock: Clock = time.monotonic
) -> Tuning:
    """Searches, and has the gate judge what it found; the answer also lies in the search's
    directory, as tune.json.

    Raises as `search` and as gate.run_gate: UsageError where its rounds can never decide, before
    anything is measured, and where the budget is too short for it.
    """
    require_decidable(_gate_request(request, request.space.arms[0], {}, left_s=math.inf))
    start = clock()
    found = search(request, executor, progress=progress, clock=clock)
    spent_s = clock() - start
    verdict = None
    if found.winner is not None:
        left_s = request.time_budget_s - spent_s
        gated = _gate_request(request, found.winner, found.default, left_s=left_s)
        try:
            verdict = run_gate(gated, executor, progress=progress, clock=clock)
        except TooLittleTimeError as error:
            ask_s = math.ceil(max(spent_s + error.budget_s, error.budget_s / SEARCH_SHARE))
            raise UsageError(
                f"the search found {found.winner.name}, and the gate has no time to judge it: "
                f"{error.message}: --time-budget {ask_s}"
            ) from None
    tuning = _tuning(request, found, verdict, seconds=clock() - start)
    text = json.dumps(document(tuning), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(found.path / FILE, text + "\n")
    return tuning


# ---- The gate of the winner --------------------------------------------------------------


def _gate_request(
    request: TuneRequest, winner: Allocator, medians: Mapping[str, float], *, left_s: float
) -> GateRequest:
    """medians: of the default, by the name of the measure; those that are missing are not known."""
    return GateRequest(
        arms=Arms(request.space.default, winner),
        scenarios=[request.scenario],
        limits=_limits(request, medians),
        out=request.out,
        seed=(request.seed + 1) % 2**32,  # an order of its own
        max_rounds=request.max_rounds,
        until_improved=True,
        time_budget_s=max(left_s, 1.0),
        timeout_s=request.timeout_s,
        label=f"{request.label}-winner",
        command=request.command,
        kept_variables=request.kept_variables,
    )


def _limits(request: TuneRequest, medians: Mapping[str, float]) -> Limits:
    """Everything is off but what is minimised, and bounded."""
    shares = {request.minimize.name: request.theta}
    for bound in request.bounds:
        factor = bound.factor(medians.get(bound.measure.name, math.nan))
        shares[bound.measure.name] = _share(factor)
    lines = [parse_limit("*=off")]
    for name, share in sorted(shares.items(), key=lambda line: "." in line[0]):
        lines.append(Limit(name, of_itself(request.scenario.name), f"{share:.4%}", share))
        if name == "syscalls":
            lines.append(parse_limit("syscalls.*=off"))
    return Limits(theta=request.theta, lines=tuple(lines))


def _share(factor: float) -> float:
    """By how much a value may be above the default's, or has to be below it. Of a bound that
    nothing breaks, a share that nothing reaches.
    """
    if math.isnan(factor):
        factor = 1.0
    if factor < 1.0:
        factor = 1.0 / factor if factor > 0.0 else math.inf
    return min(factor - 1.0, 1e6)


def _is_kept(bound: Bound, verdict: GateVerdict, found: Found) -> bool:
    row = _row(verdict, bound.measure.name)
    if row is None or row.outcome in _OPEN:
        return False
    if row.first.exact:
        return row.first.candidate <= bound.most(row.first.base)
    if bound.factor(found.default[bound.measure.name]) < 1.0:
        return row.outcome is Outcome.IMPROVED
    return row.outcome is not Outcome.REGRESSED


def _row(verdict: GateVerdict, metric: str) -> GateRow | None:
    return next((row for row in verdict.rows if row.metric == metric), None)


# ---- The answer --------------------------------------------------------------------------


def _tuning(
    request: TuneRequest, found: Found, verdict: GateVerdict | None, *, seconds: float
) -> Tuning:
    confirmation = None if verdict is None else _confirmation(request, found, verdict)
    answer, at_most = Answer.NONE_WITHIN, None
    if verdict is not None and confirmation is not None:
        answer, at_most = _answer(request, verdict, confirmation)
    winner = found.winner
    better = winner is not None and answer is Answer.BETTER
    return Tuning(
        allocator=request.space.default.name,
        scenario=request.scenario.name,
        minimize=request.minimize.name,
        unit=request.minimize.unit,
        bounds=tuple(bound.text for bound in request.bounds),
        theta=request.theta,
        seed=request.seed,
        time_budget_s=request.time_budget_s,
        answer=answer,
        winner=winner.name if winner else None,
        use=_line(request, winner) if winner and better else None,
        at_most=at_most,
        arms=found.arms,
        stages=found.stages,
        confirmation=confirmation,
        notes=tuple(_notes(request, found, verdict)),
        seconds=round(seconds, 1),
        path=str(found.path),
    )


def _confirmation(request: TuneRequest, found: Found, verdict: GateVerdict) -> Confirmation | None:
    """None where what is minimised has no row: then nothing was measured."""
    row = _row(verdict, request.minimize.name)
    if row is None:
        return None
    return Confirmation(
        outcome=row.first.outcome.value,
        default=row.first.base,
        winner=row.first.candidate,
        ratio=row.first.ratio,
        exact=row.first.exact,
        rounds=row.first.rounds,
        bounds={bound.text: _is_kept(bound, verdict, found) for bound in request.bounds},
        text=verdict.word,
        paths=tuple(session.path for session in verdict.sessions),
    )


def _answer(
    request: TuneRequest, verdict: GateVerdict, found: Confirmation
) -> tuple[Answer, float | None]:
    """And, of "none better", by how much at most. What looks better, and was not shown to be, is
    undecided: nobody should be told that it is none.
    """
    if verdict.failures or found.outcome == Outcome.NOT_MEASURED:
        return Answer.NOT_MEASURED, None
    if found.outcome == Outcome.IMPROVED:
        return (Answer.BETTER if all(found.bounds.values()) else Answer.UNDECIDED), None
    if found.outcome == Outcome.INCONCLUSIVE:
        return Answer.UNDECIDED, None
    if found.exact:
        return Answer.NONE_BETTER, request.theta
    looks_better = found.ratio.estimate < 1.0 / (1.0 + request.theta)
    if looks_better or not found.ratio.bounded:
        return Answer.UNDECIDED, None
    return Answer.NONE_BETTER, max(request.theta, 1.0 - found.ratio.lower)


def _line(request: TuneRequest, winner: Allocator) -> str:
    """What to set: the variables that carry its settings, over those of the user's own that were
    kept; of a plug-in, whose settings no variable carries, how it is named.
    """
    default, form = request.space.default, winner.settings_form
    if winner.kind == "plugin":
        return f"-a {shlex.quote(winner.name)}"
    variables = dict(winner.environment.items() - default.environment.items())
    if form and form.variable in default.environment:
        # What the harness sets in the same variable is no setting of the winner's.
        variables |= form.variables(winner.config)
    if form:
        below = {k: v for k, v in request.kept_variables.items() if k in variables}
        variables = form.over(below, variables)
    return " ".join(f"{name}={shlex.quote(value)}" for name, value in sorted(variables.items()))


def _notes(request: TuneRequest, found: Found, verdict: GateVerdict | None) -> Sequence[str]:
    notes = list(request.space.notes)
    if found.cut_short:
        last = found.stages[-1]
        notes.append(
            f"the time budget had room for {counted(last.rounds, 'round')} of the last "
            f"{counted(last.arms, 'setting')} in the search, of {schedule(len(found.arms))[-1]}: "
            "with a longer one noise has less of a say"
        )
    if verdict is not None:
        notes += [failure_text(one) for one in verdict.failures]
        notes += verdict.notes
    return notes
