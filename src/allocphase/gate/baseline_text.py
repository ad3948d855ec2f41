"""What `baseline show` prints."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from allocphase.analysis.metric_names import compared
from allocphase.gate.baseline import Baseline
from allocphase.machine.fingerprint import fact_text
from allocphase.text.units import format_in

__all__ = ["describe"]


def describe(baseline: Baseline) -> str:
    """Where it comes from, its fingerprint, and a line a figure."""
    return "\n".join(_lines(baseline))


def _lines(baseline: Baseline) -> Iterator[str]:
    allocator = baseline.allocator
    yield f"{baseline.name}: {allocator.name}, saved {baseline.saved}"
    yield f"  object  {allocator.path or allocator.kind}"
    yield f"  sha256  {allocator.sha256 or '-'}"
    for fact, value in baseline.fingerprint.items():
        yield f"  {fact}  {fact_text(value)}"
    for name, entry in baseline.scenarios.items():
        work = f", {entry.work_ns:,} ns of work between calls" if entry.work_ns else ""
        yield f"{name}  (trace {entry.digest[:12]}{work})"
        for metric, values in entry.values.items():
            text = format_in(compared(metric).unit, float(np.median(values)))
            many = "process" if len(values) == 1 else "processes"
            yield f"  {metric:<16} {text}  median of {len(values)} {many}"
