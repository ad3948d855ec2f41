"""Statistics: pure functions from arrays of numbers to intervals, tests and verdicts.

Place in the pipeline: below analysis, judge, claim and report; knows neither processes nor files.
Values are in base units and positive, NaN is a missing one. A ratio is candidate over base and more
is worse; what is saved is base less candidate, and more is better.

The process is the only sampling unit: one process gives one number. Order statistics and signs
are used throughout, since run times are skewed and lumpy; every level and coverage is exact.

  quantile, interval, proportion    describe one sample
  matched                           arms that took turns, to one value each
  signtest, paired                  compare arms after a fixed number of rounds
  unpaired                          compares arms that were not measured together
  exact                             two counts on which all processes of a side agree
  boundary, sequential, forecast    compare arms while rounds come in
  pooled                            the signs of several hosts, in one sequence
  growth, scaling                   exponents and speed-ups of a sweep
"""

from __future__ import annotations

from allocphase.stats.forecast import Forecast
from allocphase.stats.growth import Growth, growth
from allocphase.stats.interval import Interval, median_interval
from allocphase.stats.matched import matched
from allocphase.stats.paired import (
    Comparison,
    PairedIntervals,
    Row,
    compare_rows,
    log_ratios,
    paired_intervals,
)
from allocphase.stats.proportion import proportion_interval
from allocphase.stats.quantile import quantiles
from allocphase.stats.sequential import SequentialOutcome, SequentialRank
from allocphase.stats.unpaired import Samples, compare_samples, least_processes
from allocphase.stats.values import spread
from allocphase.stats.verdict import Decision, Verdict, judge_interval

__all__ = [
    "Comparison",
    "Decision",
    "Forecast",
    "Growth",
    "Interval",
    "PairedIntervals",
    "Row",
    "Samples",
    "SequentialOutcome",
    "SequentialRank",
    "Verdict",
    "compare_rows",
    "compare_samples",
    "growth",
    "judge_interval",
    "least_processes",
    "log_ratios",
    "matched",
    "median_interval",
    "paired_intervals",
    "proportion_interval",
    "quantiles",
    "spread",
]
