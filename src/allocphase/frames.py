"""A run as tidy pandas frames: `allocphase.load(path)`.

    run.cells        a row a cell: allocator, scenario, status, warnings, and its metrics with
                     dots for levels (latency_ns.malloc.p99)
    run.processes    a row a process, with its one number
    run.operations   a row an operation of each cell, with its latency and its cause

An operation's latency, system calls and faults come from different processes: they belong
together because the trace is the same, operation by operation.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocphase.metrics import KIND_NAMES, cell_metrics, process_time_ns
from allocphase.result import ProcessRecord, RunFiles
from allocphase.samples import SLOW_CALL, Arrays
from allocphase.warnings import cell_warnings

__all__ = ["CAUSES", "Run", "load"]

# Why a call may have been slow. `waited`: the thread slept in the call (a lock, as a rule);
# `preempted`: somebody else ran on its CPU, which is the machine's doing.
CAUSES = ("system call", "page fault", "waited", "preempted", "neither")


class Run:
    """One run directory, read lazily. Raises UsageError where the files are not a run's."""

    def __init__(self, path: Path) -> None:
        self.files = RunFiles(path)
        self.path = path
        self.manifest = self.files.manifest

    @property
    def allocators(self) -> list[str]:
        """Names in the order of the plan, without the floor."""
        return [entry["name"] for entry in self.manifest["allocators"] if not entry.get("floor")]

    @property
    def floor(self) -> str | None:
        """The name of the null allocator, when it ran."""
        names = [entry["name"] for entry in self.manifest["allocators"] if entry.get("floor")]
        return names[0] if names else None

    @property
    def scenarios(self) -> list[str]:
        """Names in the order of the plan."""
        return [entry["name"] for entry in self.manifest["scenarios"]]

    @cached_property
    def records(self) -> list[ProcessRecord]:
        """The journal."""
        return self.files.processes()

    def records_of(self, allocator: str, scenario: str) -> list[ProcessRecord]:
        """The processes of one cell, in order of finishing."""
        return [r for r in self.records if r.allocator == allocator and r.scenario == scenario]

    @cached_property
    def cell_list(self) -> list[dict[str, Any]]:
        """The cells as `--json` has them: allocator, scenario, status, metrics, warnings.

        The floor has no cell of its own; its figure stands in each cell's `floor_ns`.
        """
        planned = [(a, s) for s in self.scenarios for a in self.allocators if self.planned(a, s)]
        return [self._cell(allocator, scenario) for allocator, scenario in planned]

    def planned(self, allocator: str, scenario: str) -> bool:
        """Whether the plan has this cell: very slow allocators stay out of long scenarios."""
        left_out = self.manifest["plan"].get("left_out", {})
        return scenario not in left_out.get(allocator, [])

    @cached_property
    def cells(self) -> pd.DataFrame:
        """See the module's docstring."""
        rows = []
        for cell in self.cell_list:
            row = {key: cell[key] for key in ("allocator", "scenario", "status", "message")}
            row["warnings"] = tuple(cell["warnings"])
            rows.append({**row, **_flatten(cell["metrics"])})
        return pd.DataFrame(rows)

    @cached_property
    def processes(self) -> pd.DataFrame:
        """See the module's docstring."""
        return pd.DataFrame([_process_row(record) for record in self.records])

    @cached_property
    def operations(self) -> pd.DataFrame:
        """Every cell's operations; large: one cell at a time is `operations_of`."""
        parts = [self.operations_of(a, s) for s in self.scenarios for a in self.allocators]
        return pd.concat(parts, ignore_index=True) if parts else pd.DataFrame()

    def operations_of(self, allocator: str, scenario: str) -> pd.DataFrame:
        """One row per operation of a cell, in the order of the trace.

        Columns: allocator, scenario, thread, op, kind, size; of the first latency process:
        latency_ns and touch_ns (NaN beyond the raw samples), call_faults, sleeps, preemptions;
        of the others: syscalls (a count), syscall_names, touch_faults; and cause.
        """
        ops = self.files.operations(scenario)
        frame = pd.DataFrame(
            {
                "thread": ops["thread"],
                "op": ops["op"],
                "kind": _categorical(ops["kind"], KIND_NAMES),
                "size": ops["size"],
            }
        )
        records = [r for r in self.records_of(allocator, scenario) if r.status == "ok"]
        _add_latency(frame, self._first(records, "latency"))
        _add_syscalls(frame, self._first(records, "syscalls"))
        _add_touch_faults(frame, self._first(records, "memory"))
        frame["cause"] = _causes(frame)
        frame.insert(0, "scenario", scenario)
        frame.insert(0, "allocator", allocator)
        return frame

    def samples_of(self, allocator: str, scenario: str, probe: str) -> list[Arrays]:
        """The arrays of each good process of a cell under one probe."""
        return [
            self.files.samples(r.id)
            for r in self.records_of(allocator, scenario)
            if r.probe == probe and r.status == "ok"
        ]

    def _first(
        self, records: Sequence[ProcessRecord], probe: str
    ) -> tuple[ProcessRecord, Arrays] | None:
        chosen = next((r for r in records if r.probe == probe), None)
        return (chosen, self.files.samples(chosen.id)) if chosen else None

    def _cell(self, allocator: str, scenario: str) -> dict[str, Any]:
        records = self.records_of(allocator, scenario)
        kinds = self.files.operations(scenario)["kind"]
        metrics = cell_metrics(records, self.files.samples, kinds)
        metrics["floor_ns"] = self._floor_ns(scenario)
        bad = next((r for r in records if r.status != "ok"), None)
        return {
            "allocator": allocator,
            "scenario": scenario,
            "status": bad.status if bad else "ok" if records else "not measured",
            "message": f"{bad.probe}: {bad.message}" if bad else "",
            "metrics": metrics,
            "warnings": cell_warnings(records, metrics),
        }

    def _floor_ns(self, scenario: str) -> float | None:
        if self.floor is None:
            return None
        times = [
            process_time_ns(r)
            for r in self.records_of(self.floor, scenario)
            if r.probe == "throughput" and r.status == "ok"
        ]
        return float(np.median(times)) if times else None


def load(path: str | Path) -> Run:
    """The run in a run directory. Raises UsageError when it is none."""
    return Run(Path(path))


def _flatten(metrics: Mapping[str, Any], prefix: str = "") -> dict[str, Any]:
    flat: dict[str, Any] = {}
    for key, value in metrics.items():
        if isinstance(value, Mapping):
            flat.update(_flatten(value, f"{prefix}{key}."))
        else:
            flat[f"{prefix}{key}"] = value
    return flat


def _process_row(record: ProcessRecord) -> dict[str, Any]:
    usage = record.result.get("usage", {})
    return {
        "id": record.id,
        "round": record.round,
        "allocator": record.allocator,
        "scenario": record.scenario,
        "probe": record.probe,
        "status": record.status,
        "message": record.message,
        "wall_s": record.wall_s,
        "time_per_op_ns": process_time_ns(record),
        "involuntary_switches": usage.get("involuntary_switches"),
    }


def _add_latency(frame: pd.DataFrame, found: tuple[ProcessRecord, Arrays] | None) -> None:
    frame[["latency_ns", "touch_ns"]] = np.nan
    frame[list(_SLOW_COLUMNS)] = 0
    if found is None:
        return
    record, arrays = found
    ns_per_tick = 1e9 / record.result["clock"]["hz"]
    if "call_ticks" in arrays:
        frame["latency_ns"] = arrays["call_ticks"] * ns_per_tick
        frame["touch_ns"] = arrays["touch_ticks"] * ns_per_tick
    elif "outliers" in arrays:  # a long trace keeps its slowest calls one by one
        position = arrays["outliers"]["op"].astype(np.int64)
        frame.loc[position, "latency_ns"] = arrays["outliers"]["ticks"] * ns_per_tick
    slow = arrays.get("slow", np.empty(0, SLOW_CALL))
    rows = slow["op"].astype(np.int64)
    for column, field in _SLOW_COLUMNS.items():
        frame[column] = _counts(rows, slow[field], len(frame))


_SLOW_COLUMNS = {"call_faults": "faults", "sleeps": "sleeps", "preemptions": "preemptions"}


def _counts(
    rows: npt.NDArray[np.int64], weights: npt.NDArray[Any], length: int
) -> npt.NDArray[np.int64]:
    return np.bincount(rows, weights=weights, minlength=length).astype(np.int64)


def _positions(frame: pd.DataFrame, events: npt.NDArray[Any]) -> npt.NDArray[np.int64]:
    """Rows of the operations that events name by (thread, op)."""
    counts = np.bincount(frame["thread"])
    starts = np.cumsum(counts) - counts
    rows: npt.NDArray[np.int64] = starts[events["thread"]] + events["op"].astype(np.int64)
    return rows


def _add_syscalls(frame: pd.DataFrame, found: tuple[ProcessRecord, Arrays] | None) -> None:
    frame["syscalls"] = 0
    frame["syscall_names"] = ""
    if found is None or len(found[1].get("syscalls", ())) == 0:
        return
    record, arrays = found
    events = arrays["syscalls"]
    rows = _positions(frame, events)
    known = {int(n): name for n, name in record.result["syscalls"].get("numbers", {}).items()}
    numbers, which = np.unique(events["number"], return_inverse=True)
    names = np.array([known.get(int(n), f"syscall_{n}") for n in numbers], dtype=object)
    texts = np.full(len(frame), "", dtype=object)
    at, joined = _names_by_row(rows, names[which])
    texts[at] = joined
    frame["syscalls"] = np.bincount(rows, minlength=len(frame))
    frame["syscall_names"] = texts


def _names_by_row(
    rows: npt.NDArray[np.int64], names: npt.NDArray[np.object_]
) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.object_]]:
    """Rows without repeats, and the names of each row's calls in order, joined by +."""
    order = np.argsort(rows, kind="stable")
    named = names[order]
    found, starts, counts = np.unique(rows[order], return_index=True, return_counts=True)
    texts = named[starts]
    for rank in range(1, int(counts.max())):
        more = counts > rank
        texts[more] = texts[more] + "+" + named[starts[more] + rank]
    return found, texts


def _add_touch_faults(frame: pd.DataFrame, found: tuple[ProcessRecord, Arrays] | None) -> None:
    frame["touch_faults"] = 0
    if found is None or "faults" not in found[1]:
        return
    events = found[1]["faults"]
    frame["touch_faults"] = _counts(_positions(frame, events), events["touch_faults"], len(frame))


def _causes(frame: pd.DataFrame) -> pd.Series[Any]:
    """What explains the call best: a call that slept did so in a system call, and so on."""
    waited, called = frame["sleeps"] > 0, frame["syscalls"] > 0
    faulted, preempted = frame["call_faults"] > 0, frame["preemptions"] > 0
    codes = np.select([waited, called, faulted, preempted], [2, 0, 1, 3], default=4)
    return _categorical(codes, CAUSES)


def _categorical(codes: npt.NDArray[Any], names: Sequence[str]) -> pd.Series[Any]:
    dtype = pd.CategoricalDtype(list(names))
    return pd.Series(pd.Categorical.from_codes(codes.astype(np.int64), dtype=dtype))
