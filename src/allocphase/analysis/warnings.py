"""Doubts as data: each warning is attached to the cell whose figures it touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from allocphase.machine.disturbance import DISTURBANCE, Disturbance
from allocphase.probe.result import is_slow
from allocphase.store.record import ProcessRecord

__all__ = ["cell_warnings", "disturbances"]

# A process of some 150 ms that was put aside more often than a scheduler's tick explains.
SWITCHES_PER_PROCESS = 100
# Three ticks of the kernel's clock: less cannot be told from its rounding.
LEAST_S = 0.03
# Beyond that the memory probe's pass is no longer a timed one.
SLOW_MEMORY_PASS = 2.0
# mimalloc's; the others give memory back after longer.
SHORTEST_TIMER_NS = 10e6
# Of the time per operation: below, it is what starting and ending a thread costs.
HELPER_SHARE = 0.01
# Rates of an idle machine differ by less, from one process to the next.
CLOCK_SPREAD = 0.05
# Key of a Disturbance, from where on it is told, whether that is a share of the time, the words.
_DISTURBANCES = (
    ("others_s", 0.25, True, "load: other processes used up to {most} of a CPU meanwhile"),
    ("steal_s", 0.02, True, "steal: the hypervisor took up to {most} of a CPU for other guests"),
    ("stalled_s", 0.01, True, "memory: something waited for memory up to {most} of the time"),
    ("swapped_pages", 0.0, False, "swap: the machine swapped up to {most} pages meanwhile"),
    ("throttles", 0.0, False, "heat: the CPU was throttled up to {most} times meanwhile"),
    ("suspended_s", 0.1, False, "suspension: the machine slept for up to {most} s meanwhile"),
)


def cell_warnings(records: Sequence[ProcessRecord], metrics: Mapping[str, Any]) -> list[str]:
    """Everything a reader should know before believing the cell's figures, one line each."""
    good = [record for record in records if record.status == "ok"]
    return [
        *_emulated(good),
        *_locked(good),
        *_unconforming(good),
        *_skipped(good),
        *_slow(good),
        *_tampered(good),
        *_lacking(good),
        *_interrupted(good),
        *disturbances(good),
        *_floor(metrics),
        *_slowed(metrics),
        *_helped(good, metrics),
        *_let_through(good),
        *_lost(good),
    ]


def _slow(records: Sequence[ProcessRecord]) -> list[str]:
    timed = [r for r in records if r.probe == "throughput"]
    if len(timed) != 1 or not is_slow(timed[0].result):
        return []
    return ["slow: a replay takes more than two seconds, so one process had to do: no interval"]


def _emulated(records: Sequence[ProcessRecord]) -> list[str]:
    names = sorted({name for r in records for name in r.result.get("emulated", [])})
    if not names:
        return []
    return [f"{', '.join(names)}: absent, emulated by the driver from malloc and free"]


def _locked(records: Sequence[ProcessRecord]) -> list[str]:
    locked = any(r.result.get("locked") for r in records)
    return ["not thread-safe: every call went through one lock of the driver"] * locked


def _unconforming(records: Sequence[ProcessRecord]) -> list[str]:
    """What is wrong with functions that the trace does not use; of others it is the status."""
    found = {
        finding for r in records for finding in r.result.get("verify", {}).get("conformance", [])
    }
    return [f"conformance: {finding}; the scenario does not use it" for finding in sorted(found)]


def _skipped(records: Sequence[ProcessRecord]) -> list[str]:
    """The driver adds up what it skipped in all passes of a process; the trace has it once."""
    skipping = [r.result for r in records if r.result.get("skipped_operations")]
    frees = max((r.get("operation_counts", {}).get("free_foreign", 0) for r in skipping), default=0)
    if not frees:
        return []
    return [
        f"{frees:,} frees from a foreign domain were skipped: this allocator knows no domains; they"
        " count as operations"
    ]


def _lacking(records: Sequence[ProcessRecord]) -> list[str]:
    """What the driver was not allowed, and under which probes."""
    probes: dict[str, list[str]] = {}
    for record in records:
        for text in record.result.get("lacks", []):
            probes.setdefault(text, []).append(record.probe)
    return [
        f"not to be had here: {text} ({', '.join(sorted(set(found)))})"
        for text, found in sorted(probes.items())
    ]


def _interrupted(records: Sequence[ProcessRecord]) -> list[str]:
    switches = [
        r.result.get("usage", {}).get("involuntary_switches", 0)
        for r in records
        if r.probe == "throughput"
    ]
    if not switches or max(switches) <= SWITCHES_PER_PROCESS:
        return []
    return [f"a timed process was interrupted {max(switches)} times: the machine was not idle"]


def disturbances(records: Sequence[ProcessRecord]) -> list[str]:
    """What the harness saw of the machine while these processes were timed, a line each."""
    seen = [found for r in records if (found := r.result.get(DISTURBANCE))]
    lines = [
        line
        for key, threshold, scale, text in _DISTURBANCES
        if (line := _by_share(seen, key, threshold=threshold, scale=scale, text=text))
    ]
    return lines + _clock_rates(seen) + _traced(records)


def _by_share(
    seen: Sequence[Disturbance], key: str, *, threshold: float, scale: bool, text: str
) -> str | None:
    """One line about the processes in which the figure passes its threshold."""
    values = [float(one.get(key) or 0.0) for one in seen]
    spans = [float(one.get("span_s") or 0.0) if scale else 1.0 for one in seen]
    shares = [value / span if span else 0.0 for value, span in zip(values, spans, strict=True)]
    hit = [
        share
        for share, value in zip(shares, values, strict=True)
        if share > threshold and (not scale or value >= LEAST_S)
    ]
    if not hit:
        return None
    most = f"{100 * max(hit):.0f}%" if scale else f"{max(hit):g}"
    return f"{text.format(most=most)} ({len(hit)} of {len(seen)} timed processes)"


def _clock_rates(seen: Sequence[Disturbance]) -> list[str]:
    rates = [float(rate) for one in seen if (rate := one.get("clock_khz"))]
    if not rates or min(rates) >= (1.0 - CLOCK_SPREAD) * max(rates):
        return []
    low, high = min(rates) / 1e6, max(rates) / 1e6
    return [
        f"the CPU's clock ran at {low:.2f} GHz after one timed process, {high:.2f} after another"
    ]


def _traced(records: Sequence[ProcessRecord]) -> list[str]:
    """As the driver says of itself; its own tracer, which counts system calls, is gone by then."""
    traced = sum(bool(r.result.get("tracer_pid")) for r in records)
    if not traced:
        return []
    return [f"a debugger or tracer was attached to {traced} of {len(records)} processes"]


def _floor(metrics: Mapping[str, Any]) -> list[str]:
    clock = metrics.get("clock_floor_ns")
    if clock is None:
        return []
    at_floor = [
        kind
        for kind, values in metrics.get("latency_ns", {}).items()
        if values["p50"] is not None and values["p50"] <= 1.5 * clock
    ]
    if not at_floor:
        return []
    return [f"p50 of {', '.join(at_floor)} is near the clock's own {clock:.0f} ns: a floor"]


def _slowed(metrics: Mapping[str, Any]) -> list[str]:
    """Totals of a pass that was not as fast as the timed ones may be another allocator's."""
    passes = metrics.get("pass_ns", {})
    timed, memory = passes.get("throughput"), passes.get("memory")
    if not timed or not memory or memory <= SLOW_MEMORY_PASS * timed:
        return []
    if memory - timed < SHORTEST_TIMER_NS:
        return []
    return [
        f"memory: its pass took {memory / timed:.1f} times as long as the timed one: what is given"
        " back by the clock was given back earlier"
    ]


def _helped(records: Sequence[ProcessRecord], metrics: Mapping[str, Any]) -> list[str]:
    """Who else works for the allocator, and where that is not in the figures."""
    lines = []
    helpers = max((r.result.get("helper_threads", 0) for r in records), default=0)
    if helpers:
        lines.append(f"runs {helpers} threads of its own: their system calls are not counted")
    time, helper = metrics.get("time_per_op_ns"), metrics.get("helper_ns_per_op")
    if time and helper and helper > HELPER_SHARE * time:
        lines.append(
            f"its own threads and children used {helper:.3g} ns of CPU an operation beside the"
            f" trace's {time:.3g} ns"
        )
    return lines


def _let_through(records: Sequence[ProcessRecord]) -> list[str]:
    calls = max((r.result.get("syscalls", {}).get("let_through", 0) for r in records), default=0)
    if not calls:
        return []
    return [
        f"started {calls} threads or processes: system calls after that, up to the end of the same"
        " operation, are not counted (--syscall-backend ptrace sees them)"
    ]


def _tampered(records: Sequence[ProcessRecord]) -> list[str]:
    changes = sorted({change for r in records for change in r.result.get("tampered", [])})
    if not changes:
        return []
    return [f"the allocator changed its process ({', '.join(changes)}): figures may depend on that"]


def _lost(records: Sequence[ProcessRecord]) -> list[str]:
    dropped = sum(
        r.result.get("syscalls", {}).get("events_dropped", 0)
        + r.result.get("faults", {}).get("events_dropped", 0)
        + r.result.get("latency", {}).get("slow_calls_dropped", 0)
        for r in records
    )
    if not dropped:
        return []
    return [f"{dropped} events beyond the log's capacity were counted, not attributed"]
