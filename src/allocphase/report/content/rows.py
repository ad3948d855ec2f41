"""The table of one scenario, in text: the same columns for the page and for report.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from allocphase.analysis.cell import Cell
from allocphase.report.content.ratios import MOSTLY_REPLAY, Ratio
from allocphase.report.content.values import (
    at_clock_floor,
    by_time,
    format_percent,
    format_rate,
    format_share,
    quantile_ns,
)
from allocphase.text.units import MISSING, format_bytes, format_count, format_ns, format_ratio

__all__ = [
    "AT_MOST",
    "COLUMNS",
    "REPLAY_LEGEND",
    "Row",
    "Value",
    "interval_text",
    "ratio_text",
    "rows",
]

# Before a time that is what reading the clock costs.
AT_MOST = "≤ "
# Before a ratio whose interval holds 1, and after one of two times that are mostly replay.
UNDECIDED, REPLAY_MARK = "~", "*"
REPLAY_LEGEND = (
    f"{REPLAY_MARK} both are mostly replay ({MOSTLY_REPLAY:.0%} and more): compare nanoseconds "
    "above the floor, not ratios"
)

# Name and hint.
COLUMNS = (
    ("allocator", ""),
    ("time/op", "median over processes; the dot's bar is its interval, the dashed line the floor"),
    ("replay", "of that time, what the replay takes by itself: the null allocator's"),
    ("ratio", "time over the baseline's, paired by round"),
    ("interval", "of the ratio"),
    ("malloc p50", "median latency of malloc; at most so much where it is the clock's own"),
    ("p99", "of malloc"),
    ("p99.9", "of malloc"),
    ("max", "of malloc"),
    ("sys/op", "system calls an operation"),
    ("faults", "page faults of one pass, in calls and at the first touch"),
    ("peak RSS", "growth of resident memory"),
    ("frag", "fragmentation: peak RSS over peak live bytes, less 1"),
)


@dataclass(frozen=True, slots=True)
class Value:
    """`sort`: the number in base units to sort by, as text; empty sorts last."""

    text: str
    sort: str
    name: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One allocator's figures; `values` are those of COLUMNS without the first."""

    allocator: str
    values: tuple[Value, ...]


def rows(cells: Sequence[Cell], found: Mapping[str, Ratio | None]) -> list[Row]:
    """Fastest first."""
    return [Row(c.allocator, _values(c, found.get(c.allocator))) for c in by_time(cells)]


def _values(cell: Cell, ratio: Ratio | None) -> tuple[Value, ...]:
    metrics = cell.metrics
    time_ns, share = metrics.get("time_per_op_ns"), metrics.get("replay_share")
    estimate = None if ratio is None else ratio.interval.estimate
    latencies = [quantile_ns(metrics, "malloc", q) for q in ("p50", "p99", "p99_9", "max")]
    texts = [format_ns(value) for value in latencies]
    texts[0] = f"{AT_MOST * ('malloc' in at_clock_floor(cell))}{texts[0]}"
    calls, faults = metrics.get("syscalls_per_op"), metrics.get("page_faults")
    rss, fragmentation = metrics.get("peak_rss_bytes"), metrics.get("fragmentation")
    return (
        Value(format_ns(time_ns) if cell.ok else cell.status, _sort(time_ns)),
        Value(format_percent(share), _sort(share)),
        Value(ratio_text(ratio), _sort(estimate), "ratio"),
        Value(interval_text(ratio), _sort(estimate), "interval"),
        *(Value(text, _sort(value)) for text, value in zip(texts, latencies, strict=True)),
        Value(format_rate(calls), _sort(calls)),
        Value(format_count(faults), _sort(faults)),
        Value(format_bytes(rss), _sort(rss)),
        Value(format_share(fragmentation), _sort(fragmentation)),
    )


def _sort(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{float(value):.9g}"


def ratio_text(ratio: Ratio | None) -> str:
    """ "~" marks a ratio whose interval holds 1 or is unbounded, "*" one of mostly replay."""
    if ratio is None:
        return MISSING
    text = format_ratio(ratio.interval.estimate)
    if not ratio.decided and not ratio.exact:
        text = f"{UNDECIDED}{text}"
    if ratio.mostly_replay:
        text = f"{text}{REPLAY_MARK}"
    return text


def interval_text(ratio: Ratio | None) -> str:
    """ "0.97 to 1.04x", or that there are too few rounds for one."""
    if ratio is None or ratio.exact:
        return MISSING
    if not ratio.interval.bounded:
        return "too few rounds"
    low = format_ratio(ratio.interval.lower).removesuffix("x")
    return f"{low} to {format_ratio(ratio.interval.upper)}"
