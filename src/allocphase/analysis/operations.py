"""One cell's operations as a frame: each call's latency, its system calls, its faults, its cause.

Of a trace beyond arrays.RAW_OPS nothing is kept of most calls: its frame has the slowest ones.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocphase.analysis.latency import CAUSES, Rows, causes_of
from allocphase.analysis.latency.attribution import PAGE_FAULT, PREEMPTION, SLEEP, SYSTEM_CALL
from allocphase.operation import KIND_NAMES
from allocphase.probe.arrays import OUTLIER, SLOW_CALL, Arrays
from allocphase.probe.consistency import thread_counts
from allocphase.probe.probe import Probe
from allocphase.probe.result import Syscalls
from allocphase.store.record import ProcessRecord

__all__ = ["Found", "operations_frame"]

# The process that a probe's columns come from, and its arrays.
Found = tuple[ProcessRecord, Arrays]

_SLOW_COLUMNS = {"call_faults": "faults", "sleeps": "sleeps", "preemptions": "preemptions"}
_EVENT_COLUMNS = {
    "syscalls": SYSTEM_CALL,
    "call_faults": PAGE_FAULT,
    "sleeps": SLEEP,
    "preemptions": PREEMPTION,
}


def operations_frame(ops: Arrays, found: Mapping[Probe, Found]) -> pd.DataFrame:
    """A row an operation, in the order of the trace; the index is its place there.

    ops: RunFiles.operations. found: by probe. Columns: see Run.operations_of, without the cell's.
    """
    long = len(ops["kind"]) < thread_counts(ops).sum()
    frame = _slowest(ops, found.get(Probe.LATENCY)) if long else _every(ops)
    _add_latency(frame, found.get(Probe.LATENCY))
    _add_syscalls(frame, found.get(Probe.SYSCALLS))
    _add_touch_faults(frame, found.get(Probe.FAULTS))
    bits = sum((frame[name] > 0) * bit for name, bit in _EVENT_COLUMNS.items())
    frame["cause"] = _categorical(causes_of(bits), CAUSES, frame.index)
    return frame


def _every(ops: Arrays) -> pd.DataFrame:
    frame = pd.DataFrame({name: ops[name] for name in ("thread", "op", "kind", "size")})
    frame["kind"] = _categorical(ops["kind"], KIND_NAMES, frame.index)
    return frame


def _slowest(ops: Arrays, found: Found | None) -> pd.DataFrame:
    """The outliers of a long trace carry their own kind, size and thread."""
    kept = found[1].get("outliers", np.empty(0, OUTLIER)) if found else np.empty(0, OUTLIER)
    kept = kept[np.argsort(kept["op"])]
    thread = kept["thread"]
    counts = thread_counts(ops)
    starts = np.cumsum(counts) - counts
    frame = pd.DataFrame(
        {
            "thread": thread,
            "op": (kept["op"].astype(np.int64) - starts[thread]).astype(np.uint32),
            "size": kept["size"],
        },
        index=kept["op"].astype(np.int64),
    )
    frame.insert(2, "kind", _categorical(kept["kind"], KIND_NAMES, frame.index))
    return frame


def _add_latency(frame: pd.DataFrame, found: Found | None) -> None:
    frame[["latency_ns", "touch_ns"]] = np.nan
    frame[list(_SLOW_COLUMNS)] = 0
    if found is None:
        return
    record, arrays = found
    ns_per_tick = 1e9 / record.clock.hz
    if "call_ticks" in arrays:
        frame["latency_ns"] = arrays["call_ticks"] * ns_per_tick
        frame["touch_ns"] = arrays["touch_ticks"] * ns_per_tick
    elif "outliers" in arrays:  # a long trace keeps its slowest calls one by one
        places, kept = _places(frame, arrays["outliers"]["op"].astype(np.int64))
        latency = np.full(len(frame), np.nan)
        latency[places] = arrays["outliers"]["ticks"][kept] * ns_per_tick
        frame["latency_ns"] = latency
    slow = arrays.get("slow", np.empty(0, SLOW_CALL))
    places, kept = _places(frame, slow["op"].astype(np.int64))
    for column, field in _SLOW_COLUMNS.items():
        frame[column] = _counts(places, slow[field][kept], len(frame))


def _places(frame: pd.DataFrame, rows: Rows) -> tuple[Rows, npt.NDArray[np.bool_]]:
    """Where the rows stand in the frame, and which of them do."""
    places = np.asarray(frame.index.get_indexer(pd.Index(rows)), dtype=np.int64)
    kept = places >= 0
    return places[kept], kept


def _counts(places: Rows, values: npt.NDArray[Any], length: int) -> npt.NDArray[np.int64]:
    """The sum of the values that fall on each place, shape (length,)."""
    return np.bincount(places, weights=values, minlength=length).astype(np.int64)


def _add_syscalls(frame: pd.DataFrame, found: Found | None) -> None:
    frame["syscalls"] = 0
    frame["syscall_names"] = ""
    if found is None or len(found[1].get("syscalls", ())) == 0:
        return
    record, arrays = found
    places, kept = _places(frame, arrays["syscalls"]["op"].astype(np.int64))
    if not places.size:
        return
    known = {int(number): name for number, name in record.part(Syscalls).numbers.items()}
    numbers, which = np.unique(arrays["syscalls"]["number"][kept], return_inverse=True)
    names = np.array([known.get(int(n), f"syscall_{n}") for n in numbers], dtype=object)
    texts = np.full(len(frame), "", dtype=object)
    at, joined = _names_by_row(places, names[which])
    texts[at] = joined
    frame["syscalls"] = np.bincount(places, minlength=len(frame))
    frame["syscall_names"] = texts


def _names_by_row(
    rows: Rows, names: npt.NDArray[np.object_]
) -> tuple[Rows, npt.NDArray[np.object_]]:
    """Rows without repeats, and the names of each row's calls in order, joined by +."""
    order = np.argsort(rows, kind="stable")
    named = names[order]
    found, starts, counts = np.unique(rows[order], return_index=True, return_counts=True)
    texts = named[starts]
    for rank in range(1, int(counts.max())):
        more = counts > rank
        texts[more] = texts[more] + "+" + named[starts[more] + rank]
    return found, texts


def _add_touch_faults(frame: pd.DataFrame, found: Found | None) -> None:
    frame["touch_faults"] = 0
    if found is None or "faults" not in found[1]:
        return
    events = found[1]["faults"]
    places, kept = _places(frame, events["op"].astype(np.int64))
    frame["touch_faults"] = _counts(places, events["touch_faults"][kept], len(frame))


def _categorical(
    codes: npt.NDArray[Any], names: Sequence[str], index: pd.Index[Any]
) -> pd.Series[Any]:
    dtype = pd.CategoricalDtype(list(names))
    return pd.Series(pd.Categorical.from_codes(codes.astype(np.int64), dtype=dtype), index=index)
