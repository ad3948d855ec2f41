"""What each figure shows, in a sentence or two: its caption and its text for who cannot see it."""

from __future__ import annotations

from allocphase.report.figures import FigureSpec

__all__ = ["caption"]

_TEXTS = {
    "time-per-op": (
        "Median time of one operation over fresh processes, with its interval where there are "
        "enough of them. Left is faster; the scale is logarithmic."
    ),
    "syscalls": (
        "Exact counts of one pass of the trace: in init, in operation and in teardown. A question "
        "mark stands where a phase cannot be seen."
    ),
    "memory": (
        "Growth of resident memory (lines) over the trace, beside the bytes that the program had "
        "live (grey area). The nearer to the area, the less is wasted."
    ),
    "timeline": (
        "One process's calls in the order of the trace, on one scale for all allocators. The "
        "colour says why: the call made a system call, took a page fault, or neither."
    ),
    "percentiles": (
        "The share of slower calls shrinks to the right, ten times with each step. Pooled over "
        "processes; the dashed line is what the clock itself costs."
    ),
}


def caption(spec: FigureSpec) -> str:
    """The caption of a figure."""
    kind = spec.name if spec.scenario is None else spec.name.partition("-")[0]
    where = f" Scenario {spec.scenario}." if spec.scenario else ""
    return _TEXTS[kind] + where
