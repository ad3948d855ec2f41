"""What the driver says of one process, probe by probe: its result.json.

Only what the readers use is demanded; docs/schema.md says what all of it means.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from allocphase.files.checks import (
    COUNT,
    FLAG,
    NUMBER,
    POSITIVE,
    TEXT,
    Shape,
    anything,
    at_most,
    entries,
    listing,
    nullable,
    table,
)
from allocphase.machine.disturbance import DISTURBANCE

__all__ = ["LEFT_BYTES", "PEAK_BYTES", "is_slow", "result_problem"]

SLOW_REPLAY_NS = 2e9


# 2^32 - 1 is all that a trace file can name.
_OPERATIONS = at_most(0xFFFFFFFF)
_COUNTS = entries(COUNT)
_NUMBER_OF_A_CALL = re.compile("[0-9]{1,5}")

_CLOCK = table({"hz": POSITIVE, "overhead_ns": NUMBER, "step_ns": NUMBER})
_BY_PASS = dict.fromkeys(
    ("warm_ns_per_op", "warm_build_ns_per_op", "thread_ns_per_op"), listing(NUMBER)
)
# The memory probe's figures: those of every process, and those of a plug-in, which has a teardown.
PEAK_BYTES = (
    "peak_live_bytes",
    "peak_mapped_bytes",
    "peak_rss_bytes",
    "rss_after_free_bytes",
    "lazily_freed_bytes",
    "mapped_after_free_bytes",
)
LEFT_BYTES = (
    "mapped_after_teardown_bytes",
    "rss_after_teardown_bytes",
)
_COMMON: dict[str, Shape] = {
    "operations": at_most(0xFFFFFFFF),
    "operation_counts": entries(COUNT),
    "skipped_operations": COUNT,
    "clock": _CLOCK,
    "usage": entries(COUNT),
    DISTURBANCE: entries(nullable(NUMBER)),
    "emulated": listing(TEXT),
    "function_alignment_bytes": COUNT,
    "locked": FLAG,
    "lacks": listing(TEXT),
    "tracer_pid": COUNT,
    "allocator_stats": entries(nullable(NUMBER)),
    "syscalls": table(optional={"events_dropped": COUNT, "thread_calls": listing(COUNT)}),
    "helper_threads": COUNT,
    "memory": table(optional=dict.fromkeys(LEFT_BYTES, nullable(COUNT))),
    "footprint": table(optional={"pass_ns": COUNT}),
    "faults": table(optional={"events_dropped": COUNT, "pass_ns": COUNT}),
    "latency": table(optional={"slow_calls_dropped": COUNT, "slow_ns": NUMBER}),
    "throughput": table(
        optional={"cold_ns_per_op": NUMBER, "helper_ns_per_op": NUMBER, **_BY_PASS}
    ),
    "verify": table(optional={"conformance": listing(TEXT)}),
    "tampered": listing(TEXT),
}
_TIMES = table({"cold_ns_per_op": NUMBER, "warm_ns_per_op": listing(NUMBER)})
_CALLS = table(
    optional={
        "init": nullable(_COUNTS),
        "operation": nullable(_COUNTS),
        "teardown": nullable(_COUNTS),
        "threads": _COUNTS,
        "let_through": COUNT,
        "backend": TEXT,
        "numbers": entries(TEXT),
    }
)
_MEMORY = table(
    dict.fromkeys(
        (*PEAK_BYTES, "run_peak_live_bytes", "base_rss_bytes", "page_faults", "pass_ns"), COUNT
    )
)
_FAULTS = table(dict.fromkeys(("call_faults", "touch_faults", "pass_ns"), COUNT))

# What a process that ended well must say of its own probe, and what that rests on.
_MEASURED: dict[str, dict[str, Shape]] = {
    "throughput": {"throughput": _TIMES},
    "latency": {"clock": _CLOCK},
    "syscalls": {"syscalls": _CALLS},
    "memory": {"memory": _MEMORY},
    "footprint": {"footprint": table({"pass_ns": COUNT})},
    "faults": {"faults": _FAULTS},
    "verify": {},
}


def result_problem(probe: str, status: str, result: Any) -> str:
    """The first fault of a driver's result under one probe, as a shape says it."""
    fault = table(optional=_COMMON)(result)
    if fault or status != "ok":
        return fault
    return table(_MEASURED.get(probe, {}))(result) or _calls_problem(probe, result)


def _calls_problem(probe: str, result: Any) -> str:
    """Counts are complete or absent: the backend that only marks the pass counts nothing."""
    counts = result.get("syscalls", {})
    if probe != "syscalls" or "operation" not in counts:
        return ""
    shape = table({"operation": _COUNTS, "init": anything, "teardown": anything, "backend": TEXT})
    fault = shape(counts)
    if fault:
        return f".syscalls{fault}"
    if not result.get("operations"):
        return ".operations: must be above 0"
    numbers = counts.get("numbers", {})
    bad = next((key for key in numbers if not _NUMBER_OF_A_CALL.fullmatch(key)), None)
    return "" if bad is None else f".syscalls.numbers.{bad}: must be the number of a system call"


def is_slow(result: Mapping[str, Any]) -> bool:
    """Whether one replay of a throughput process took so long that one process has to do."""
    cold_ns_per_op = float(result.get("throughput", {}).get("cold_ns_per_op", 0.0))
    return cold_ns_per_op * int(result.get("operations", 0)) > SLOW_REPLAY_NS
