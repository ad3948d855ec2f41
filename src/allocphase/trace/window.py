"""A window of a trace: some of its operations, and before them what was live when they began.

The preamble allocates each object that lives then, at the size that it has by then, in the order in
which they were allocated, by the threads that did. What still lives when the window ends is a
drain.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import numpy.typing as npt

from allocphase.trace.completion import complete
from allocphase.trace.provenance import Provenance, read_provenance, written_provenance
from allocphase.trace.records import (
    NO_THREAD,
    Draft,
    Kind,
    Trace,
    TraceError,
    kind_of,
    operations,
)
from allocphase.trace.schedule import global_order

__all__ = ["window"]

Indices = npt.NDArray[np.int64]
_NEW = (Kind.MALLOC, Kind.CALLOC, Kind.ALIGNED_ALLOC)
_SIZES = (*_NEW, Kind.REALLOC)


def window(trace: Trace, first: int, last: int) -> Trace:
    """The operations from `first` to before `last` in the order of schedule.global_order, which is
    that of the text form. Raises TraceError where there are none.
    """
    count = len(trace.ops)
    if not 0 <= first < last <= count:
        raise TraceError(f"has operations 0 to {count:,}: a window is of some of them")
    order = global_order(trace)
    before, inside = order[:first], order[first:last]
    birth, sized = _live(trace, before)
    end_birth, _ = _live(trace, order[:last])
    thread = _threads(trace)
    kinds = kind_of(trace.ops)
    preamble = operations(
        kinds[birth],
        trace.ops["slot"][birth],
        size=trace.ops["size"][sized],
        tag=trace.ops["tag"][birth],
        align_log2=trace.ops["align_log2"][birth],
    )
    chosen = trace.ops[inside].copy()
    chosen["epoch"], chosen["kind_flags"] = 0, kinds[inside]
    drain = operations(Kind.FREE, trace.ops["slot"][end_birth], tag=trace.ops["tag"][end_birth])
    mortal = trace.threads_end or bool((trace.threads["predecessor"] != NO_THREAD).any())
    freeing = len(trace.threads) if mortal else 0
    who = np.concatenate([thread[birth], thread[inside], np.full(len(drain), freeing)])
    used, who = np.unique(who, return_inverse=True)
    nothing = np.zeros(len(drain), np.uint32)
    draft = Draft(
        ops=np.concatenate([preamble, chosen, drain]),
        thread=who.astype(np.uint32) if len(used) > 1 else None,
        lane=tuple(range(len(used))) if len(used) > 1 else None,
        build_ops=len(preamble) + len(chosen),
        drain_ops=len(drain),
        tags=trace.tags,
        threads_end=mortal and len(used) > 1,
        gaps=_column(trace.gaps, np.zeros(len(birth), np.uint32), inside, nothing),
        touched=_column(
            trace.touched,
            None if trace.touched is None else trace.touched[sized],
            inside,
            nothing,
        ),
    )
    said = _provenance(trace, first, last)
    said = replace(said, preamble_operations=len(preamble), never_freed=len(drain))
    meta = written_provenance(said)
    return complete(draft, touch=trace.touch, work_ns=trace.work_ns, meta=meta)


def _threads(trace: Trace) -> Indices:
    counts = trace.threads["op_count"].astype(np.int64)
    return np.repeat(np.arange(len(counts)), counts)


def _live(trace: Trace, order: Indices) -> tuple[Indices, Indices]:
    """Of the objects that live behind the operations `order`: where each was allocated, and where
    it got its size; places in the trace, in the order of the allocations.
    """
    kind, slot = kind_of(trace.ops)[order], trace.ops["slot"][order]
    latest = {}
    for name, kinds in (("birth", _NEW), ("sized", _SIZES), ("death", (Kind.FREE,))):
        latest[name] = np.full(trace.slot_count, -1, np.int64)
        at = np.flatnonzero(np.isin(kind, kinds))
        latest[name][slot[at]] = at  # of several the last one stays
    live = np.flatnonzero(latest["birth"] > latest["death"])
    live = live[np.argsort(latest["birth"][live])]
    return order[latest["birth"][live]], order[latest["sized"][live]]


def _column(
    column: npt.NDArray[np.uint32] | None,
    before: npt.NDArray[np.uint32] | None,
    inside: Indices,
    behind: npt.NDArray[np.uint32],
) -> npt.NDArray[np.uint32] | None:
    if column is None or before is None:
        return None
    return np.concatenate([before, column[inside], behind])


def _provenance(trace: Trace, first: int, last: int) -> Provenance:
    said = read_provenance(trace.meta) or Provenance(origin="a trace")
    text = f"operations {first:,} to {last:,} of {len(trace.ops):,} of: {said.origin}"
    return replace(said, origin=text)
