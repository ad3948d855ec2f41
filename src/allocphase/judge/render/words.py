"""The pieces that every rendering shares: a row's figures and its reason, as text."""

from __future__ import annotations

import math

from allocphase.judge.openness import Openness
from allocphase.judge.outcome import Judged, Outcome
from allocphase.judge.verdict import Failure, GateRow, GateVerdict
from allocphase.stats import Interval
from allocphase.text.line import plain
from allocphase.text.saved import saved_phrase
from allocphase.text.units import MISSING, counted, format_in, format_ns, format_ns_range

__all__ = [
    "LEGEND",
    "change_text",
    "failure_text",
    "headline",
    "interval_text",
    "limit_text",
    "open_text",
    "percent",
    "reason",
    "saved_sentence",
    "saved_texts",
    "seen_text",
    "suggestion",
    "value_text",
]


LEGEND = (
    "change: median of the rounds' ratios, and its own 95% interval; time saved: of their "
    "differences, baseline less candidate, likewise, below 0 it costs so much more; sees: the "
    "least slowdown that this gate finds 4 times in 5."
)

_VERBS = {
    3: "The candidate is worse.",
    5: "Something that was planned was not measured.",
    4: "These rounds cannot tell.",
    0: "Nothing is worse.",
}


def failure_text(failure: Failure) -> str:
    """ "candidate on random-churn, verify: crashed: killed by SIGSEGV." """
    where = f"{failure.arm} on {failure.scenario}, {failure.probe}"
    return plain(f"{where}: {failure.status}: {failure.message}").rstrip(": ")


def value_text(row: GateRow, value: float) -> str:
    """A value in the row's unit."""
    return format_in(row.row.measure.unit, value)


def percent(share: float, *, signed: bool = False) -> str:
    """0.0123 -> "1.2%"; two digits at least."""
    if math.isnan(share):
        return "-"
    if math.isinf(share):
        return "any" if share > 0 else "none"
    scaled = 100.0 * share
    # What is left of a hundredfold gain is in the decimals.
    coarse = abs(scaled) >= 10 and not -100 < scaled < -99
    digits = 0 if coarse else 1 if abs(scaled) >= 1 else 2
    text = f"{scaled:+.{digits}f}%" if signed else f"{scaled:.{digits}f}%"
    return "0%" if float(text.rstrip("%")) == 0.0 else text


def change_text(judged: Judged) -> str:
    """By how much the candidate is above the baseline: "+5.1%"; what came from nothing: "new"."""
    if judged.ratio.estimate == math.inf or (judged.base == 0.0 and judged.candidate > 0.0):
        return "new"
    return percent(judged.ratio.estimate - 1.0, signed=True)


def interval_text(found: Interval) -> str:
    """ "+4.2% to +6.1%"; "-" where a side is open."""
    sides = (found.lower, found.upper)
    if not all(math.isfinite(side) for side in sides):
        return "-"
    low, high = (percent(side - 1.0, signed=True) for side in sides)
    return f"{low} to {high}"


def saved_texts(saved_ns: Interval | None) -> tuple[str, str]:
    """ "-0.52 ns" and "-0.63 to -0.40 ns", for columns that say so; "-" of counts, and of an
    interval that is open.
    """
    if saved_ns is None:
        return MISSING, MISSING
    bounds = format_ns_range(saved_ns.lower, saved_ns.upper) if saved_ns.bounded else MISSING
    return format_ns(saved_ns.estimate), bounds


def saved_sentence(judged: Judged) -> str:
    """ "costs 0.52 ns (0.40 to 0.63 ns)"; empty of counts."""
    found = judged.saved_ns
    return "" if found is None else saved_phrase(found.estimate, found.lower, found.upper)


def limit_text(judged: Judged) -> str:
    """ "exact", or the share that was applied."""
    return percent(judged.theta) if judged.theta else "exact"


def seen_text(judged: Judged) -> str:
    """The least slowdown that such rounds would have shown; "-" for counts."""
    found = judged.min_detectable_ratio
    return percent(found - 1.0) if math.isfinite(found) else "-"


def reason(row: GateRow) -> str:
    """One line: what was found and why that is the outcome."""
    first = row.first
    figures = f"{value_text(row, first.base)} -> {value_text(row, first.candidate)}"
    limit = f"limit {limit_text(first)}"
    if saved := saved_sentence(row.again or first):
        limit = f"{'again ' if row.again else ''}{saved}, {limit}"
    if row.outcome is Outcome.NOT_MEASURED:
        return "planned, but there is no value of both sides"
    if row.outcome is Outcome.INCONCLUSIVE:
        return f"{figures} ({change_text(first)}), {limit}: {suggestion(row)}"
    if row.outcome is Outcome.UNCONFIRMED and row.again:
        return f"{change_text(first)} at first, {change_text(row.again)} when measured again"
    again = f", again {change_text(row.again)}" if row.again else ""
    return f"{figures} ({change_text(first)}{again}), {limit}"


def suggestion(row: GateRow) -> str:
    """What would decide an inconclusive row here."""
    if row.flagged:
        return "flagged, and neither confirmed nor cleared: more rounds would tell"
    theta = row.first.decided_theta
    if not math.isfinite(theta):
        return "more rounds would tell"
    share = percent(math.ceil(100.0 * theta) / 100.0)
    limit = f"{row.row.measure.name}={share}:{row.row.scenario}"
    return f"--limit {limit} would be decided here"


def open_text(found: Openness) -> str:
    """How many rows stayed open, and how many noise explains."""
    rows = f"{counted(found.rows, 'row')} stayed open"
    if found.blind:
        return f"{rows}: more than half of the times, so that this session has not looked"
    explained = f"noise like today's explains {found.expected:.1f}"
    return f"{rows}; {explained}" + (", which is too few" if found.too_many else "")


def headline(verdict: GateVerdict) -> str:
    """ "allocphase gate: regressed: 2 of 14 rows. The candidate is worse." """
    failing = sum(row.fails for row in verdict.rows)
    rows = counted(len(verdict.rows), "row")
    rows = f"{failing} of {rows}" if failing else rows
    broken = len(verdict.failures)
    processes = f", {counted(broken, 'process')} failed" if broken else ""
    return f"{verdict.word}: {rows}{processes}. {_VERBS[verdict.exit_code]}"
