"""Runs written by hand for claims to be judged on: every figure in them is known."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from allocphase.analysis import frames
from allocphase.claim import Judged, Section, judge, load
from allocphase.files.typed import read
from allocphase.probe.arrays import SLOW_CALL, SYSCALL_EVENT, Arrays
from allocphase.probe.probe import Probe
from allocphase.probe.result import Result
from allocphase.probe.status import Status
from allocphase.store.record import ProcessRecord
from allocphase.store.writer import RunWriter
from tests.support.manifests import allocator_entry, manifest_of, scenario_entry
from tests.support.replays import with_warm_replays
from tests.support.runs import memory_part

__all__ = ["Writer", "check", "count", "judged", "only", "ratio"]

MALLOC, FREE = 0, 4
# Ten mallocs, then ten frees: enough for a p90 with one call above it.
WARM_REPLAYS = 10  # so that few calls have a tail
KINDS = np.repeat(np.array([MALLOC, FREE], dtype=np.uint8), 10)
HEAD = 'title = "T"\nsource = "S"\n[[claim]]\nid = "A"\ntext = "t"\nsource = "s"\n'


@dataclass
class Writer:
    """A run directory in the making, with the scenarios `flow` and `flow?n=...`."""

    folder: Path
    scenarios: Sequence[str] = ("flow",)
    processes: int = 0

    def __post_init__(self) -> None:
        self.writer = RunWriter(self.folder)
        manifest = manifest_of(
            [allocator_entry(name) for name in ("slow", "quick")],
            [scenario_entry(name, 6) for name in self.scenarios],
            label="by hand",
            started="2026-01-01T00:00:00+00:00",
            environment={"cpu": "Abacus"},
        )
        self.writer.write_manifest(manifest)
        size = np.zeros(len(KINDS), np.uint32)
        rank = np.arange(len(KINDS), dtype=np.uint32)
        arrays: Arrays = {"kind": KINDS, "size": size, "thread": size.astype(np.uint16), "op": rank}
        arrays |= dict.fromkeys(("thread_build", "thread_drain"), np.zeros(1, np.int64))
        for index in range(len(self.scenarios)):
            self.writer.write_operations(index, arrays)

    def add(
        self,
        allocator: str,
        probe: str,
        result: Mapping[str, Any],
        arrays: Arrays | None = None,
        *,
        round_index: int = 0,
        scenario: str = "flow",
        status: str = "ok",
    ) -> None:
        record = ProcessRecord(
            id=self.processes,
            round=round_index,
            allocator=allocator,
            scenario=scenario,
            probe=Probe(probe),
            status=Status(status),
            message="" if status == "ok" else "by hand",
            wall_s=0.1,
            result=read(Result, result),
        )
        self.writer.add(record, arrays or {})
        self.processes += 1

    def times(
        self,
        allocator: str,
        times_ns: Sequence[float],
        *,
        scenario: str = "flow",
        switches: int = 0,
    ) -> None:
        """A throughput process in each round; `switches`: how often each was put aside."""
        for index, time_ns in enumerate(times_ns):
            passes = {"warm_ns_per_op": [time_ns], "cold_ns_per_op": time_ns}
            self.add(
                allocator,
                "throughput",
                {"throughput": passes, "usage": {"involuntary_switches": switches}},
                round_index=index,
                scenario=scenario,
            )

    def latencies(
        self,
        allocator: str,
        calls_ns: Sequence[int],
        *,
        rounds: int = 5,
        faults: Sequence[int] = (),
        clock: tuple[float, float] = (1.0, 1.0),
        dropped: int = 0,
        scenario: str = "flow",
    ) -> None:
        """A latency process in each round; `faults`: operations with a page fault.

        clock: what a pair of readings costs and the step, in ns. dropped: slow calls not kept.
        """
        ticks = np.array(calls_ns, dtype=np.uint32)
        slow = np.array([(op, 1, 0, 0) for op in faults], dtype=SLOW_CALL)
        first = {"call_ticks": ticks, "touch_ticks": ticks * 0, "slow": slow}
        arrays = with_warm_replays(first, operations=len(ticks), warm=WARM_REPLAYS)
        for index in range(rounds):
            result = {
                "clock": {"hz": 1e9, "overhead_ns": clock[0], "step_ns": clock[1]},
                "latency": {"slow_calls_dropped": dropped},
            }
            self.add(allocator, "latency", result, arrays, round_index=index, scenario=scenario)

    def calls(
        self,
        allocator: str,
        operation: Mapping[str, int],
        *,
        init: Mapping[str, int] | None = None,
        at: Sequence[int] = (),
        stats: Mapping[str, float] | None = None,
        scenario: str = "flow",
    ) -> None:
        """A syscalls process; `at`: operations that made an mmap. stats: of a memory process."""
        counts = {"init": init, "operation": operation, "teardown": {}, "backend": "by hand"}
        result = {"operations": len(KINDS), "syscalls": {**counts, "numbers": {"9": "mmap"}}}
        if stats is not None:
            memory = {"memory": memory_part(), "allocator_stats": stats}
            self.add(allocator, "memory", memory, scenario=scenario)
        events = np.array([(op, 0, 9) for op in at], dtype=SYSCALL_EVENT)
        self.add(
            allocator,
            "syscalls",
            result,
            with_warm_replays({"syscalls": events}, operations=len(KINDS), warm=WARM_REPLAYS),
            scenario=scenario,
        )


def judged(run: Writer, checks: str, *, published: str = "", after: str = "") -> Section:
    path = run.folder / "claims.toml"
    path.write_text(f"{HEAD}published = {{ {published} }}\n{checks}\n{after}")
    return judge(load(str(path)), frames.load(run.folder))


def only(section: Section) -> Judged:
    (claim,) = section.claims
    return claim


def check(form: str, allocator: str, *lines: str) -> str:
    head = f'[[claim.check]]\nform = "{form}"\nallocator = "{allocator}"\nscenario = "flow"\n'
    return head + "\n".join(lines) + "\n"


def ratio(bound: str) -> str:
    return check(
        "ratio", "slow", 'metric = "time_per_op_ns"', 'to = { allocator = "quick" }', bound
    )


def count(metric: str, relation: str, allocator: str = "quick") -> str:
    return check("count", allocator, f'metric = "{metric}"', relation)
