"""A figure as a ratio to a baseline's, and of times what is saved (analysis.baseline)."""

from __future__ import annotations

from dataclasses import dataclass

from allocphase.analysis.baseline import Times, against
from allocphase.stats import Interval

__all__ = ["MOSTLY_REPLAY", "Ratio", "both_mostly_replay", "ratio"]

# Of a time per op, the floor's share from which on it is mostly replay. Two such times lie between
# the floor and 1 / 0.7 of it, but for one below the floor: their ratio is 0.70 to 1.43, however
# many times as much as the other one of the allocators takes for itself.
MOSTLY_REPLAY = 0.7


@dataclass(frozen=True, slots=True)
class Ratio:
    """A figure over the baseline's: more is slower, or dearer. `rounds`: of how many
    pairs it is.

    mostly_replay: both times are, so that the ratio hides how far apart the allocators are.
    saved_ns: the baseline's time less this one, an operation; None of a mean over scenarios, which
    a single slow one would decide, and of what is no time. Its interval holds 0 where the ratio's
    holds 1. counted: of counts, whose interval lies between the ends of their ranges; infinite over
    none.
    """

    interval: Interval
    rounds: int
    mostly_replay: bool = False
    saved_ns: Interval | None = None
    counted: bool = False

    @property
    def decided(self) -> bool:
        """Whether the whole interval lies on one side of 1."""
        return self.interval.lower > 1.0 or self.interval.upper < 1.0

    @property
    def exact(self) -> bool:
        """Whether it is the baseline's ratio to itself: 1 in every round; or of equal counts."""
        return self.interval.lower == self.interval.upper == 1.0


def both_mostly_replay(base_share: float | None, candidate_share: float | None) -> bool:
    """Whether of both times the replay takes MOSTLY_REPLAY or more; a share may be unknown."""
    return all(
        share is not None and share >= MOSTLY_REPLAY for share in (base_share, candidate_share)
    )


def ratio(
    base: Times | None, candidate: Times | None, *, mostly_replay: bool = False
) -> Ratio | None:
    """None where no round has both; the baseline itself (the same array) has exactly 1.

    mostly_replay: of both times; the baseline's own 1 hides nothing.
    """
    found = against(base, candidate)
    if found is None:
        return None
    return Ratio(
        interval=found.ratio,
        rounds=found.pairs,
        mostly_replay=mostly_replay and base is not candidate,
        saved_ns=found.saved,
    )
