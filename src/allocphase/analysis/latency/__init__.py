"""The latency of every timed call: its distribution, what happened in it, what that explains.

  replays        the first replay of a trace, and the warm ones, taken apart
  attribution    which calls made a system call, faulted, slept or were put aside
  calls          one process's calls, grouped by kind and by what happened in them
  pooled         a cell's: all its processes together, and their quantiles
  causes         why the slowest calls were slow, and how many times more a cause costs

Place in the pipeline: after store, before metrics; reads arrays, no files.
"""

from __future__ import annotations

from allocphase.analysis.latency.attribution import (
    CAUSES,
    EVENTS,
    Rows,
    called_rows,
    causes_of,
)
from allocphase.analysis.latency.calls import ProcessCalls, process_calls, uncalled_kinds
from allocphase.analysis.latency.causes import OUTLIERS, cause_metrics, key_of, share_above
from allocphase.analysis.latency.pooled import (
    BEYOND,
    QUANTILES,
    Latencies,
    Pool,
    SampleReader,
    describe,
    malloc_quantiles,
    pool,
    without_samples,
)
from allocphase.analysis.latency.replays import Kinds, Replay, arrays_of, kinds_of

__all__ = [
    "BEYOND",
    "CAUSES",
    "EVENTS",
    "OUTLIERS",
    "QUANTILES",
    "Kinds",
    "Latencies",
    "Pool",
    "ProcessCalls",
    "Replay",
    "Rows",
    "SampleReader",
    "arrays_of",
    "called_rows",
    "cause_metrics",
    "causes_of",
    "describe",
    "key_of",
    "kinds_of",
    "malloc_quantiles",
    "pool",
    "process_calls",
    "share_above",
    "uncalled_kinds",
    "without_samples",
]
