"""Where one row stands: the words for it, and the judgement of one session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from allocphase.files.typed import Count, Figure, figures
from allocphase.stats import Interval

__all__ = ["Judged", "Outcome"]

Ratio = Annotated[Interval, figures(Interval)]


class Outcome(StrEnum):
    """What the gate says of a row; the first five come out of one session."""

    REGRESSED = "regressed"
    """Worse than the limit allows; after the gate: in two sessions."""
    IMPROVED = "improved"
    """Better by more than the limit."""
    UNCHANGED = "unchanged"
    """The whole interval lies within the limit both ways, or the counts are equal."""
    NOT_WORSE = "not worse"
    """Within the limit; whether it is better was not decided."""
    UNDECIDED = "undecided"
    """Too near the limit to tell, but more than twice the limit is excluded."""
    INCONCLUSIVE = "inconclusive"
    """The rounds do not tell, and do not exclude twice the limit either."""
    NOT_MEASURED = "not measured"
    """Planned, and without values."""
    UNCONFIRMED = "not confirmed"
    """Regressed in the first session, not in the second."""
    INVALID = "invalid"
    """Regressed in a session that tells copies of the baseline apart."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One row after some rounds of one session. Values are in the measure's unit.

    decided: no further round is needed. base, candidate: medians. ratio: candidate over base;
    for a count without a sampling interval its sides are infinite or those of the extremes.
    twin: the same of the baseline's copy, None where there is none. twin_moved: it passes for a
    change by the candidate's own test. floor_spread: spread of the twin's log ratio. theta: what
    was applied, 0 for exact. varies: the count differs between copies of the baseline.
    values: of each arm as measured, for counts, in order of the rounds.
    """

    outcome: Outcome
    decided: bool
    base: Figure
    candidate: Figure
    floor_spread: Figure
    theta: Figure
    min_detectable_ratio: Figure
    ratio: Ratio
    twin: Ratio | None
    twin_moved: bool
    pairs: Count
    varies: bool
    values: tuple[tuple[float, ...], tuple[float, ...]]
