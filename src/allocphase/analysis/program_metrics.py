"""What the processes of a program's cell come to: times, memory, faults, switches and system calls
of the whole process tree.

A time is the median over rounds; the kernel's run delay is taken off where it can be: of a program
whose first thread did nearly all the work, the time that it stood ready without a CPU.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from allocphase.analysis.counts import CONFIDENCE, counted, counted_tables
from allocphase.probe.probe import Probe
from allocphase.probe.result import Program, ProgramCalls, ProgramMemory, ProgramSyscalls
from allocphase.stats import median_interval
from allocphase.store.record import ProcessRecord

__all__ = [
    "MEMORY_CALLS",
    "malloc_call_metrics",
    "output_of",
    "program_metrics",
    "program_syscall_metrics",
    "wall_time_ns",
]

# Of the CPU time of all: a first thread that has so much waited for nobody else.
NEARLY_ALL = 0.99
# By which a process gets its memory and gives it back, whoever in it asks.
MEMORY_CALLS = ("brk", "madvise", "mmap", "mprotect", "mremap", "munmap")

_TIMES: Mapping[str, Callable[[Program], float]] = {
    "wall_time_ns": lambda part: wall_time_ns(part),
    "cpu_time_ns": lambda part: part.user_ns + part.system_ns,
    "user_time_ns": lambda part: part.user_ns,
    "system_time_ns": lambda part: part.system_ns,
}


def wall_time_ns(part: Program) -> float:
    """From its start to its end, without the run delay where all of that is its first thread's."""
    cpu_ns = part.user_ns + part.system_ns
    if part.main_cpu_ns < NEARLY_ALL * cpu_ns:
        return part.wall_ns
    return max(part.wall_ns - part.main_delay_ns, 1)


def program_metrics(
    timed: Sequence[ProcessRecord], looked_at: Sequence[ProcessRecord]
) -> dict[str, Any]:
    """`timed`: good processes of the program probe; `looked_at`: of program_memory. What there is
    none of is left out.
    """
    metrics: dict[str, Any] = {}
    if timed:
        parts = [record.part(Program) for record in timed]
        for name, read in _TIMES.items():
            interval = median_interval([float(read(part)) for part in parts], confidence=CONFIDENCE)
            metrics[name] = interval.estimate
            metrics[f"{name}_interval"] = (
                [interval.lower, interval.upper] if interval.bounded else None
            )
        metrics["context_switches"] = float(
            np.median([part.voluntary_switches + part.involuntary_switches for part in parts])
        )
        metrics |= _outputs(parts)
    if looked_at:
        seen = [record.part(ProgramMemory) for record in looked_at]
        metrics |= counted("program_peak_rss_bytes", [_peak_rss_bytes(p) for p in seen])
        metrics |= counted("largest_process_rss_bytes", [p.largest_rss_bytes for p in seen])
        metrics |= counted("program_page_faults", [p.minor_faults + p.major_faults for p in seen])
        metrics |= counted("program_major_faults", [p.major_faults for p in seen])
    return metrics


def malloc_call_metrics(records: Sequence[ProcessRecord]) -> dict[str, Any]:
    """Of good processes of program_calls: what all processes of a tree called, by function."""
    if not records:
        return {}
    parts = [record.part(ProgramCalls) for record in records]
    return {
        **counted("malloc_calls", [sum(part.malloc_calls.values()) for part in parts]),
        **counted_tables("malloc_calls_by_function", [part.malloc_calls for part in parts]),
        **counted("requested_bytes", [part.requested_bytes for part in parts]),
        **counted("largest_process_usable_bytes", [part.peak_usable_bytes for part in parts]),
        **counted("unreached_processes", [_unreached(part) for part in parts]),
    }


def _unreached(part: ProgramCalls) -> int | None:
    return None if part.started is None else sum(part.unreached.values())


def program_syscall_metrics(records: Sequence[ProcessRecord]) -> dict[str, Any]:
    """`records`: good processes of the program_syscalls probe. One table: `total`, `memory`, and
    `calls` by name; those that were not all seen say nothing.
    """
    seen = [calls for r in records if (calls := r.part(ProgramSyscalls).calls) is not None]
    if not seen:
        return {}
    names = sorted({name for calls in seen for name in calls})
    found = {
        **counted("total", [sum(calls.values()) for calls in seen]),
        **counted("memory", [sum(calls.get(name, 0) for name in MEMORY_CALLS) for calls in seen]),
    }
    by_name = [counted(name, [calls.get(name, 0) for calls in seen]) for name in names]
    values = {name: one[name] for name, one in zip(names, by_name, strict=True)}
    ranges: dict[str, Any] = {
        name.removesuffix("_range"): found.pop(name)
        for name in ("total_range", "memory_range")
        if name in found
    }
    if varying := {
        name: one[f"{name}_range"] for name, one in zip(names, by_name, strict=True) if len(one) > 1
    }:
        ranges["calls"] = varying
    metrics: dict[str, Any] = {"program_syscalls": {**found, "calls": values}}
    return metrics | ({"program_syscalls_range": ranges} if ranges else {})


def output_of(records: Sequence[ProcessRecord]) -> str | None:
    """The digest of what a cell's good timed processes printed; None where they do not agree, or
    there are none.
    """
    timed = [record for record in records if record.ok and record.probe is Probe.PROGRAM]
    return _one_output([record.part(Program) for record in timed])


def _one_output(parts: Sequence[Program]) -> str | None:
    digests = {part.output_sha256 for part in parts}
    return digests.pop() if len(digests) == 1 else None


def _outputs(parts: Sequence[Program]) -> dict[str, Any]:
    """The output's digest, where all agree; how many processes there were."""
    return {
        "output_sha256": _one_output(parts),
        **counted("processes", [part.processes for part in parts]),
    }


def _peak_rss_bytes(part: ProgramMemory) -> int:
    """What was seen of all together, 50 times a second; the largest process's own peak, which no
    look can miss, where that is more.
    """
    return max(part.peak_tree_rss_bytes, part.largest_rss_bytes)
