"""Reading figures out of cells, and those scales that only reports need."""

from __future__ import annotations

import math
import shlex
import textwrap
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import PurePath
from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.analysis.measures import Measure
from allocphase.store.manifest import RecordingEntry, ScenarioEntry
from allocphase.text.units import (
    MISSING,
    counted,
    format_bytes,
    format_count,
    format_ns,
    format_ratio,
)

__all__ = [
    "at_clock_floor",
    "by_time",
    "figure_text",
    "format_percent",
    "format_rate",
    "format_share",
    "kept_share",
    "operations_text",
    "ranged_text",
    "recording_text",
    "with_range",
    "workload_text",
]

# Of a command that stands in a line.
MOST_LETTERS = 60

# Operations that are no call, or not of every allocator; the time per operation is over them too.
_UNCALLED = {"write": "writes", "sync": "syncs of threads", "free_foreign": "foreign frees"}


def by_time(cells: Iterable[Cell]) -> list[Cell]:
    """Fastest first; cells without a time last, in their own order."""
    return sorted(cells, key=lambda cell: cell.time_ns or math.inf)


def workload_text(scenario: ScenarioEntry) -> str:
    """What it does in a few words: its operations, or the command of a program."""
    if scenario.benchmark is not None:
        return f"a benchmark of {scenario.benchmark.tool}, imported from {scenario.benchmark.file}"
    if scenario.recording is not None:
        return f"{recording_text(scenario.recording)}: {operations_text(scenario)}"
    if scenario.program is None:
        return operations_text(scenario)
    return f"program: {textwrap.shorten(shlex.join(scenario.program.command), MOST_LETTERS)}"


def recording_text(recording: RecordingEntry) -> str:
    """ "recorded from jq . big.json on 2026-11-28 under libc.so.6, 1 thread, replayed asap; held
    against its program: time: predicted within 12%": what a trace file says of its origin, and
    what was found of it.
    """
    command = textwrap.shorten(shlex.join(recording.command), MOST_LETTERS)
    text = f"recorded from {command}" if command else "from a trace file"
    if recording.recorded:
        text += f" on {recording.recorded[:10]}"
    if recording.allocator:
        text += f" under {PurePath(recording.allocator).name}"
    mode = "paced" if recording.paced else "asap"
    text += f", {counted(recording.threads, 'thread')}, replayed {mode}"
    if not recording.labels:
        return f"{text}; nobody has held this replay against its program (`allocphase validate`)"
    return f"{text}; held against its program: {'; '.join(recording.labels)}"


def operations_text(scenario: ScenarioEntry) -> str:
    """ "49,163 operations, 17,000 of them writes, paced: 25 ns of work between calls": what
    run.json says of a scenario's trace.
    """
    text, counts = counted(scenario.operations, "operation"), _uncalled(scenario)
    if counts:
        text += f", {' and '.join(counts)}"
    if scenario.work_ns:
        text += f", paced: {scenario.work_ns:,} ns of work between calls"
    return text


def _uncalled(scenario: ScenarioEntry) -> list[str]:
    counts = scenario.operation_counts
    found = [(counts[kind], words) for kind, words in _UNCALLED.items() if counts.get(kind)]
    return [f"{format_count(count)} of them {words}" for count, words in found]


def at_clock_floor(cell: Cell) -> list[str]:
    """The kinds of operation whose median latency is what reading the clock costs."""
    found = cell.metrics.get("latency_ns", {})
    return [kind for kind, values in found.items() if values.get("at_clock_floor")]


def kept_share(metrics: Mapping[str, Any]) -> float | None:
    """Of peak RSS, what is still resident when every object is freed; None without a peak."""
    peak, left = metrics.get("peak_rss_bytes"), metrics.get("rss_after_free_bytes")
    # The peak is that of the checkpoints, which may have missed a little.
    return min(1.0, left / peak) if peak and left is not None else None


def format_percent(share: float | None) -> str:
    """A share as a whole number; what is there does not become nothing, nor a part the whole."""
    if share is None or math.isnan(share):
        return MISSING
    if 0 < share < 0.01:
        return "<1%"
    return ">99%" if 0.99 < share < 1 else f"{share:.0%}"


def format_rate(value: float | None) -> str:
    """A count per operation with two digits and no exponent: 0.00075, 0.56, 1.82; 0 is none."""
    if value is None or math.isnan(value):
        return MISSING
    if value == 0:
        return "0"
    if value < 1e-5:
        return "<0.00001"
    return f"{value:.2f}" if value >= 0.1 else f"{value:.{1 - math.floor(math.log10(value))}f}"


def format_share(value: float | None) -> str:
    """A ratio less one: 0.04, 0.56, 19.4, 1,234; a value that rounds to nothing keeps its sign."""
    if value is None or math.isnan(value):
        return MISSING
    decimals = 0 if abs(value) >= 100 else 1 if abs(value) >= 10 else 2
    return f"{value:,.{decimals}f}"


_BY_UNIT: Mapping[str, Callable[[float | None], str]] = {
    "ns": format_ns,
    "bytes": format_bytes,
    "count": format_count,
    "rate": format_rate,
    "share": format_percent,
    "ratio": format_ratio,
    "excess": format_share,
}


def figure_text(one: Measure, metrics: Mapping[str, Any]) -> str:
    """A cell's figure as its unit is written, without its range."""
    return _BY_UNIT[one.unit](one.read(metrics))


def ranged_text(one: Measure, metrics: Mapping[str, Any]) -> str:
    """The same with it, where the cell's processes differ: "1,617 (1,615 to 1,620 of 4)"."""
    return with_range(figure_text(one, metrics), one.range_of(metrics), _BY_UNIT[one.unit])


def with_range(
    text: str, found: Sequence[float] | None, written: Callable[[float | None], str]
) -> str:
    """found: least, greatest and number of processes, None where they agree."""
    if found is None:
        return text
    low, high, processes = found
    return f"{text} ({written(low)} to {written(high)} of {processes:.0f})"
