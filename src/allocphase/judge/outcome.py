"""Where one row stands: the words for it, and the judgement of one session."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Annotated

from allocphase.files.typed import Chance, Count, Figure, figures
from allocphase.stats import Interval

__all__ = ["Judged", "Outcome"]

Bounded = Annotated[Interval, figures(Interval)]


class Outcome(StrEnum):
    """What the gate says of a row; all but the last come out of one session."""

    REGRESSED = "regressed"
    """Worse than the limit allows; after the gate: in two sessions."""
    IMPROVED = "improved"
    """Better by more than the limit, at the level that two sessions of "regressed" have."""
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
    """Regressed in the first session, and the second one decided that it has not."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Judged:
    """One row after some rounds of one session. Values are in the measure's unit.

    decided: no further round is needed. base, candidate: medians. ratio: candidate over base, with
    its own 95% interval, unbounded for a count on which all agree (`exact`). twin: the same of the
    baseline's copy, None where there is none. floor_spread: spread of the twin's log ratio. theta:
    what was applied, 0 for one more is worse. rounds: complete ones read; of a count, processes.
    min_detectable_ratio: what the gate finds 4 times in 5. decided_theta: of an inconclusive row,
    the limit that could be decided here. open_chance: how often noise like this leaves such a row
    inconclusive where nothing has changed. values: of each arm as measured, for counts. saved_ns:
    of times, base less candidate from the rounds of the ratio, with its own 95% interval.
    """

    outcome: Outcome
    decided: bool
    base: Figure
    candidate: Figure
    floor_spread: Figure
    theta: Figure
    min_detectable_ratio: Figure
    decided_theta: Figure
    open_chance: Chance
    ratio: Bounded
    twin: Bounded | None
    rounds: Count
    exact: bool
    values: tuple[tuple[float, ...], tuple[float, ...]] = ((), ())
    saved_ns: Bounded | None = None
