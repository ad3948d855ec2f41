"""`gate --explain ROW`: why a row came out as it did, in sentences."""

from __future__ import annotations

import math
from collections.abc import Iterator

from allocphase.analysis.discrepancy import INSTRUCTIONS, TIME, Change, discrepancy
from allocphase.errors import UsageError, unknown
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.render.words import (
    change_text,
    failure_text,
    interval_text,
    percent,
    saved_sentence,
    seen_text,
    suggestion,
    value_text,
)
from allocphase.judge.verdict import GateRow, GateVerdict
from allocphase.stats import Interval
from allocphase.stats.exact import count_ratio
from allocphase.text.units import counted

__all__ = ["explain", "found_row"]

_MEANING = {
    Outcome.REGRESSED: "It regressed in two sessions: the gate fails.",
    Outcome.IMPROVED: "It is better by more than the limit: the gate passes.",
    Outcome.UNCHANGED: "It is unchanged: the gate passes.",
    Outcome.NOT_WORSE: "It is not worse than the limit; whether it is better was left open.",
    Outcome.UNDECIDED: "It lies too near the limit to be decided, and does not fail the gate.",
    Outcome.INCONCLUSIVE: "The rounds do not tell: more of them, a quieter machine, or a wider "
    "limit would. The gate fails for it if the limit names this very row, if it was flagged, or if "
    "more rows are open than noise explains.",
    Outcome.NOT_MEASURED: "It was planned and has no value of both sides: that is never a pass.",
    Outcome.UNCONFIRMED: "It was flagged once, and a second session found it not worse: the gate "
    "passes.",
}


def explain(verdict: GateVerdict, row_id: str) -> str:
    """The story of one row, a sentence a line; its metric is named by either name.

    Raises UsageError for a row that does not exist.
    """
    return "\n".join(_sentences(found_row(verdict, row_id), verdict))


def found_row(verdict: GateVerdict, row_id: str) -> GateRow:
    """By either name of its metric. Raises UsageError for one that does not exist."""
    rows = {row.row.id: row for row in verdict.rows}
    by_path = {f"{row.row.measure.path}:{row.row.scenario}": row for row in verdict.rows}
    found = rows.get(row_id) or by_path.get(row_id)
    if found is None:
        raise UsageError(unknown("row", row_id, rows))
    return found


def _sentences(row: GateRow, verdict: GateVerdict) -> Iterator[str]:
    yield f"{row.row.id}: {row.outcome}"
    yield f"  The row is the {row.row.measure.title} on {row.row.scenario}."
    yield f"  {_limit(row)}"
    yield from (f"  {line}" for line in _session(row, row.first, "first"))
    if row.again:
        yield from (f"  {line}" for line in _session(row, row.again, "second"))
    if text := _discrepancy(row, verdict):
        yield f"  {text}"
    if row.outcome is Outcome.INCONCLUSIVE:
        yield f"  {suggestion(row).capitalize() if row.flagged else suggestion(row)}."
    if row.advisory:
        yield f"  It is advice and fails nothing: {_advice(verdict)}."
    else:
        yield f"  {_MEANING[row.outcome]}"
    for failure in verdict.failures:
        if failure.scenario == row.row.scenario:
            yield f"  {failure_text(failure)}"


def _discrepancy(row: GateRow, verdict: GateVerdict) -> str:
    """Of a time and of instructions, where the two do not tell the same; "" of other rows."""
    rows = {
        one.row.measure.name: one for one in verdict.rows if one.row.scenario == row.row.scenario
    }
    names = (TIME.name, INSTRUCTIONS.name)
    if row.row.measure.name not in names or not all(name in rows for name in names):
        return ""
    found = {name: _change(one) for name, one in rows.items()}
    times, counts = (found[name] for name in names)
    others = list(found.values())
    return discrepancy(times, counts, others, name="The candidate", base="the baseline")


def _change(row: GateRow) -> Change:
    """By its last session that bounds it. Of counts what its processes gave bounds the ratio."""
    judged = row.again if row.again and row.again.ratio.bounded else row.first
    return Change(
        measure=row.row.measure,
        base=judged.base,
        candidate=judged.candidate,
        ratio=judged.ratio if row.row.measure.timed else _bounded(judged),
    )


def _bounded(judged: Judged) -> Interval:
    base, candidate = judged.values
    if not base or not candidate:
        return judged.ratio
    return Interval(
        judged.ratio.estimate,
        count_ratio(max(base), min(candidate)),
        count_ratio(min(base), max(candidate)),
        1.0,
    )


def _advice(verdict: GateVerdict) -> str:
    if verdict.machine_mismatch:
        return "the baseline was saved on another machine"
    return "against a saved baseline a time counts only by a limit that you give"


def _limit(row: GateRow) -> str:
    theta = percent(row.first.theta)
    if row.row.rule.exact and not row.first.theta:
        return "It is counted exactly: anything above the baseline's is worse."
    if row.row.rule.exact:
        return (
            "It would be counted exactly, but the baseline's own processes differ, so more than "
            f"{theta} above it is worse."
        )
    return f"More than {theta} above the baseline is worse; exactly {theta} is not."


def _session(row: GateRow, judged: Judged, which: str) -> Iterator[str]:
    if judged.outcome is Outcome.NOT_MEASURED:
        yield f"In the {which} session there was no value of both sides."
        return
    base, candidate = (value_text(row, value) for value in (judged.base, judged.candidate))
    if judged.exact:
        told = f"{base} for the baseline and {candidate} for the candidate"
        processes = counted(judged.rounds, "process")
        yield f"In the {which} session each of {processes} an arm gave {told}."
        return
    yield (
        f"In the {which} session the medians were {base} for the baseline and {candidate} for the "
        f"candidate; the change, {change_text(judged)}, is the median of the rounds' ratios."
    )
    yield from _sampled(judged)
    if not row.row.measure.timed:
        yield from _counted(row, judged)


def _sampled(judged: Judged) -> Iterator[str]:
    sides = interval_text(judged.ratio)
    sure = f" with {percent(judged.ratio.confidence)} confidence"
    within = f"lies within {sides}{sure}" if sides != "-" else "is not bounded"
    yield f"By {counted(judged.rounds, 'round')} the true change {within}: {judged.outcome}."
    if saved := saved_sentence(judged):
        yield f"The candidate {saved}."
    if judged.twin is not None:
        known = not math.isnan(judged.floor_spread)
        spread = f", spread {percent(judged.floor_spread)}" if known else ""
        change = percent(judged.twin.estimate - 1.0, signed=True)
        yield f"A copy of the baseline, measured beside it, came out at {change}{spread}."
    if seen_text(judged) != "-":
        yield f"Such a gate finds a slowdown of {seen_text(judged)} or more with power 80%."


def _counted(row: GateRow, judged: Judged) -> Iterator[str]:
    base, candidate = (
        ", ".join(dict.fromkeys(value_text(row, value) for value in values))
        for values in judged.values
    )
    arms = "the baseline and its copy" if judged.twin is not None else "the baseline"
    yield f"Its processes gave {candidate}; those of {arms} gave {base}."
