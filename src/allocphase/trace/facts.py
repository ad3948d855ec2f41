"""What is in a trace: kinds, sizes, lifetimes, what is live, threads, hand-over, rate."""

from __future__ import annotations

import shlex
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.operation import Kind
from allocphase.text.units import counted, format_bytes, format_count, format_ns
from allocphase.trace.provenance import Provenance, read_provenance
from allocphase.trace.records import FLAGS_SHIFT, WAIT, Part, Touch, Trace, gaps_ns, kind_of
from allocphase.trace.schedule import global_order
from allocphase.trace.slots import History

__all__ = ["Facts", "facts_of", "facts_text", "program_live_bytes"]

POINTS = 60
_BARS = "▁▂▃▄▅▆▇█"
_QUANTILES = (0.5, 0.9, 0.99)


@dataclass(frozen=True, slots=True)
class Facts:
    """counts: by name of kind. sizes: bytes asked for, of each allocation and realloc. lifetimes:
    operations from an object's allocation to its free, of those that are freed before the drain.
    live: bytes after each of POINTS equal shares of the operations. own_ns: of all threads, between
    their calls; None where it was not recorded. touched: share of the bytes asked for that are.
    """

    counts: dict[str, int]
    sizes: npt.NDArray[np.uint32]
    lifetimes: npt.NDArray[np.int64]
    live: npt.NDArray[np.int64]
    peak_bytes: int
    threads: int
    threads_end: bool
    handed_over: int
    drained: int
    own_ns: int | None
    touched: float | None
    touch: Touch
    digest: str
    provenance: Provenance | None


def facts_of(trace: Trace) -> Facts:
    """Of a valid trace. Raises TraceError for a description that is none."""
    kinds, parts = kind_of(trace.ops), trace.part_of_ops()
    history, order = _in_global_order(trace)
    live = np.cumsum(history.live_change())
    at = np.linspace(0, len(live) - 1, min(POINTS, len(live))).astype(int)
    sized = kinds <= Kind.ALIGNED_ALLOC
    asked = int(np.sum(trace.ops["size"], where=sized, dtype=np.int64))
    return Facts(
        counts=trace.op_counts,
        sizes=trace.ops["size"][sized],
        lifetimes=_lifetimes(history, parts[order]),
        live=live[at],
        peak_bytes=trace.peak_live_bytes,
        threads=len(trace.threads),
        threads_end=trace.threads_end,
        handed_over=int(np.count_nonzero(trace.ops["kind_flags"] >> FLAGS_SHIFT & WAIT)),
        drained=trace.part_ops(Part.DRAIN),
        own_ns=None if trace.gaps is None else int(gaps_ns(trace.gaps).sum()),
        touched=None
        if trace.touched is None or not asked
        else int(trace.touched.sum(dtype=np.int64)) / asked,
        touch=trace.touch,
        digest=trace.digest,
        provenance=read_provenance(trace.meta),
    )


def program_live_bytes(trace: Trace) -> list[npt.NDArray[np.int64]]:
    """Of each thread with calls of the program's own, what they leave live: after each of them, all
    bytes that the thread allocated so far, less those that it freed. Without the drain and syncs.
    """
    history, order = _in_global_order(trace)
    change = np.empty(len(order), np.int64)
    change[order] = history.live_change()
    own = (kind_of(trace.ops) != Kind.SYNC) & (trace.part_of_ops() != Part.DRAIN)
    ends = np.cumsum(trace.threads["op_count"].astype(np.int64))[:-1]
    parts = zip(np.split(change, ends), np.split(own, ends), strict=True)
    return [np.cumsum(mine[is_own]) for mine, is_own in parts if is_own.any()]


def _in_global_order(trace: Trace) -> tuple[History, npt.NDArray[np.int64]]:
    """Slots' histories over all threads, and where in the trace each operation of that order is."""
    order = global_order(trace)
    ops = trace.ops[order]
    slot_order = np.lexsort((np.arange(len(ops)), ops["slot"]))
    first = np.ones(len(ops), np.bool_)
    grouped = ops["slot"][slot_order]
    first[1:] = grouped[1:] != grouped[:-1]
    return History(order=slot_order, ops=ops[slot_order], first=first), order


def _lifetimes(history: History, parts: npt.NDArray[np.uint8]) -> npt.NDArray[np.int64]:
    kind = kind_of(history.ops)
    new = np.isin(kind, (Kind.MALLOC, Kind.CALLOC, Kind.ALIGNED_ALLOC))
    here = np.arange(len(kind))
    born = history.order[np.maximum.accumulate(np.where(new, here, 0))]
    freed = (kind == Kind.FREE) & (parts[history.order] != Part.DRAIN)
    lifetimes: npt.NDArray[np.int64] = history.order[freed] - born[freed]
    return lifetimes


def facts_text(facts: Facts, *, name: str) -> str:
    """In lines, a fact each."""
    lines = [name, *(f"  {key:<10} {text}" for key, text in _lines(facts))]
    return "\n".join(lines)


def _lines(facts: Facts) -> Iterator[tuple[str, str]]:
    said = facts.provenance
    if said is not None:
        yield "origin", said.origin
        if said.command:
            yield "command", shlex.join(said.command)
        if said.recorded:
            under = f", under {said.allocator}" if said.allocator else ""
            yield "recorded", f"{said.recorded}{under}"
        if said.wall_ns:
            yield "recorder", _cost(said)
    kinds = ", ".join(f"{count:,} {kind}" for kind, count in facts.counts.items() if count)
    yield "operations", f"{format_count(sum(facts.counts.values()))}: {kinds}"
    if len(facts.sizes):
        low, high = (format_bytes(float(f(facts.sizes))) for f in (np.min, np.max))
        yield "sizes", f"{low} to {high}; {_quantiles(facts.sizes, format_bytes)}"
    if len(facts.lifetimes):
        yield "lifetimes", f"in operations: {_quantiles(facts.lifetimes, format_count)}"
    yield "live", f"{_spark(facts.live)}  peak {format_bytes(facts.peak_bytes)}"
    if facts.drained:
        yield "drain", f"{counted(facts.drained, 'object')} left, freed at the end"
    yield from _threads(facts)
    if facts.touched is not None:
        yield "touched", f"{facts.touched:.0%} of the bytes asked for"
    yield "touch", facts.touch.name.lower()
    if said is not None:
        for note, count in said.notes.items():
            yield "note", f"{note}: {count:,}"
    yield "digest", facts.digest


def _cost(said: Provenance) -> str:
    """What recording took."""
    wall = f"the program took {format_ns(said.wall_ns)}"
    if said.wall_without_ns:
        factor = said.wall_ns / said.wall_without_ns
        wall += f", {format_ns(said.wall_without_ns)} without it ({factor:.2f} times as long)"
    return f"{wall}; {format_bytes(said.recorder_rss_bytes)} of its own"


def _threads(facts: Facts) -> Iterator[tuple[str, str]]:
    if facts.threads > 1:
        ends = ", born and ended within it" if facts.threads_end else ""
        syncs = facts.counts.get("sync", 0)
        more = f", {counted(syncs, 'sync')}" if syncs else ""
        handed = counted(facts.handed_over, "hand-over")
        yield "threads", f"{facts.threads:,}{ends}; {handed}{more}"
    said = facts.provenance
    calls = sum(said.calls.values()) if said is not None else 0
    if said is not None and said.duration_ns and calls:
        rate = calls / (said.duration_ns / 1e9)
        yield "rate", f"{format_count(round(rate))} calls a second, {format_ns(said.duration_ns)}"
    if facts.own_ns is not None:
        each = facts.own_ns / max(1, sum(facts.counts.values()))
        yield "own time", f"{format_ns(facts.own_ns)} between calls, {format_ns(each)} an operation"


def _quantiles(values: npt.NDArray[np.integer], write: object) -> str:
    assert callable(write)
    found = np.quantile(values, _QUANTILES)
    names = ("median", "p90", "p99")
    return ", ".join(f"{n} {write(float(v))}" for n, v in zip(names, found, strict=True))


def _spark(live: npt.NDArray[np.int64]) -> str:
    most = max(1, int(live.max()))
    return "".join(
        _BARS[min(len(_BARS) - 1, max(0, int(v)) * len(_BARS) // (most + 1))] for v in live
    )
