"""Doubts as data: each warning is attached to the cell whose figures it touches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from allocphase.result import ProcessRecord, is_slow

__all__ = ["cell_warnings"]

# A process of some 150 ms that was put aside more often than a scheduler's tick explains.
SWITCHES_PER_PROCESS = 100


def cell_warnings(records: Sequence[ProcessRecord], metrics: Mapping[str, Any]) -> list[str]:
    """Everything a reader should know before believing the cell's figures, one line each."""
    good = [record for record in records if record.status == "ok"]
    return [
        *_emulated(good),
        *_locked(good),
        *_slow(good),
        *_disturbed(good),
        *_floor(metrics),
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


def _disturbed(records: Sequence[ProcessRecord]) -> list[str]:
    switches = [
        r.result.get("usage", {}).get("involuntary_switches", 0)
        for r in records
        if r.probe == "throughput"
    ]
    if not switches or max(switches) <= SWITCHES_PER_PROCESS:
        return []
    return [f"a timed process was interrupted {max(switches)} times: the machine was not idle"]


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


def _lost(records: Sequence[ProcessRecord]) -> list[str]:
    dropped = sum(
        r.result.get("syscalls", {}).get("events_dropped", 0)
        + r.result.get("memory", {}).get("fault_events_dropped", 0)
        for r in records
    )
    if not dropped:
        return []
    return [f"{dropped} events beyond the log's capacity were counted, not attributed"]
