"""Times per operation held against a baseline's, paired within the round.

Within a round each cell is one fresh process. A factor that a round's processes share cancels in
their ratio, an addend in their difference: so what an allocator saves does not depend on how much
else is done beside it, the replay or a program's own work, while the ratio does. Each figure is the
median over the rounds with an exact order-statistic interval, at the confidence of the cells' own
intervals and each for itself.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from allocphase.analysis.metrics import CONFIDENCE, process_time_ns
from allocphase.probe.probe import Probe
from allocphase.stats import Interval, PairedIntervals, paired_intervals
from allocphase.store.record import ProcessRecord, rounds_of

__all__ = ["Times", "against", "default_baseline", "times_by_round"]

# ns per operation, shape (rounds,), NaN where a round has none.
Times = npt.NDArray[np.float64]

# In this order: a gate's own arm, and what everybody has.
_DEFAULTS = ("baseline", "libc")
_NOTHING = Interval(0.0, 0.0, 0.0, 1.0)


def default_baseline(allocators: Sequence[str]) -> str | None:
    """A gate's own, libc where it ran, otherwise the first of the plan."""
    present = [name for name in _DEFAULTS if name in allocators]
    return next(iter([*present, *allocators]), None)


def times_by_round(records: Sequence[ProcessRecord]) -> dict[tuple[str, str], Times]:
    """Of each (allocator, scenario) that has a good process of throughput, or of a program: of
    that the wall times.
    """
    rounds = rounds_of(records)
    times: dict[tuple[str, str], Times] = {}
    for record in records:
        if record.probe in (Probe.THROUGHPUT, Probe.PROGRAM) and record.ok:
            key = (record.allocator, record.scenario)
            row = times.setdefault(key, np.full(rounds, np.nan))
            time_ns = process_time_ns(record)
            row[record.round] = time_ns if 0 < time_ns < np.inf else np.nan
    return times


def against(base: Times | None, candidate: Times | None) -> PairedIntervals | None:
    """None where no round has both. The baseline itself (the same array) has a ratio of exactly 1
    and saves exactly nothing, also where the rounds are too few for an interval.
    """
    if base is None or candidate is None:
        return None
    found = paired_intervals(base, candidate, confidence=CONFIDENCE)
    if found.pairs == 0:
        return None
    return PairedIntervals(_NOTHING, _NOTHING, found.pairs) if base is candidate else found
