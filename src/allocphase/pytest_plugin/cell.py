"""What a test gets back: one measured cell, its metrics named as in `--json`."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from allocphase.analysis.measures import value_at
from allocphase.analysis.metric_names import measure
from allocphase.errors import UsageError

__all__ = ["Cell"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Cell:
    """One allocator on one scenario, measured well: `status` is "ok", else the test has failed.

    `metrics` are those of docs/schema.md. `durations_s` has one number for each process of the
    throughput probe, the median of its warm replays in seconds per operation; of a program, its
    wall time. It is what pytest-benchmark recorded. `path` is the run directory, for
    `allocphase.load`.

    The properties raise UsageError when the probe that measures them did not run.
    """

    allocator: str
    scenario: str
    status: str
    warnings: tuple[str, ...]
    metrics: Mapping[str, Any]
    durations_s: tuple[float, ...]
    path: Path

    @property
    def time_per_op_ns(self) -> float:
        """Median over the processes."""
        return self.metric("time_per_op_ns")

    @property
    def floor_ns(self) -> float:
        """The null allocator's time per operation on the same trace; never subtracted."""
        return self.metric("floor_ns")

    @property
    def latency_ns(self) -> Mapping[str, Mapping[str, float | None]]:
        """By kind of operation, then p50, p90, p99, p99_9, p99_99, max, mean and samples."""
        return dict(self._at("latency_ns"))

    @property
    def syscalls(self) -> Mapping[str, int]:
        """System calls in operation: name to count."""
        return dict(self._at(measure("syscalls").path))

    @property
    def syscalls_per_op(self) -> float:
        """All system calls in operation, over the trace's operations."""
        return self.metric("syscalls_per_op")

    @property
    def instructions_per_op(self) -> float:
        """The allocator's own an operation, in a warm replay, as callgrind counts them: of the
        probe instructions, which runs where it is asked for.
        """
        return self.metric("instructions_per_op")

    @property
    def page_faults(self) -> int:
        """Minor faults in the calls and in the first writes to their memory."""
        return int(self.metric("page_faults"))

    @property
    def peak_live_bytes(self) -> int:
        """Requested and not freed, at its peak."""
        return int(self.metric("peak_live_bytes"))

    @property
    def peak_mapped_bytes(self) -> int:
        """Obtained from the system, at its peak."""
        return int(self.metric("peak_mapped_bytes"))

    @property
    def peak_rss_bytes(self) -> int:
        """Growth of the resident set, at its peak."""
        return int(self.metric("peak_rss_bytes"))

    @property
    def fragmentation(self) -> float:
        """Peak RSS growth over peak live bytes, minus 1."""
        return self.metric("fragmentation")

    @property
    def wall_time_ns(self) -> float:
        """Of a program, from its start to its end: median over the processes."""
        return self.metric("wall_time_ns")

    @property
    def cpu_time_ns(self) -> float:
        """Of a program with all that it started, on all CPUs: median over the processes."""
        return self.metric("cpu_time_ns")

    @property
    def program_peak_rss_bytes(self) -> int:
        """Resident in all of a program's processes together, at its peak."""
        return int(self.metric("program_peak_rss_bytes"))

    @property
    def program_page_faults(self) -> int:
        """Of a program with all that it started."""
        return int(self.metric("program_page_faults"))

    def metric(self, name: str) -> float:
        """A metric by either of its names: "p99", "latency_ns.free.p99", "syscalls.mmap".

        In the unit of its name in `--json`. Raises UsageError for a name that is no metric's, too.
        """
        one = measure(name)
        value = one.read(self.metrics)
        if math.isnan(value):
            raise self._not_measured(one.path)
        return value

    def _at(self, path: str) -> Any:
        value = value_at(self.metrics, path)
        if value is None:
            raise self._not_measured(path)
        return value

    def _not_measured(self, path: str) -> UsageError:
        return UsageError(
            f"{self.allocator} on {self.scenario}: {path} was not measured: there are "
            f"{', '.join(self.metrics)}"
        )
