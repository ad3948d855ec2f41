"""Why the slowest calls were slow, and what a cause costs: shares and ratios of a cell.

All timed calls count, of every kind, pooled over the latency processes of a cell. A call is an
outlier above a quantile if it took strictly longer than the quantile's value: of equal calls
either all are, or none.

Of a long trace only the slowest calls are known one by one. A figure that would need the others
is None: the shares above a quantile that lies below the fastest call that was kept, and a median
that does.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from allocphase.analysis.latency.attribution import CAUSES, EVENTS
from allocphase.analysis.latency.calls import ProcessCalls, Weighted, merged
from allocphase.analysis.latency.pooled import QUANTILES, Latencies, is_told
from allocphase.probe.arrays import PARTS
from allocphase.stats.quantile import Ordered

__all__ = ["OUTLIERS", "cause_metrics", "key_of", "share_above"]

# The quantiles above which a call is an outlier.
OUTLIERS = {name: QUANTILES[name] for name in ("p99", "p99_9", "p99_99")}
NEITHER = CAUSES[-1]
# From a bucket's middle to the next one's, at most.
ONE_BUCKET = 1 + 1 / PARTS
# Seen in another process than the time. Threads meet elsewhere in each process, and a call that
# waited in one makes its system call at another place: no cost can be told from such a join.
JOINED = CAUSES[0]

# Of each cause, its calls that are known one by one; and of how many calls in all.
Known = Mapping[str, Weighted]


def key_of(cause: str) -> str:
    """A cause as metrics name it: "system call" -> "system_call"."""
    return cause.replace(" ", "_")


def cause_metrics(found: Latencies, *, prefix: str = "") -> dict[str, Any]:
    """`outlier_causes`, `cause_calls`, `cause_cost_ratio` (docs/schema.md), with a prefix each;
    none without causes.
    """
    if found.known is None or found.by_cause is None:
        return {}
    counts = found.by_cause
    everything, total = merged(list(found.known.values())), sum(counts.values())
    medians = {cause: _median(found, cause) for cause in CAUSES}
    return {
        f"{prefix}outlier_causes": {
            name: _shares(found.known, _quantile(everything, total, q, found.complete_above_ns))
            if is_told(total, q)
            else None
            for name, q in OUTLIERS.items()
        },
        f"{prefix}cause_calls": {key_of(cause): counts[cause] for cause in CAUSES},
        f"{prefix}cause_cost_ratio": {
            key_of(cause): _ratio(medians[cause], medians[NEITHER])
            if cause != JOINED or found.threads == 1
            else None
            for cause in CAUSES[:-1]
        },
    }


def _quantile(known: Weighted, total: int, q: float, complete_above_ns: float) -> float | None:
    """Of `total` calls, of which those slower than a time are known; None below that time."""
    values, counts = known
    unknown = total - int(counts.sum())  # all of them below: as good as no time at all
    value = Ordered.of(np.append(values, 0.0), np.append(counts, unknown)).quantile(q)
    return value if value >= complete_above_ns else None


def _shares(known: Known, above_ns: float | None) -> dict[str, float] | None:
    if above_ns is None:
        return None
    counts = {cause: _count_above(pair, above_ns) for cause, pair in known.items()}
    total = sum(counts.values())
    if not total:  # all of the slowest took equally long
        return None
    shares = {key_of(cause): counts[cause] / total for cause in CAUSES}
    return {"above_ns": above_ns, "calls": total, **shares}


def _count_above(pair: Weighted, above_ns: float) -> int:
    values, counts = pair
    return int(counts[values > above_ns].sum())


# ---- What a cause costs ------------------------------------------------------------------


def _median(found: Latencies, cause: str) -> float | None:
    assert found.known is not None and found.by_cause is not None
    known, total = found.known[cause], found.by_cause[cause]
    value = _quantile(known, total, 0.5, found.complete_above_ns)
    if value is None and cause == NEITHER and total:
        return _median_between(found, total)
    return value


def _median_between(found: Latencies, total: int) -> float | None:
    """The median of the calls without a cause, from the histograms of all calls.

    The other calls of which no time is known may all lie below it or all above: where that makes
    no difference but that between neighbours, the median is known.
    """
    assert found.known is not None and found.by_cause is not None
    everything = Ordered.of(*merged(list(found.by_kind.values())))
    with_cause = everything.size - total
    unknown = with_cause - sum(int(found.known[c][1].sum()) for c in CAUSES[:-1])
    rank = math.ceil(total / 2)
    low, high = everything.at_rank(rank), everything.at_rank(rank + unknown)
    return low if high <= low * ONE_BUCKET else None


def _ratio(median_ns: float | None, without_ns: float | None) -> float | None:
    return None if median_ns is None or not without_ns else median_ns / without_ns


# ---- One process -------------------------------------------------------------------------


def share_above(calls: ProcessCalls, *, kind: str, above_ns: float, event: str) -> float | None:
    """Of one process's calls of a kind that took longer, the share in which the event happened.

    event: of attribution.EVENTS. None where no call took longer, or not all that did are known.
    """
    if above_ns < calls.complete_above_ns:
        return None
    bit = 1 << EVENTS.index(event)
    slow = {bits: _count_above(pair, above_ns) for (k, bits), pair in calls.groups.items()
            if k == kind}  # fmt: skip
    total = sum(slow.values())
    return sum(n for bits, n in slow.items() if bits & bit) / total if total else None
