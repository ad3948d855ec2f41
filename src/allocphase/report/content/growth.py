"""The growth section: time per op against the parameter of each sweep, with its exponent."""

from __future__ import annotations

from typing import Any

import numpy as np

from allocphase.analysis.metrics import CONFIDENCE
from allocphase.analysis.scaling import THREADS
from allocphase.analysis.sweep import Sweep, fit, process_times, sweeps
from allocphase.errors import UsageError
from allocphase.report.content.source import Source
from allocphase.stats import Growth
from allocphase.text.units import MISSING, format_count, format_ns

__all__ = ["fitted", "growth_parts", "levels_ns", "source_sweeps"]

Values = dict[str, Any]


def source_sweeps(source: Source) -> list[Sweep]:
    """The sweeps of the report's first run; those over the number of threads are scaling's."""
    return [sweep for sweep in sweeps(source.run) if sweep.parameter != THREADS]


def levels_ns(source: Source, sweep: Sweep, name: str) -> list[float | None]:
    """The median time per op at each level; None where it was not measured."""
    arm = source.arms[name]
    times = process_times(arm.run, sweep, arm.allocator)
    return [
        float(np.nanmedian(column)) if np.isfinite(column).any() else None for column in times.T
    ]


def growth_parts(source: Source) -> list[Values]:
    """A part a sweep, as its template and the script read it."""
    names = [name for name, arm in source.arms.items() if arm.run is source.run]
    return [_part(source, sweep, names) for sweep in source_sweeps(source)]


def _part(source: Source, sweep: Sweep, names: list[str]) -> Values:
    return {
        "base": sweep.base,
        "parameter": sweep.parameter,
        "levels": list(sweep.values),
        "values": [format_count(value) for value in sweep.values],
        "rows": [_row(source, sweep, name) for name in names],
        "floor": [source.floor_ns(scenario) for scenario in sweep.scenarios],
        "lines": {source.names.index(name): levels_ns(source, sweep, name) for name in names},
    }


def _row(source: Source, sweep: Sweep, name: str) -> Values:
    times = [{"text": format_ns(t), "sort": t or ""} for t in levels_ns(source, sweep, name)]
    return {
        "arm": source.names.index(name),
        "allocator": name,
        "colour": source.looks[name].colour,
        "cells": [*_exponent(fitted(source, sweep, name)), *times],
    }


def fitted(source: Source, sweep: Sweep, name: str) -> Growth | None:
    """The growth exponent of an arm; None where too little was measured."""
    try:
        return fit(source.arms[name].run, sweep, source.arms[name].allocator, confidence=CONFIDENCE)
    except UsageError:
        return None


def _exponent(found: Growth | None) -> list[Values]:
    if found is None:
        return [{"text": MISSING, "sort": ""}] * 3
    value = found.exponent
    interval = f"{value.lower:.2f} to {value.upper:.2f}" if value.bounded else "too few rounds"
    return [
        {"text": f"{value.estimate:.2f}", "sort": value.estimate},
        {"text": interval, "sort": value.estimate},
        {"text": f"{found.worst_misfit_ratio:.2f}x", "sort": found.worst_misfit_ratio},
    ]
