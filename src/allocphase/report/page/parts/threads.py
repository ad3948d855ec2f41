"""The table of threads: a row for each thread of each allocator."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from allocphase.report.content.source import Source
from allocphase.report.content.threads import ThreadCalls
from allocphase.report.content.values import with_range
from allocphase.report.page.parts.arms import Values, named
from allocphase.text.units import MISSING, format_count, format_ns

__all__ = ["threads_part"]

# Heading, kind of operation ("" is all of them) and figure.
Column = tuple[str, str, str]
ALL_KINDS = (("call p50", "", "p50"), ("call p99", "", "p99"))
BY_KIND = (
    ("malloc p50", "malloc", "p50"),
    ("malloc p99", "malloc", "p99"),
    ("free p50", "free", "p50"),
    ("free p99", "free", "p99"),
)
REMOTE = (
    ("timed remote frees", "free_remote", "samples"),
    ("their p50", "free_remote", "p50"),
    ("their p99", "free_remote", "p99"),
)


def threads_part(source: Source, scenario: str) -> Values | None:
    """None for a scenario of a single thread, or where no latency was measured."""
    found = {n: source.points(n, scenario).threads for n in source.names_on(scenario)}
    found = {name: threads for name, threads in found.items() if threads}
    if not found:
        return None
    columns = _columns([set(thread.of) for threads in found.values() for thread in threads])
    metrics = {cell.allocator: cell.metrics for cell in source.cells(scenario)}
    return {
        "names": ["operations", "time/op", *(name for name, _, _ in columns), "system calls"],
        "remote": REMOTE[0] in columns,
        "rows": [
            {
                **named(source, name),
                "thread": thread.thread,
                "cells": _cells(thread, metrics[name], columns),
            }
            for name, threads in found.items()
            for thread in threads
        ],
    }


def _columns(seen: Sequence[set[str]]) -> tuple[Column, ...]:
    """Of the kinds of operation that any thread made; of a long trace they are not told apart."""
    told = set[str]().union(*seen)
    by_kind = tuple(column for column in (*BY_KIND, *REMOTE) if column[1] in told)
    return (ALL_KINDS if {""} in seen else ()) + by_kind


def _cells(
    thread: ThreadCalls, metrics: Mapping[str, Any], columns: Sequence[Column]
) -> list[Values]:
    time_ns = _at(metrics.get("thread_time_per_op_ns"), thread.thread)
    calls = _at(metrics.get("thread_syscalls"), thread.thread)
    ranges = metrics.get("thread_syscalls_range")
    seen = ranges[thread.thread] if ranges and thread.thread < len(ranges) else None
    values = [thread.of.get(kind, {}).get(figure) for _, kind, figure in columns]
    formats = [format_count if figure == "samples" else format_ns for _, _, figure in columns]
    return [
        _value(thread.operations, format_count(thread.operations)),
        _value(time_ns, format_ns(time_ns)),
        *(_value(v, form(v)) for v, form in zip(values, formats, strict=True)),
        _value(calls, with_range(format_count(calls), seen, format_count)),
    ]


def _at(values: Sequence[float] | None, thread: int) -> float | None:
    return values[thread] if values and thread < len(values) else None


def _value(value: float | None, text: str) -> Values:
    return {"text": text if value is not None else MISSING, "sort": "" if value is None else value}
