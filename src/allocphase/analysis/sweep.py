"""Sweeps: one scenario at several values of a parameter, and how time per operation grows.

A run does not say that it was a sweep: its scenarios `random-churn?live=100`, `...=300` have one
base and differ in one parameter, and that is what is looked for. The program's own work between
calls is none that time grows with: at each `work_ns` there is a sweep of its own.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.analysis.metrics import process_time_ns
from allocphase.errors import UsageError, unknown
from allocphase.probe.probe import Probe
from allocphase.spec import base_name
from allocphase.stats import Growth, growth
from allocphase.store.manifest import ScenarioEntry
from allocphase.store.record import rounds_of

__all__ = ["Sweep", "fit", "process_times", "sweeps"]


@dataclass(frozen=True, slots=True)
class Sweep:
    """`values[i]` of `parameter` is the scenario named `scenarios[i]`; values ascend."""

    base: str
    parameter: str
    values: tuple[float, ...]
    scenarios: tuple[str, ...]


def sweeps(run: Run) -> list[Sweep]:
    """Every sweep of the run, in the order of its scenarios."""
    groups: dict[tuple[str, int], list[ScenarioEntry]] = {}
    for entry in run.manifest.scenarios:
        groups.setdefault((base_name(entry.name), entry.work_ns), []).append(entry)
    return [found for (base, _), entries in groups.items() for found in _sweep(base, entries)]


def _sweep(base: str, entries: list[ScenarioEntry]) -> Iterator[Sweep]:
    if len(entries) < 2:
        return
    parameters = [entry.parameters for entry in entries]
    varying = [key for key in parameters[0] if len({str(p.get(key)) for p in parameters}) > 1]
    if len(varying) != 1:
        return
    (key,) = varying
    points = [
        (float(value), entry.name)
        for entry in entries
        if isinstance(value := entry.parameters.get(key), int | float)
    ]
    if len(points) < len(entries):
        return
    points.sort(key=lambda point: point[0])  # stable: equal values keep their order
    yield Sweep(base, key, tuple(v for v, _ in points), tuple(name for _, name in points))


def process_times(run: Run, sweep: Sweep, allocator: str) -> npt.NDArray[np.float64]:
    """Nanoseconds per operation, shape (rounds, values); NaN where a process is missing."""
    rounds = rounds_of(run.records)
    times = np.full((rounds, len(sweep.values)), np.nan)
    for column, scenario in enumerate(sweep.scenarios):
        for record in run.records_of(allocator, scenario):
            if record.probe is Probe.THROUGHPUT and record.ok:
                times[record.round, column] = process_time_ns(record)
    return times


def fit(run: Run, sweep: Sweep, allocator: str, *, confidence: float = 0.9) -> Growth:
    """The growth exponent of an allocator. Raises UsageError when too little was measured."""
    if allocator not in run.allocators:
        raise UsageError(unknown("allocator", allocator, run.allocators))
    try:
        times = process_times(run, sweep, allocator)
        return growth(sweep.values, times, confidence=confidence)
    except ValueError as error:
        raise UsageError(f"{allocator} on {sweep.base}: {error}") from None
