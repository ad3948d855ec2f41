"""The table of one scenario, in text: the same columns for the page and for report.md."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.analysis.measures import Measure
from allocphase.analysis.metric_names import measure
from allocphase.report.content.ratios import MOSTLY_REPLAY, Ratio
from allocphase.report.content.values import (
    at_clock_floor,
    by_time,
    ranged_text,
)
from allocphase.text.saved import saved_bounds, saved_words
from allocphase.text.units import MISSING, format_ns, format_ns_range, format_ratio

__all__ = [
    "AT_MOST",
    "COLUMNS",
    "PROGRAM_COLUMNS",
    "REPLAY_LEGEND",
    "Row",
    "Value",
    "bounds_below",
    "interval_text",
    "program_rows",
    "ratio_text",
    "rows",
    "saved_below",
    "saved_interval_text",
    "saved_text",
]

# Before a time that is what reading the clock costs.
AT_MOST = "≤ "
# Before a ratio whose interval holds 1, or a difference whose interval holds 0; and after a ratio
# of two times that are mostly replay.
UNDECIDED, REPLAY_MARK = "~", "*"
TOO_FEW = "too few rounds"
# Of counts: all processes agree; the baseline has none of them; there was no second process.
EXACT, FROM_NOTHING, ONE_PROCESS = "exact", "from 0", "one process"
REPLAY_LEGEND = (
    f"{REPLAY_MARK} both are mostly replay ({MOSTLY_REPLAY:.0%} and more): compare nanoseconds "
    "saved, not ratios"
)

# The metrics that have a column: before those of the ratio, and after.
_TIMES = tuple(measure(name) for name in ("time", "replay_share"))
_LATENCIES = tuple(measure(f"latency.malloc.{name}") for name in ("p50", "p99", "p99_9", "max"))
_COUNTS = tuple(
    measure(name) for name in ("syscalls_per_op", "page_faults", "peak_rss", "fragmentation")
)
# By metric, where the title says too little for a column.
_HINTS = {
    "time": "median over processes; the dot's bar is its interval, the dashed line the floor",
    "replay_share": "of that time, what the replay takes by itself: the null allocator's",
    "latency.malloc.p50": "median latency of malloc; at most so much where it is the clock's own",
    **dict.fromkeys((one.name for one in _LATENCIES[1:]), "of malloc"),
    "page_faults": "page faults of one replay, in calls and at the first touch",
    "peak_rss": "growth of resident memory",
}
_HEADINGS = {"latency.malloc.p50": "malloc p50"}


def _column(one: Measure) -> tuple[str, str]:
    return _HEADINGS.get(one.name, one.heading), _HINTS.get(one.name, one.title)


# Name and hint.
COLUMNS = (
    ("allocator", ""),
    *map(_column, _TIMES),
    ("ratio", "time over the baseline's, and nanoseconds an operation saved, paired by round"),
    ("interval", "of the ratio, and of the nanoseconds"),
    *map(_column, (*_LATENCIES, *_COUNTS)),
)


# Of programs: those of its times before the ratio, and the rest.
_WALL = measure("wall")
_OF_PROGRAMS = tuple(
    measure(name)
    for name in (
        "cpu",
        "system",
        "context_switches",
        "program_peak_rss",
        "program_page_faults",
        "program_syscalls",
        "program_memory_syscalls",
        "largest_process_usable",
        "malloc_calls",
        "processes",
    )
)
PROGRAM_COLUMNS = (
    ("allocator", ""),
    (_WALL.heading, "median over processes; the dot's bar is its interval"),
    ("ratio", "wall time over the baseline's, and what is saved, paired by round"),
    ("interval", "of the ratio, and of what is saved"),
    *((one.heading, one.title) for one in _OF_PROGRAMS),
)


@dataclass(frozen=True, slots=True)
class Value:
    """`sort`: the number in base units to sort by, as text; empty sorts last. below: what stands
    under the text, or after it where there is one line.
    """

    text: str
    sort: str
    name: str = ""
    below: str = ""


@dataclass(frozen=True, slots=True)
class Row:
    """One allocator's figures; `values` are those of COLUMNS without the first, of a program those
    of PROGRAM_COLUMNS.
    """

    allocator: str
    values: tuple[Value, ...]


def rows(cells: Sequence[Cell], found: Mapping[str, Ratio | None]) -> list[Row]:
    """Fastest first."""
    return [Row(c.allocator, _values(c, found.get(c.allocator))) for c in by_time(cells)]


def program_rows(cells: Sequence[Cell], found: Mapping[str, Ratio | None]) -> list[Row]:
    """The same of a program."""
    return [Row(c.allocator, _of_program(c, found.get(c.allocator))) for c in by_time(cells)]


def _of_program(cell: Cell, ratio: Ratio | None) -> tuple[Value, ...]:
    return (
        _time(cell, _WALL),
        *_of_ratio(ratio),
        *(_value(one, cell.metrics) for one in _OF_PROGRAMS),
    )


def _time(cell: Cell, one: Measure) -> Value:
    """What a cell that did not end well has in the place of it is its status."""
    found = _value(one, cell.metrics)
    return found if cell.ok else replace(found, text=cell.status)


def _of_ratio(ratio: Ratio | None) -> tuple[Value, Value]:
    """The ratio and its interval, with what is saved below."""
    sort = _sort(None if ratio is None else ratio.interval.estimate)
    return (
        Value(ratio_text(ratio), sort, "ratio", saved_below(ratio)),
        Value(interval_text(ratio), sort, "interval", bounds_below(ratio)),
    )


def _values(cell: Cell, ratio: Ratio | None) -> tuple[Value, ...]:
    metrics = cell.metrics
    time, share = _TIMES
    median, *tail = (_value(one, metrics) for one in _LATENCIES)
    if "malloc" in at_clock_floor(cell):
        median = replace(median, text=f"{AT_MOST}{median.text}")
    return (
        _time(cell, time),
        _value(share, metrics),
        *_of_ratio(ratio),
        median,
        *tail,
        *(_value(one, metrics) for one in _COUNTS),
    )


def _value(one: Measure, metrics: Mapping[str, Any]) -> Value:
    return Value(ranged_text(one, metrics), _sort(one.read(metrics)))


def _sort(value: float | None) -> str:
    return "" if value is None or math.isnan(value) else f"{float(value):.9g}"


def ratio_text(ratio: Ratio | None) -> str:
    """ "~" marks a ratio whose interval holds 1 or is unbounded, "*" one of mostly replay."""
    if ratio is None:
        return MISSING
    if math.isinf(ratio.interval.estimate):
        return FROM_NOTHING
    text = format_ratio(ratio.interval.estimate)
    if not ratio.decided and not ratio.exact:
        text = f"{UNDECIDED}{text}"
    if ratio.mostly_replay:
        text = f"{text}{REPLAY_MARK}"
    return text


def interval_text(ratio: Ratio | None) -> str:
    """ "0.97 to 1.04x", or that there are too few rounds for one, or that a count needs none."""
    if ratio is None or (ratio.exact and not ratio.counted):
        return MISSING
    if ratio.counted and ratio.interval.lower == ratio.interval.upper:
        return EXACT
    if ratio.counted and math.isinf(ratio.interval.upper):
        return FROM_NOTHING if ratio.interval.lower else ONE_PROCESS
    if not ratio.interval.bounded:
        return TOO_FEW
    low = format_ratio(ratio.interval.lower).removesuffix("x")
    return f"{low} to {format_ratio(ratio.interval.upper)}"


def saved_below(ratio: Ratio | None) -> str:
    """Under a ratio: "saves 3.14 ns", "costs ~3.14 ns"; nothing of the baseline or of a mean."""
    if ratio is None or ratio.saved_ns is None or ratio.exact:
        return ""
    return saved_words(ratio.saved_ns.estimate, undecided=not ratio.decided)


def bounds_below(ratio: Ratio | None) -> str:
    """Under a ratio's interval that of the nanoseconds; where that one says why not, nothing."""
    if ratio is None or ratio.saved_ns is None or ratio.exact:
        return ""
    found = ratio.saved_ns
    return saved_bounds(found.estimate, found.lower, found.upper)


def saved_text(ratio: Ratio | None) -> str:
    """In a column of that name: "3.14 ns", "-3.14 ns" where it takes longer; "~" before what cannot
    be told from nothing.
    """
    if ratio is None or ratio.saved_ns is None:
        return MISSING
    text = format_ns(ratio.saved_ns.estimate)
    return text if ratio.decided or ratio.exact else f"{UNDECIDED}{text}"


def saved_interval_text(ratio: Ratio | None) -> str:
    """ "2.81 to 3.40 ns", or that there are too few rounds for one."""
    if ratio is None or ratio.saved_ns is None or ratio.exact:
        return MISSING
    if not ratio.saved_ns.bounded:
        return TOO_FEW
    return format_ns_range(ratio.saved_ns.lower, ratio.saved_ns.upper)
