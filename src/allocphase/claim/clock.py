"""Latencies without the clock that took them, and how far the clock leaves them open.

A latency is the difference of two readings: it has the cost of a pair in it, and lies on a step of
the clock, so that the call took up to a step less or more. On a ratio of latencies both bear: with
20 ns for a pair and steps of 10 ns, 90 ns over 40 ns are not 2.25x but 70 ns over 20 ns, 3.5x, and
of that no more is known than 60 over 30 to 80 over 10.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.analysis.metrics import CONFIDENCE
from allocphase.claim.missing import Missing
from allocphase.stats import Interval, log_ratios, median_interval
from allocphase.stats.values import FloatArray, median
from allocphase.text.units import format_ns

__all__ = ["CLOCKS_OWN", "Clocked", "ratio_of"]

# A latency to divide by is the clock's own below so many times the cost of a pair of readings. At
# that, two thirds of it are the call's; these are two costs, so at least two steps (what a pair
# costs is never given as less than a step), and a step either way moves them by half at most.
CLOCKS_OWN = 3.0


@dataclass(frozen=True, slots=True, eq=False)
class Clocked:
    """A time by round, in ns. All arrays: shape (rounds,), NaN where a round has none.

    name: of the metric and its cell. raw_ns: as measured. cost_ns: of a pair of readings in that
    process. step_ns: the clock's. Both 0 for a time that no clock was read for call by call.
    """

    name: str
    raw_ns: FloatArray
    cost_ns: FloatArray
    step_ns: FloatArray

    @property
    def net_ns(self) -> FloatArray:
        """The call's part: at least a step, since less cannot be told from nothing."""
        return np.maximum(self.raw_ns - self.cost_ns, self.step_ns)

    def check(self) -> None:
        """Raises Missing where the figure is the clock's own: nothing can be divided by it."""
        raw_ns, cost_ns, step_ns = map(median, (self.raw_ns, self.cost_ns, self.step_ns))
        if raw_ns < CLOCKS_OWN * cost_ns:
            raise Missing(
                f"the median is the clock's: {self.name} is {format_ns(raw_ns)}, where reading the "
                f"clock takes {format_ns(cost_ns)}, in steps of {format_ns(step_ns)}"
            )


def ratio_of(over: Clocked, under: Clocked) -> Interval:
    """The median over rounds of the ratio within the round, without the clock's cost.

    The step goes into each round's ratio, before the interval is taken. Processes on one clock
    may all be rounded the same way, so that it does not average out over rounds as noise does; and
    an order statistic of lower bounds is a lower bound of that order statistic. So the interval
    from the rounds' least ratios to their greatest holds at the confidence that it states, whatever
    the rounding was. Taken of each side's interval instead, rounds would be no longer paired.

    Raises Missing where no round has both, or what is divided by is the clock's own.
    """
    under.check()
    middle = median_interval(log_ratios(under.net_ns, over.net_ns), confidence=CONFIDENCE).exp()
    if np.isnan(middle.estimate):
        raise Missing("no round has both figures")
    least = (over.net_ns - over.step_ns) / (under.net_ns + under.step_ns)
    # Of the greatest its inverse, which is 0 and not infinite where a step is all that there is.
    inverse = (under.net_ns - under.step_ns) / (over.net_ns + over.step_ns)
    lower = median_interval(least, confidence=CONFIDENCE).lower
    from_above = median_interval(inverse, confidence=CONFIDENCE).lower
    return Interval(
        estimate=middle.estimate,
        lower=max(lower, 0.0),
        upper=1.0 / from_above if from_above > 0.0 else np.inf,
        confidence=middle.confidence,
    )
