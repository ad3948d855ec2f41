"""The scaling section: throughput against threads of each such sweep, and what is in its way."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from allocphase.analysis.scaling import (
    Level,
    ScalingPoint,
    levels_of,
    scaling,
    thread_sweeps,
    work_of,
)
from allocphase.analysis.sweep import Sweep
from allocphase.report.content.source import Source
from allocphase.report.content.values import format_percent, format_rate
from allocphase.text.units import (
    MISSING,
    counted,
    format_bytes,
    format_count,
    format_per_second,
    format_ratio,
)

__all__ = [
    "COLUMNS",
    "Panel",
    "ScalingRow",
    "arms_of",
    "notes",
    "panels",
    "points",
    "rows",
    "scaling_parts",
    "swept",
]

Values = dict[str, Any]
Of = Callable[[ScalingPoint], float | None]

# After a number of threads that is more than there are CPUs.
SHARED = "+"

# Name and hint, of what follows allocator and threads.
COLUMNS = (
    ("ops/s", "operations a second of all threads together, median over processes"),
    ("speed-up", "over the first level, paired by round"),
    ("interval", "of the speed-up"),
    ("ideal", "the speed-up that the trace allows on the CPUs of the run"),
    ("efficiency", "the speed-up over the ideal one"),
    ("futex/op", "futex calls in the allocator's own functions, in warm replays"),
    ("waited", "timed calls that slept, or met another thread at the driver's lock"),
    ("RSS/thread", "peak RSS over the number of threads"),
)
_WORK = {
    "each": "Each thread does the same work at every level, so that the work grows with them.",
    "total": "All threads together do the same work at every level.",
    "": "Levels differ in their work, and not in proportion to their threads.",
}


@dataclass(frozen=True, slots=True)
class ScalingRow:
    """An arm at a level. texts: one for each of COLUMNS; sorts: the same in base units."""

    arm: str
    level: Level
    texts: tuple[str, ...]
    sorts: tuple[float | str, ...]

    @property
    def label(self) -> str:
        """ "mimalloc, 4+": the allocator and its threads."""
        return f"{self.arm}, {self.level.threads}{_mark(self.level)}"


def _mark(level: Level) -> str:
    return SHARED if level.shared else ""


def swept(source: Source) -> list[Sweep]:
    """The sweeps of the report's first run over the number of threads."""
    return thread_sweeps(source.run)


def arms_of(source: Source) -> list[str]:
    """Those of the first run: a sweep is one run's."""
    return [name for name, arm in source.arms.items() if arm.run is source.run]


def points(source: Source, sweep: Sweep, name: str) -> list[ScalingPoint]:
    """An arm's, one a level."""
    return scaling(source.run, sweep, source.arms[name].allocator)


def rows(source: Source, sweep: Sweep) -> list[ScalingRow]:
    """Arm by arm, the levels of each in their order."""
    return [_row(name, point) for name in arms_of(source) for point in points(source, sweep, name)]


def _row(name: str, point: ScalingPoint) -> ScalingRow:
    found = point.speedup
    estimate = None if found is None else found.ratio.estimate
    efficiency = None if found is None else found.efficiency
    ideal = point.ideal_speedup
    values = (
        (point.ops_per_second, format_per_second(point.ops_per_second)),
        (estimate, format_ratio(estimate)),
        (estimate, _interval(point)),
        (ideal, format_ratio(ideal)),
        (efficiency, MISSING if efficiency is None else f"{efficiency:.0%}"),
        (point.futex_per_op, format_rate(point.futex_per_op)),
        (point.waited, format_percent(point.waited)),
        (point.rss_bytes_per_thread, format_bytes(point.rss_bytes_per_thread)),
    )
    return ScalingRow(
        arm=name,
        level=point.level,
        texts=tuple(text for _, text in values),
        sorts=tuple("" if value is None else value for value, _ in values),
    )


def _interval(point: ScalingPoint) -> str:
    if point.speedup is None or point.first:
        return MISSING
    ratio = point.speedup.ratio
    if not ratio.bounded:
        return "too few rounds"
    return f"{format_ratio(ratio.lower).removesuffix('x')} to {format_ratio(ratio.upper)}"


def notes(source: Source, sweep: Sweep) -> list[str]:
    """What a reader must know of the levels, in sentences."""
    levels, cpus = levels_of(source.run, sweep), len(source.run.manifest.plan.cpus)
    return [_WORK[work_of(levels)], *_shared(levels, cpus), *_uneven(levels, cpus)]


def _shared(levels: list[Level], cpus: int) -> Iterator[str]:
    """Which levels are over-subscribed."""
    found = [format_count(level.threads) for level in levels if level.shared]
    if found:
        threads = " and ".join(filter(None, [", ".join(found[:-1]), found[-1]]))
        yield (
            f"More threads than CPUs ({SHARED}): {threads} threads share {counted(cpus, 'CPU')}, "
            "each pinned to one of them. From there on the ideal line is flat, and a thread also "
            "waits for its turn."
        )


def _uneven(levels: list[Level], cpus: int) -> Iterator[str]:
    """Where a trace has no work for all CPUs at a time."""
    least = min(levels, key=lambda level: level.at_once / min(level.threads, cpus))
    if least.at_once < 0.95 * min(least.threads, cpus):
        yield (
            f"By itself the trace keeps {least.at_once:.2f} of "
            f"{counted(min(least.threads, cpus), 'CPU')} busy at {format_count(least.threads)} "
            "threads: some of them have more to do, or they wait for each other. The ideal has "
            "this in it."
        )


@dataclass(frozen=True, slots=True)
class Panel:
    """One picture of a sweep: a value a level for each arm, None where there is none.

    axis: "rate" (operations a second), "factor", "share", "each" (of an operation) or
    "resident" (bytes).
    ideal: of each arm; common: the same for all. Both empty where there is none.
    """

    title: str
    axis: str
    lines: Mapping[str, Sequence[float | None]]
    ideal: Mapping[str, Sequence[float | None]]
    common: Sequence[float]


def panels(source: Source, sweep: Sweep) -> list[Panel]:
    """Without those of which nothing was measured."""
    found = {name: points(source, sweep, name) for name in arms_of(source)}
    ratios = next(([p.ideal_speedup for p in each] for each in found.values()), [])

    def panel(title: str, axis: str, of: Of, ideal: Of | None = None, *common: float) -> Panel:
        lines = {name: [of(point) for point in each] for name, each in found.items()}
        best = {name: [ideal(point) for point in each] for name, each in found.items() if ideal}
        return Panel(title, axis, lines, best, common)

    drawn = (
        panel("operations a second", "rate", _rate, lambda point: point.ideal_per_second),
        panel("speed-up", "factor", _speedup, None, *ratios),
        panel("efficiency", "share", _efficiency, None, *(1.0 for _ in ratios)),
        panel("futex calls an operation", "each", lambda point: point.futex_per_op),
        panel("calls that waited", "share", lambda point: point.waited),
        panel("RSS a thread", "resident", lambda point: point.rss_bytes_per_thread or None),
    )
    return [one for one in drawn if any(v is not None for line in one.lines.values() for v in line)]


def _rate(point: ScalingPoint) -> float | None:
    return point.ops_per_second


def _speedup(point: ScalingPoint) -> float | None:
    return None if point.speedup is None else point.speedup.ratio.estimate


def _efficiency(point: ScalingPoint) -> float | None:
    return None if point.speedup is None else point.speedup.efficiency


def scaling_parts(source: Source) -> list[Values]:
    """A part a sweep, as its template and the script read it."""
    return [_part(source, sweep) for sweep in swept(source)]


def _part(source: Source, sweep: Sweep) -> Values:
    levels = levels_of(source.run, sweep)
    return {
        "base": sweep.base,
        "levels": list(sweep.values),
        "cpus": len(source.run.manifest.plan.cpus),
        "shared": any(level.shared for level in levels),
        "notes": notes(source, sweep),
        "columns": [{"name": name, "hint": hint} for name, hint in COLUMNS],
        "rows": [_page_row(source, row) for row in rows(source, sweep)],
        "panels": [_page_panel(source, panel) for panel in panels(source, sweep)],
    }


def _page_row(source: Source, row: ScalingRow) -> Values:
    pairs = zip(row.texts, row.sorts, strict=True)
    return {
        "arm": source.names.index(row.arm),
        "allocator": row.arm,
        "colour": source.looks[row.arm].colour,
        "threads": row.level.threads,
        "mark": _mark(row.level),
        "cells": [{"text": text, "sort": sort} for text, sort in pairs],
    }


def _page_panel(source: Source, panel: Panel) -> Values:
    return {
        "title": panel.title,
        "axis": panel.axis,
        "lines": {source.names.index(name): list(line) for name, line in panel.lines.items()},
        "ideal": {source.names.index(name): list(line) for name, line in panel.ideal.items()},
        "common": list(panel.common),
    }
