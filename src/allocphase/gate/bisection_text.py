"""What came of a bisection, as lines."""

from __future__ import annotations

from allocphase.gate.bisection import Bisection
from allocphase.judge import GateVerdict, Outcome, candidates_own
from allocphase.judge.render.words import failure_text, headline, reason

__all__ = ["bisection_lines"]


def bisection_lines(found: Bisection) -> list[str]:
    """What was skipped, the answer, and the rows that are worse there."""
    lines = [f"skipped {one.commit}: {one.reason}" for one in found.skipped]
    if found.worse is None:
        return [*lines, f"{found.bad} against {found.good}: {headline(found.verdict)}"]
    if found.suspects:
        lines += [f"one of these is the first that is worse than {found.good}:"]
        lines += [f"  {commit}" for commit in (*found.suspects, found.worse)]
    else:
        lines += [f"{found.worse.id} is the first that is worse than {found.good}"]
        lines += [f"  {found.worse.subject}"]
    return [*lines, *(f"  {row}" for row in _worse_rows(found.verdict))]


def _worse_rows(verdict: GateVerdict) -> list[str]:
    broken = [failure_text(one) for one in candidates_own(verdict.failures)]
    worse = [row for row in verdict.rows if row.fails and row.outcome is Outcome.REGRESSED]
    return broken + [f"{row.id}: {reason(row)}" for row in worse]
