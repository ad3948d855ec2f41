"""Two runs side by side: every allocator twice, and what changed from the first to the second."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

from allocphase.analysis.cell import Cell
from allocphase.analysis.comparable import not_holding
from allocphase.analysis.frames import Run
from allocphase.analysis.metric_names import measure
from allocphase.analysis.metrics import CONFIDENCE
from allocphase.errors import UsageError
from allocphase.machine.fingerprint import differences, machine_facts
from allocphase.report.content.matrix import look_of
from allocphase.report.content.ratios import Ratio, both_mostly_replay
from allocphase.report.content.rows import (
    bounds_below,
    interval_text,
    ratio_text,
    saved_below,
)
from allocphase.report.content.source import Arm, Source
from allocphase.report.content.values import ranged_text
from allocphase.stats import Interval

__all__ = ["SIDES", "changes", "paired"]

SIDES = ("A", "B")


def paired(run: Run, other: Run) -> Source:
    """Arms "libc, A" and "libc, B" and so on, on the scenarios that are the same trace in both.

    Raises UsageError when there is none.
    """
    common = [
        s for s in run.scenarios if s in other.scenarios and _digest(run, s) == _digest(other, s)
    ]
    if not common:
        raise UsageError(
            f"{run.path} and {other.path} have no scenario of one name and one trace in common"
        )
    arms = [
        Arm(f"{name}, {letter}", name, side)
        for name in dict.fromkeys([*run.allocators, *other.allocators])
        for letter, side in zip(SIDES, (run, other), strict=True)
        if name in side.allocators
    ]
    return Source(arms, run=run, scenarios=common, notes=list(_notes(run, other, common)))


def _digest(run: Run, scenario: str) -> object:
    return next(e.digest for e in run.manifest.scenarios if e.name == scenario)


def _notes(run: Run, other: Run, common: list[str]) -> Iterator[str]:
    pairs = zip(SIDES, (run, other), strict=True)
    told = [f"{letter} is {side.manifest.label}, {side.manifest.started}" for letter, side in pairs]
    yield (
        f"{'; '.join(told)}. Rounds of different sessions share nothing: a ratio between A and B "
        "holds what the machine's state changed between them, and its interval does not."
    )
    for letter, side in zip(SIDES, (run, other), strict=True):
        yield from (f"{letter}: {note}" for note in side.files.notes())
    left = len({*run.scenarios, *other.scenarios}) - len(common)
    if left:
        yield f"{left} scenarios are left out: they are not the same trace in both runs."
    facts = (
        machine_facts(side.manifest.environment, driver=side.manifest.driver_sha256)
        for side in (run, other)
    )
    shown = [measure(name) for name in ("time", "syscalls", "peak_rss")]
    for line in not_holding(shown, differences(*facts)):
        yield f"The machines of A and B differ, in {line}."


def changes(source: Source) -> list[dict[str, Any]]:
    """A row for each cell that both runs have; empty in a report of one run."""
    cells = {(cell.allocator, cell.scenario): cell for cell in source.all_cells}
    found = []
    for name in dict.fromkeys(arm.allocator for arm in source.arms.values()):
        for scenario in source.scenarios:
            sides = [cells.get((f"{name}, {letter}", scenario)) for letter in SIDES]
            if sides[0] is not None and sides[1] is not None:
                found.append(_change(source, name, scenario, sides[0], sides[1]))
    return found


def _change(source: Source, name: str, scenario: str, a: Cell, b: Cell) -> dict[str, Any]:
    found = _ratio(a, b)

    def pair(metric: str) -> list[dict[str, Any]]:
        one = measure(metric)
        values = [(ranged_text(one, c.metrics), c.metrics.get(one.path)) for c in (a, b)]
        return [
            {"text": text, "sort": "" if v is None else v, "look": "", "below": ""}
            for text, v in values
        ]

    estimate = "" if found is None else found.interval.estimate
    return {
        "allocator": name,
        "scenario": scenario,
        "colour": source.looks[f"{name}, A"].colour,
        "cells": [
            *pair("time"),
            {
                "text": ratio_text(found),
                "sort": estimate,
                "look": look_of(found),
                "below": saved_below(found),
            },
            {
                "text": interval_text(found),
                "sort": estimate,
                "look": "",
                "below": bounds_below(found),
            },
            *pair("syscalls_per_op"),
            *pair("peak_rss"),
        ],
    }


def _ratio(a: Cell, b: Cell) -> Ratio | None:
    """B over A, and A less B: of the medians, between the farthest ends of their intervals."""
    base, candidate = (cell.time_ns for cell in (a, b))
    if not base or not candidate:
        return None
    ends_a, ends_b = (cell.time_interval_ns for cell in (a, b))
    low, high = 0.0, math.inf
    least, most = -math.inf, math.inf
    if ends_a and ends_b:
        (low_a, high_a), (low_b, high_b) = ends_a, ends_b
        low, high = low_b / high_a, high_b / low_a
        least, most = low_a - high_b, high_a - low_b
    # Either median's interval may miss it, hence twice the chance of one.
    confidence = max(0.0, 2 * CONFIDENCE - 1)
    shares = (cell.metrics.get("replay_share") for cell in (a, b))
    return Ratio(
        interval=Interval(candidate / base, low, high, confidence),
        rounds=0,
        mostly_replay=both_mostly_replay(*shares),
        saved_ns=Interval(base - candidate, least, most, confidence),
    )
