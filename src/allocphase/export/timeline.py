"""One cell's first replay on a clock: what happened when, as far as its processes tell together.

Operations and causes are of one latency process, system calls of another one, memory of a third:
they are joined operation by operation, and put on the clock of the latency process, which is the
sum of the calls and first touches of each thread. What the program did between them took no time
there, and threads have no common clock: each begins at 0.

Of a trace of more than 4 million operations only the slowest calls are known one by one: its clock
is the place in the trace times the time per operation. Of a program there is only its memory.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pandas as pd

from allocphase.analysis.frames import CAUSES, Run
from allocphase.analysis.latency import uncalled_kinds
from allocphase.analysis.thin import kept
from allocphase.probe.probe import Probe
from allocphase.text.units import counted

__all__ = ["Calls", "Counter", "Moments", "Timeline", "timeline"]

Times = npt.NDArray[np.int64]
# thin.kept has 2^16 groups, of which each call of a cause of its own in its stretch takes one.
_MOST_POINTS = 20_000


@dataclass(frozen=True, slots=True, eq=False)
class Calls:
    """A thread's operations, in order: shape (calls,), times in ns. causes: places in CAUSES."""

    thread: int
    begin: Times
    end: Times
    kind: Sequence[str]
    cause: npt.NDArray[np.int8]
    size: Times
    op: Times


@dataclass(frozen=True, slots=True, eq=False)
class Moments:
    """Things of one sort that happened in a thread: when, and what each is called."""

    title: str
    thread: int
    times: Times
    names: Sequence[str]


@dataclass(frozen=True, slots=True, eq=False)
class Counter:
    """A quantity of the process, in bytes."""

    title: str
    times: Times
    values: Times


@dataclass(frozen=True, slots=True)
class Timeline:
    """notes: what is not on it, a sentence each."""

    calls: Sequence[Calls] = ()
    moments: Sequence[Moments] = ()
    counters: Sequence[Counter] = ()
    notes: Sequence[str] = field(default_factory=tuple)

    @property
    def events(self) -> int:
        """How many a format writes: a call is two, its beginning and its end."""
        return (
            2 * sum(one.begin.size for one in self.calls)
            + sum(one.times.size for one in self.moments)
            + sum(one.times.size for one in self.counters)
        )


def timeline(run: Run, allocator: str, scenario: str, *, events: int) -> Timeline:
    """With at most so many events. Empty where nothing of it was measured."""
    if scenario in run.programs:
        return Timeline(counters=_looks(run, allocator, scenario, most=events))
    frame = run.operations_of(allocator, scenario)
    frame = frame[frame["latency_ns"].notna()]
    if frame.empty:
        return Timeline()
    total = int(run.thread_counts(scenario).sum())
    begin, end = _clock(run, allocator, scenario, frame)
    counters = _memory(run, allocator, scenario, end, total=total, most=events // 4)
    called = _called(run, allocator, scenario, frame)
    frame, begin, end = frame[called], begin[called], end[called]
    chosen = _chosen(frame, events - sum(one.times.size for one in counters))
    return Timeline(
        list(_calls(frame, chosen, begin, end)),
        [*_causes(frame, chosen, begin), *_syscalls(frame, chosen, begin)],
        counters,
        _notes(chosen.size, len(frame), total - int(np.count_nonzero(~called))),
    )


def _called(run: Run, allocator: str, scenario: str, frame: pd.DataFrame) -> npt.NDArray[np.bool_]:
    """Which of them are calls: a write and a sync are none, nor is what was skipped."""
    first = run.first(allocator, scenario, Probe.LATENCY)
    assert first is not None, "there are latencies"
    called: npt.NDArray[np.bool_] = ~np.isin(frame["kind"].cat.codes, uncalled_kinds(first[0]))
    return called


def _notes(drawn: int, known: int, total: int) -> list[str]:
    notes = []
    if known < total:
        notes.append(f"of {counted(total, 'call')} all but the {known} slowest")
    if drawn < known:
        notes.append(
            f"{known - drawn} of {counted(known, 'call')}: thinned to extremes and middle of each "
            "stretch and cause, and the slowest"
        )
    return notes


# ---- The clock ---------------------------------------------------------------------------


def _clock(run: Run, allocator: str, scenario: str, frame: pd.DataFrame) -> tuple[Times, Times]:
    """Beginning and end of each operation, in ns."""
    took = frame["latency_ns"].to_numpy(np.float64)
    thread = frame["thread"].to_numpy(np.int64)
    if frame["touch_ns"].notna().all():
        spent = took + frame["touch_ns"].to_numpy(np.float64)
        upto = np.cumsum(spent)
        starts = np.flatnonzero(np.diff(thread, prepend=-1))
        before = np.repeat((upto - spent)[starts], np.diff(np.append(starts, thread.size)))
        begin = upto - spent - before
    else:
        each = next(iter(run.times.get((allocator, scenario), ())), np.nan)
        begin = frame["op"].to_numpy(np.float64) * (each if np.isfinite(each) else 1.0)
    whole = np.rint(begin).astype(np.int64)
    ends = whole + np.maximum(np.rint(took), 0).astype(np.int64)
    return whole, _within_the_next(whole, ends, thread)


def _within_the_next(begin: Times, end: Times, thread: Times) -> Times:
    """A call ends before the next one of its thread begins: rounding, and a clock that is an
    average, must not nest them.
    """
    following = np.append(begin[1:], np.iinfo(np.int64).max)
    last = np.append(thread[1:] != thread[:-1], True) if thread.size else np.empty(0, bool)
    found: Times = np.where(last, end, np.minimum(end, np.maximum(following, begin)))
    return found


# ---- Operations --------------------------------------------------------------------------


def _chosen(frame: pd.DataFrame, events: int) -> Times:
    """Places in the frame, so that all that is told of them is within that many events."""
    latency = frame["latency_ns"].to_numpy(np.float64)
    cause = np.asarray(frame["cause"].cat.codes, dtype=np.int8)
    each = 2 + (cause != CAUSES.index("neither")) + frame["syscalls"].to_numpy(np.int64)
    if each.sum() <= events:
        return np.arange(len(frame))
    points = events // 2
    while True:
        found = _thinned(latency, cause, points)
        if each[found].sum() <= events or points <= 1:
            return found
        points = int(points * 0.9)


def _thinned(latency: npt.NDArray[np.float64], cause: npt.NDArray[np.int8], points: int) -> Times:
    """As the report does, in as many stretches as `kept` can tell groups apart in."""
    stretches = max(1, points // _MOST_POINTS)
    edges = np.linspace(0, latency.size, stretches + 1).astype(np.int64).tolist()
    parts = [
        start + kept(latency[start:end], cause[start:end], points=max(points // stretches, 1))
        for start, end in pairwise(edges)
    ]
    return np.concatenate(parts)


def _calls(frame: pd.DataFrame, chosen: Times, begin: Times, end: Times) -> Iterator[Calls]:
    rows = frame.iloc[chosen]
    for thread, places in _by_thread(rows):
        part = rows.iloc[places]
        yield Calls(
            thread=thread,
            begin=begin[chosen][places],
            end=end[chosen][places],
            kind=[str(kind) for kind in part["kind"]],
            cause=np.asarray(part["cause"].cat.codes, dtype=np.int8),
            size=part["size"].to_numpy(np.int64),
            op=part["op"].to_numpy(np.int64),
        )


def _by_thread(rows: pd.DataFrame) -> Iterator[tuple[int, Times]]:
    thread = rows["thread"].to_numpy(np.int64)
    for number in np.unique(thread):
        yield int(number), np.flatnonzero(thread == number)


def _causes(frame: pd.DataFrame, chosen: Times, begin: Times) -> Iterator[Moments]:
    rows = frame.iloc[chosen]
    for thread, places in _by_thread(rows):
        part = rows.iloc[places]
        with_cause = (part["cause"] != "neither").to_numpy()
        names = [str(name) for name in part["cause"][with_cause]]
        yield Moments("causes", thread, begin[chosen][places][with_cause], names)


def _syscalls(frame: pd.DataFrame, chosen: Times, begin: Times) -> Iterator[Moments]:
    """One after the other from the beginning of their operation on: when in it is not known."""
    rows = frame.iloc[chosen]
    for thread, places in _by_thread(rows):
        times: list[int] = []
        names: list[str] = []
        texts = rows["syscall_names"].iloc[places]
        for time, text in zip(begin[chosen][places].tolist(), texts, strict=True):
            made = str(text).split("+") if text else []
            times += [time] * len(made)
            names += made
        yield Moments("system calls", thread, np.array(times, dtype=np.int64), names)


# ---- Memory ------------------------------------------------------------------------------

_COUNTERS: Mapping[str, str] = {
    "live": "live_bytes",
    "mapped": "mapped_bytes",
    "RSS": "rss_bytes",
}


def _memory(
    run: Run, allocator: str, scenario: str, end: Times, *, total: int, most: int
) -> list[Counter]:
    """Each checkpoint when so many operations have ended, of all threads: it says how many."""
    found = run.first(allocator, scenario, Probe.FOOTPRINT)
    if found is None or "checkpoints" not in found[1]:
        return []
    points = _evenly(found[1]["checkpoints"], most // len(_COUNTERS))
    done = np.minimum(points["op"].astype(np.int64), total)
    if end.size == total:
        times = np.append(0, np.sort(end))[done]
    else:
        times = (done * (int(end.max()) / total)).astype(np.int64)
    return [
        Counter(title, times, points[name].astype(np.int64)) for title, name in _COUNTERS.items()
    ]


def _looks(run: Run, allocator: str, scenario: str, *, most: int) -> list[Counter]:
    found = run.first(allocator, scenario, Probe.PROGRAM_MEMORY)
    if found is None or "tree" not in found[1]:
        return []
    looks = _evenly(found[1]["tree"], most)
    return [Counter("RSS", looks["time_ns"].astype(np.int64), looks["rss_bytes"].astype(np.int64))]


def _evenly(records: npt.NDArray[np.void], most: int) -> npt.NDArray[np.void]:
    if len(records) <= most:
        return records
    return records[np.linspace(0, len(records) - 1, most).astype(np.int64)]
