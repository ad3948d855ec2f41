"""Time per op as a ratio to a baseline, paired within the round.

Within a round each cell is one fresh process; what a round's processes share cancels in their
ratio. The figure is the median of the rounds' ratios with an exact order-statistic interval,
each at the confidence of the cells' own intervals and each for itself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.analysis.metrics import CONFIDENCE
from allocphase.stats import Interval, log_ratios, median_interval
from allocphase.store.record import rounds_of

__all__ = [
    "MOSTLY_REPLAY",
    "Ratio",
    "Times",
    "both_mostly_replay",
    "default_baseline",
    "ratio",
    "times_by_round",
]

Times = npt.NDArray[np.float64]

# Of a time per op, the floor's share from which on it is mostly replay. Two such times lie between
# the floor and 1 / 0.7 of it, but for one below the floor: their ratio is 0.70 to 1.43, however
# many times as much as the other one of the allocators takes for itself.
MOSTLY_REPLAY = 0.7


@dataclass(frozen=True, slots=True)
class Ratio:
    """Time over the baseline's: more is slower. `rounds`: how many pairs it rests on.

    mostly_replay: both times are, so that the ratio hides how far apart the allocators are.
    """

    interval: Interval
    rounds: int
    mostly_replay: bool = False

    @property
    def decided(self) -> bool:
        """Whether the whole interval lies on one side of 1."""
        return self.interval.lower > 1.0 or self.interval.upper < 1.0

    @property
    def exact(self) -> bool:
        """Whether it is the baseline's ratio to itself: 1 in every round."""
        return self.interval.lower == self.interval.upper == 1.0


def default_baseline(allocators: Sequence[str]) -> str | None:
    """libc where it ran: everybody has it. Otherwise the first of the plan."""
    return "libc" if "libc" in allocators else next(iter(allocators), None)


def times_by_round(run: Run) -> dict[tuple[str, str], Times]:
    """ns per op of each (allocator, scenario), shape (rounds,); NaN where a round has none."""
    rounds = rounds_of(run.records)
    frame = run.processes
    times: dict[tuple[str, str], Times] = {}
    if frame.empty:
        return times
    good = frame[(frame["probe"] == "throughput") & (frame["status"] == "ok")]
    columns = ("allocator", "scenario", "round", "time_per_op_ns")
    for allocator, scenario, index, time_ns in zip(*(good[c] for c in columns), strict=True):
        row = times.setdefault((allocator, scenario), np.full(rounds, np.nan))
        row[index] = time_ns if 0 < time_ns < np.inf else np.nan
    return times


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
    if base is None or candidate is None:
        return None
    logs = log_ratios(base, candidate)
    rounds = int(np.isfinite(logs).sum())
    if rounds == 0:
        return None
    if base is candidate:  # also where the rounds are too few for an interval
        return Ratio(Interval(1.0, 1.0, 1.0, 1.0), rounds)
    return Ratio(median_interval(logs, confidence=CONFIDENCE).exp(), rounds, mostly_replay)
