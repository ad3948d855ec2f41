"""A run as tidy pandas frames: `allocphase.load(path)`.

    run.cells        a row a cell: allocator, scenario, status, warnings, and its metrics with
                     dots for levels (latency_ns.malloc.p99)
    run.processes    a row a process, with its one number
    run.operations   a row an operation of each cell, with its latency and its cause

An operation's latency, system calls and faults come from different processes: they belong
together because the trace is the same, operation by operation.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocphase.analysis.baseline import Times, against, default_baseline, times_by_round
from allocphase.analysis.cell import Cell
from allocphase.analysis.latency import (
    CAUSES,
    Latencies,
    ProcessCalls,
    Replay,
    Rows,
    arrays_of,
    called_rows,
    kinds_of,
    pool,
    process_calls,
)
from allocphase.analysis.lost import message_of
from allocphase.analysis.metrics import (
    cell_metrics,
    flatten,
    hardware_per_op,
    process_time_ns,
    replay_share,
)
from allocphase.analysis.operations import Found, operations_frame
from allocphase.analysis.program_metrics import output_of
from allocphase.analysis.warnings import cell_warnings
from allocphase.probe.arrays import Arrays
from allocphase.probe.consistency import thread_counts
from allocphase.probe.probe import Probe
from allocphase.probe.result import Memory
from allocphase.probe.status import Status
from allocphase.store.reader import RunFiles
from allocphase.store.record import ProcessRecord

__all__ = ["CAUSES", "Run", "load"]


class Run:
    """One run directory, read lazily. Raises UsageError where the files are not a run's."""

    def __init__(self, path: Path) -> None:
        self.files = RunFiles(path)
        self.path = path
        self.manifest = self.files.manifest
        self._latencies: dict[tuple[str, str], Mapping[Replay, Latencies]] = {}
        self._operations: tuple[str, Arrays] = ("", {})

    @property
    def allocators(self) -> list[str]:
        """Names in the order of the plan, without the floor."""
        return [entry.name for entry in self.manifest.allocators if not entry.floor]

    @property
    def floor(self) -> str | None:
        """The name of the null allocator, when it ran."""
        names = [entry.name for entry in self.manifest.allocators if entry.floor]
        return names[0] if names else None

    @property
    def baseline(self) -> str | None:
        """The allocator that the others' `saved_per_op_ns` is over; None in a run without any."""
        return default_baseline(self.allocators)

    @property
    def scenarios(self) -> list[str]:
        """Names in the order of the plan."""
        return [entry.name for entry in self.manifest.scenarios]

    @property
    def programs(self) -> list[str]:
        """Of these the programs: they have no trace, and no operations."""
        return [entry.name for entry in self.manifest.scenarios if entry.program is not None]

    @cached_property
    def records(self) -> list[ProcessRecord]:
        """The journal."""
        return self.files.processes()

    @cached_property
    def _by_cell(self) -> dict[tuple[str, str], list[ProcessRecord]]:
        found: dict[tuple[str, str], list[ProcessRecord]] = {}
        for record in self.records:
            found.setdefault((record.allocator, record.scenario), []).append(record)
        return found

    def records_of(self, allocator: str, scenario: str) -> list[ProcessRecord]:
        """The processes of one cell, in order of finishing."""
        return list(self._by_cell.get((allocator, scenario), ()))

    @cached_property
    def times(self) -> dict[tuple[str, str], Times]:
        """ns per operation by round of each (allocator, scenario) that was timed."""
        return times_by_round(self.records)

    @cached_property
    def cell_list(self) -> list[Cell]:
        """The cells, in the order of scenarios.

        The floor has no cell of its own; its figure stands in each cell's `floor_ns`, and its
        share of the cell's time in `replay_share`. The baseline is a cell like any other, and saves
        nothing.
        """
        planned = [(a, s) for s in self.scenarios for a in self.allocators if self.planned(a, s)]
        return [self._cell(allocator, scenario) for allocator, scenario in planned]

    def planned(self, allocator: str, scenario: str) -> bool:
        """Whether the plan has this cell: very slow allocators stay out of long scenarios."""
        return scenario not in self.manifest.plan.left_out.get(allocator, ())

    @cached_property
    def cells(self) -> pd.DataFrame:
        """See the module's docstring."""
        rows = []
        for cell in self.cell_list:
            row = {
                "allocator": cell.allocator,
                "scenario": cell.scenario,
                "status": cell.status.value,
                "message": cell.message,
                "warnings": tuple(warning.text for warning in cell.warnings),
            }
            rows.append({**row, **flatten(cell.metrics)})
        return pd.DataFrame(rows)

    @cached_property
    def processes(self) -> pd.DataFrame:
        """See the module's docstring."""
        return pd.DataFrame([_process_row(record) for record in self.records])

    @cached_property
    def operations(self) -> pd.DataFrame:
        """Every cell's operations; large: one cell at a time is `operations_of`."""
        traced = [scenario for scenario in self.scenarios if scenario not in self.programs]
        parts = [self.operations_of(a, s) for s in traced for a in self.allocators]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def operations_of(self, allocator: str, scenario: str) -> pd.DataFrame:
        """One row per operation of a cell, in the order of the trace, as the first replay found it;
        the index is its place.

        Columns: allocator, scenario, thread, op, kind, size; of the first latency process:
        latency_ns and touch_ns, call_faults, sleeps, preemptions; of the others: syscalls (a
        count), syscall_names, touch_faults; and cause.

        Of a trace beyond arrays.RAW_OPS, only the slowest calls are kept one by one (65,536 in
        all): its frame has no other rows, and no touch_ns.
        """
        found: dict[Probe, Found] = {
            probe: first
            for probe in (Probe.LATENCY, Probe.SYSCALLS, Probe.FAULTS)
            if (first := self.first(allocator, scenario, probe)) is not None
        }
        frame = operations_frame(self.trace_operations(scenario), found)
        frame.insert(0, "scenario", scenario)
        frame.insert(0, "allocator", allocator)
        return frame

    def trace_operations(self, scenario: str) -> Arrays:
        """`kind`, `size`, `thread`, `op` of a scenario's operations: see RunFiles.operations.

        And `thread_ops`, shape (threads,): how many each thread has, also of a long trace. The last
        scenario that was asked for is kept: cells are read scenario by scenario.
        """
        if self._operations[0] != scenario:
            ops = self.files.operations(scenario)
            self._operations = (scenario, {**ops, "thread_ops": thread_counts(ops)})
        return self._operations[1]

    def thread_counts(self, scenario: str) -> npt.NDArray[np.int64]:
        """How many operations each thread of a scenario has, shape (threads,)."""
        return self.trace_operations(scenario)["thread_ops"]

    def latencies(self, allocator: str, scenario: str, which: Replay = Replay.WARM) -> Latencies:
        """The latencies of a cell in its warm replays, or in the first, by kind and by cause."""
        return self.latencies_by_replay(allocator, scenario)[which]

    def latencies_by_replay(self, allocator: str, scenario: str) -> Mapping[Replay, Latencies]:
        """Of both; read once, since they are the bulk."""
        key = (allocator, scenario)
        if key not in self._latencies:
            if scenario in self.programs:
                return {}
            records = [r for r in self.records_of(*key) if r.probe is Probe.LATENCY and r.ok]
            self._latencies[key] = pool(
                records,
                self.files.samples,
                self.trace_operations(scenario),
                called=self._called(*key) if records else {},
                threads=len(self.thread_counts(scenario)),
            )
        return self._latencies[key]

    def process_calls(self, record: ProcessRecord, *, called: Rows) -> ProcessCalls:
        """The timed calls of one latency process in its warm replays; `called`: called_rows of its
        cell.
        """
        kinds = kinds_of(self.trace_operations(record.scenario), Replay.WARM)
        arrays = arrays_of(self.files.samples(record.id), Replay.WARM)
        return process_calls(record, arrays, kinds, called=called)

    def called_rows(
        self, allocator: str, scenario: str, which: Replay = Replay.WARM
    ) -> Rows | None:
        """The places in the replays at which a cell made system calls; None where nobody saw."""
        return self._called(allocator, scenario).get(which)

    def _called(self, allocator: str, scenario: str) -> Mapping[Replay, Rows | None]:
        first = self.first(allocator, scenario, Probe.SYSCALLS)
        if first is None:
            return {}
        return {which: called_rows(first[0], arrays_of(first[1], which)) for which in Replay}

    def first(self, allocator: str, scenario: str, probe: Probe) -> Found | None:
        """The first good process of a cell under one probe, in the order of the plan, with its
        arrays; of a gate's latency processes the first whose samples are kept.
        """
        records = self.records_of(allocator, scenario)
        good = [r for r in records if r.probe is probe and r.ok and r.has_samples]
        if not good:
            return None
        found = min(good, key=lambda record: record.id)
        return found, self.files.samples(found.id)

    def _cell(self, allocator: str, scenario: str) -> Cell:
        records = self.records_of(allocator, scenario)
        metrics = cell_metrics(records, self.latencies_by_replay(allocator, scenario))
        metrics["floor_ns"] = self._floor_ns(scenario)
        metrics["replay_share"] = replay_share(metrics.get("time_per_op_ns"), metrics["floor_ns"])
        if "hardware_per_op" in metrics and (floor := self._hardware_floor(scenario)):
            metrics["hardware_floor_per_op"] = floor
        metrics |= self._saved(allocator, scenario)
        metrics |= self._startup(allocator, scenario)
        bad = next((r for r in records if not r.ok), None)
        return Cell(
            allocator=allocator,
            scenario=scenario,
            status=bad.status if bad else Status.OK if records else Status.NOT_MEASURED,
            message=message_of(bad, records) if bad else "",
            metrics=metrics,
            warnings=cell_warnings(
                records,
                metrics,
                ignored_settings=self.manifest.ignored_settings(allocator),
                prints_unlike=self._prints_unlike(scenario, metrics.get("output_sha256")),
            ),
        )

    def _prints_unlike(self, scenario: str, output_sha256: str | None) -> str:
        """The baseline, where a program printed something else under it each time; else empty."""
        if output_sha256 is None or self.baseline is None:
            return ""
        found = output_of(self.records_of(self.baseline, scenario))
        return self.baseline if found not in (None, output_sha256) else ""

    def _saved(self, allocator: str, scenario: str) -> dict[str, Any]:
        """Of a cell that was timed; null where no round has a time of the baseline too."""
        if (allocator, scenario) not in self.times:
            return {}
        base = self.times.get((self.baseline or "", scenario))
        found = against(base, self.times[allocator, scenario])
        name = "saved_wall_time_ns" if scenario in self.programs else "saved_per_op_ns"
        if found is None:
            return {name: None, f"{name}_interval": None}
        saved = found.saved
        return {
            name: saved.estimate,
            f"{name}_interval": [saved.lower, saved.upper] if saved.bounded else None,
        }

    def _startup(self, allocator: str, scenario: str) -> dict[str, int]:
        """What an allocator has before the first operation, beyond what libc has there."""
        mine = self._base_rss(allocator, scenario)
        libc = self._base_rss("libc", scenario)
        if mine is None or libc is None:
            return {}
        return {"startup_rss_bytes": max(mine - libc, 0)}

    def _base_rss(self, allocator: str, scenario: str) -> int | None:
        bases = [
            record.part(Memory).base_rss_bytes
            for record in self.records_of(allocator, scenario)
            if record.probe is Probe.MEMORY and record.ok
        ]
        return int(np.median(bases)) if bases else None

    def _hardware_floor(self, scenario: str) -> dict[str, float]:
        records = self.records_of(self.floor or "", scenario)
        return hardware_per_op([r for r in records if r.probe is Probe.HARDWARE and r.ok])

    def _floor_ns(self, scenario: str) -> float | None:
        if self.floor is None:
            return None
        times = [
            process_time_ns(r)
            for r in self.records_of(self.floor, scenario)
            if r.probe is Probe.THROUGHPUT and r.ok
        ]
        return float(np.median(times)) if times else None


def load(path: str | Path) -> Run:
    """The run in a run directory. Raises UsageError when it is none."""
    return Run(Path(path))


def _process_row(record: ProcessRecord) -> dict[str, Any]:
    usage = record.result.usage
    return {
        "id": record.id,
        "round": record.round,
        "repeat": record.repeat,
        "allocator": record.allocator,
        "scenario": record.scenario,
        "probe": record.probe.value,
        "status": record.status.value,
        "message": record.message,
        "wall_s": record.wall_s,
        "time_per_op_ns": None if record.probe.of_programs else process_time_ns(record),
        "wall_time_ns": process_time_ns(record) if record.probe.of_programs else None,
        "involuntary_switches": usage.involuntary_switches if usage else None,
    }
