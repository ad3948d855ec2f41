"""The calls of a recording in one order: those of all threads by time, each with its own gap.

From a thread's events, in its order:

    ALLOCATION, INHERITED        an item that makes an object
    FREE                         one that ends it; of NULL and of an unknown block it is none
    REALLOC_BEGIN and its end    one item, at the end: REALLOC of the old object, which becomes the
                                 new one; an allocation where the old one was NULL or unknown, a
                                 free where there is no new one
    pthread_create, join         a SYNC in each of the two threads

A thread's items keep its order; those of several threads are merged by time, so that the birth of
an object stands before its use elsewhere. Of each thread a batch is in memory, from its first event
to its last.

**Gaps.** A free is timed before its call and an allocation after it. What lies between two readings
of the clock is the program's own time, one reading, and the calls whose other end was not timed.
How long those take is learnt from events that stand beside each other with a time of their own: the
fastest tenth of what lies between two allocations, and between two frees, is taken to be the call
and what the recorder does beside it. What is left is the program's: of calls between which no clock
was read (see Time in events.py) each has as much before it, unless that is so long that the program
did something else meanwhile; then it is a pause, before the last of them.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.errors import UsageError
from allocphase.operation import Kind as Op
from allocphase.recorder import left_out
from allocphase.recorder.event_file import Recording
from allocphase.recorder.events import ENTRY_NAMES, NO_OBJECT, UNKNOWN_OBJECT, Entry, Kind
from allocphase.text.units import counted

__all__ = ["ITEM", "Merged", "merged"]

# key: what items are ordered by. old: of a realloc, the object that it was; object: of a sync, what
# number it has among the edges.
ITEM = np.dtype(
    [
        ("key", "<u8"),
        ("object", "<u8"),
        ("old", "<u8"),
        ("gap_ns", "<u8"),
        ("size", "<u4"),
        ("thread", "<u2"),
        ("kind", "u1"),
        ("align_log2", "u1"),
    ],
    align=True,
)
Items = npt.NDArray[Any]

MAX_SIZE = (1 << 32) - 1
MAX_ALIGN_LOG2 = 21
MIN_ALIGN_LOG2 = 4  # of an aligned_alloc of a trace; below, malloc has it anyway
# A use elsewhere may stand one tick before the birth: it is put behind it.
LATE_TICKS = 2
# How few do not tell how long a call takes.
LEARNT_FROM_AT_LEAST = 100
# More than the program does between a few calls that belong together.
PAUSE_NS = 10_000

_ENDS = (Kind.REALLOC_END, Kind.REALLOC_FREED, Kind.REALLOC_FAILED)
_DROPPED = 255
_KINDS = max(Kind) + 1
_IS_CALL = ~np.isin(np.arange(256), (*_ENDS, Kind.INHERITED, Kind.TOUCHED))
_OP_OF = np.full(256, _DROPPED, dtype=np.uint8)
_OP_OF[[Kind.ALLOCATION, Kind.INHERITED]] = Op.MALLOC
_OP_OF[Kind.FREE] = Op.FREE


@dataclass(slots=True)
class Span:
    """Ticks of the first and the last event of a call, of all threads, where there is any."""

    called: bool = False
    first: int = 0
    last: int = 0

    def add(self, events: Any) -> None:
        """A batch of one thread: its times never decrease."""
        calls = _IS_CALL[events["kind"]]
        if not calls.any():
            return
        first = int(events["time"][int(calls.argmax())])
        last = int(events["time"][len(calls) - 1 - int(calls[::-1].argmax())])
        self.first = min(self.first, first) if self.called else first
        self.last = max(self.last, last)
        self.called = True


@dataclass(frozen=True, slots=True)
class Merged:
    """The items of a recording. `threads`: which recorded ones have any; an item's thread is a
    place in it. `edges`: pairs of syncs. `notes`, `calls` and `span` are complete when all items
    were taken.
    """

    recording: Recording
    threads: tuple[int, ...]
    edges: int
    notes: Counter[str] = field(default_factory=Counter)
    calls: Counter[str] = field(default_factory=Counter)
    span: Span = field(default_factory=Span)

    def capacity(self) -> npt.NDArray[np.int64]:
        """The most items that each thread can have, shape (threads,)."""
        most = np.zeros(len(self.recording.threads), dtype=np.int64)
        for place in self.recording.places:
            most[place.chunk.thread] += place.chunk.count
        for thread, _ in _edges(self.recording, set(self.threads)):
            most[thread] += 1
        found: npt.NDArray[np.int64] = most[list(self.threads)]
        return found

    def items(self, most: int) -> Iterator[Items]:
        """All of them in order, at most `most` at a time. Raises UsageError for a call that no
        trace can have, DataError for a damaged file.
        """
        for window in self._windows():
            for start in range(0, len(window), most):
                yield window[start : start + most]

    def _windows(self) -> Iterator[Items]:
        """What is before the first of the batches' ends that has a batch behind it."""
        reader = _Calls(self.recording, self.notes, self.calls, self.span)
        lanes = [_Lane(self.recording, t, n, reader) for n, t in enumerate(self.threads)]
        places = {thread: number for number, thread in enumerate(self.threads)}
        for thread, sync in _edges(self.recording, set(self.threads)):
            lanes[places[thread]].syncs.append(sync)
        for lane in lanes:
            lane.syncs = deque(sorted(lane.syncs, key=lambda sync: sync.tick))
        waiting = [lane for lane in lanes if not lane.ended]
        while waiting:
            horizon = _load(waiting)
            parts = [lane.take(horizon) for lane in waiting]
            waiting = [lane for lane in waiting if not lane.ended]
            window = parts[0] if len(parts) == 1 else np.concatenate(parts)
            if len(parts) > 1:
                window = _taken(window, np.argsort(window["key"], kind="stable"))
            if len(window):
                yield window


def merged(recording: Recording) -> Merged:
    """Looks at the threads of a recording. Raises UsageError where they are too many."""
    active = {place.chunk.thread for place in recording.places}
    for thread in sorted(active, reverse=True):  # who made one that calls is there too
        at: int | None = thread
        while at is not None and recording.threads[at].parent not in active:
            at = recording.threads[at].parent
            if at is not None:
                active.add(at)
    edges = sum(1 for _ in _edges(recording, active)) // 2
    return Merged(recording, tuple(sorted(active)), edges)


@dataclass(frozen=True, slots=True)
class _Sync:
    """One end of an edge. last: it comes behind what its thread did in the same tick."""

    tick: int
    edge: int
    last: bool = False


def _edges(recording: Recording, active: set[int]) -> Iterator[tuple[int, _Sync]]:
    """Both ends of each with its thread, the earlier one first: who creates and who is born, who
    ends and who joins.
    """
    number = 0
    for index, thread in enumerate(recording.threads):
        if index not in active or thread.shared:
            continue
        if thread.parent in active and thread.created is not None and thread.birth is not None:
            assert thread.parent is not None
            yield thread.parent, _Sync(thread.created, number)
            yield index, _Sync(max(thread.birth, thread.created), number)
            number += 1
        if thread.joined_by in active and thread.joined is not None and thread.end is not None:
            assert thread.joined_by is not None
            yield index, _Sync(thread.end, number, last=True)
            yield thread.joined_by, _Sync(max(thread.joined, thread.end), number)
            number += 1


@dataclass(slots=True)
class _Lane:
    """A thread's items that are in memory, and what is to come."""

    recording: Recording
    recorded: int
    number: int
    calls: _Calls
    syncs: deque[_Sync] = field(default_factory=deque)
    items: Items = field(default_factory=lambda: np.zeros(0, ITEM))
    open: list[tuple[int, int]] = field(default_factory=list)  # reallocs: old object, tick
    last_key: int = 0
    last: tuple[int, bool] | None = None  # tick of the last call, and whether its end is not known
    bases: deque[int] = field(init=False)
    batches: Iterator[Any] = field(init=False)

    def __post_init__(self) -> None:
        places = self.recording.places
        self.bases = deque(p.chunk.base_time for p in places if p.chunk.thread == self.recorded)
        self.batches = self.recording.batches(self.recorded)
        thread = self.recording.threads[self.recorded]
        self.last = (thread.birth or self.recording.facts.start, False)

    @property
    def ended(self) -> bool:
        return not (len(self.items) or self.bases or self.syncs)

    @property
    def next_key(self) -> int:
        """No item that is not in memory comes before it."""
        later = [self.bases[0]] if self.bases else []
        later += [self.syncs[0].tick] if self.syncs else []
        return max(min(later) * 2, self.last_key) if later else 1 << 63

    def load(self) -> None:
        """The next batch, with the syncs that come before its end; behind all batches, syncs."""
        events = None
        if self.bases:
            self.bases.popleft()
            events = next(self.batches).events
        until = int(events["time"][-1]) if self.bases and events is not None else 1 << 62
        syncs = []
        while self.syncs and self.syncs[0].tick <= until:
            syncs.append(self.syncs.popleft())
        found = self.calls.items(self, events, syncs)
        if len(found):
            self.last_key = int(found["key"][-1])
        self.items = np.concatenate([self.items, found]) if len(self.items) else found

    def take(self, horizon: int) -> Items:
        """The items whose key is not beyond it."""
        count = int(np.searchsorted(self.items["key"], np.uint64(horizon), side="right"))
        taken, self.items = self.items[:count], self.items[count:]
        return taken


def _load(lanes: list[_Lane]) -> int:
    """Loads a batch of whoever has none in memory and may be next. The key up to which all items
    are there.
    """
    while True:
        needed = [lane for lane in lanes if not len(lane.items) and lane.next_key < 1 << 63]
        ready = min((int(lane.items["key"][-1]) for lane in lanes if len(lane.items)), default=None)
        needed = [lane for lane in needed if ready is None or lane.next_key <= ready]
        if not needed:
            break
        for lane in needed:
            lane.load()
    return min((lane.next_key for lane in lanes), default=1 << 63)


@dataclass(slots=True)
class _Calls:
    """Events to items."""

    recording: Recording
    notes: Counter[str]
    calls: Counter[str]
    span: Span
    learnt: tuple[float, float] | None = None  # ticks of an allocation and of a free

    def items(self, lane: _Lane, events: Any, syncs: list[_Sync]) -> Items:
        """Those of a batch, None: of no batch, and the syncs among them."""
        count = 0 if events is None else len(events)
        found = np.zeros(count, ITEM)
        start = np.zeros(count, dtype=np.int64)
        if count:
            self._count(events)
            self.span.add(events)
            found["object"], found["old"] = events["object"], NO_OBJECT
            start[:] = events["time"]
            self._kinds(events, found)
            self._reallocs(lane, events, found, start)
            self._refuse(events, found, lane)
        time = np.zeros(0, dtype=np.int64) if events is None else events["time"].astype(np.int64)
        kept = found["kind"] != _DROPPED
        if not kept.all():
            found, start, time = found[kept], start[kept], time[kept]
        if syncs:
            found, start, time = _with_syncs(found, start, time, syncs)
        self._gaps(lane, found, start, time)
        self._keys(lane, found, time)
        found["thread"] = lane.number
        return found

    def _count(self, events: Any) -> None:
        kind = events["kind"]
        pairs = np.bincount(events["entry"] * np.uint16(_KINDS) + kind, minlength=256 * _KINDS)
        pairs = pairs.reshape(256, _KINDS)
        by_entry, by_kind = pairs[:, _IS_CALL[:_KINDS]].sum(axis=1), pairs.sum(axis=0)
        for entry in np.flatnonzero(by_entry).tolist():
            name = ENTRY_NAMES[entry] if entry < len(ENTRY_NAMES) else "unknown"
            self.calls[name] += int(by_entry[entry])
        nowhere = kind[events["object"] >= UNKNOWN_OBJECT] == Kind.FREE
        null = kind[events["object"] == NO_OBJECT] == Kind.FREE
        notes = {
            left_out.NULL_FREES: np.count_nonzero(null),
            left_out.UNSEEN_FREES: np.count_nonzero(nowhere) - np.count_nonzero(null),
            left_out.FAILED: by_kind[Kind.FAILED],
            left_out.REALLOC_FAILED: by_kind[Kind.REALLOC_FAILED],
            left_out.USABLE_SIZE: by_kind[Kind.USABLE_SIZE],
            left_out.INHERITED: by_kind[Kind.INHERITED],
        }
        for name, number in notes.items():
            if number:
                self.notes[name] += int(number)

    def _kinds(self, events: Any, found: Items) -> None:
        op = _OP_OF[events["kind"]]
        cleared = (events["entry"] == Entry.CALLOC) & (op == Op.MALLOC)
        op[cleared] = Op.CALLOC
        aligned = events["align_log2"] >= MIN_ALIGN_LOG2
        if aligned.any():
            aligned &= op == Op.MALLOC
            op[aligned] = Op.ALIGNED_ALLOC
            found["align_log2"][aligned] = events["align_log2"][aligned]
        op[(op == Op.FREE) & (events["object"] >= UNKNOWN_OBJECT)] = _DROPPED
        found["kind"] = op

    def _reallocs(self, lane: _Lane, events: Any, found: Items, start: Any) -> None:
        """Each end has its begin: the last one that is open."""
        kind = events["kind"]
        places = np.flatnonzero((kind >= Kind.REALLOC_BEGIN) & (kind <= Kind.REALLOC_FAILED))
        if not len(places):
            return
        begins = kind[places] == Kind.REALLOC_BEGIN
        if lane.open or begins[-1] or not _alternate(begins):
            self._nested(lane, events, found, start, places.tolist())
            return
        ends, begun = places[1::2], places[::2]
        self._join(events, found, ends, events["object"][begun])
        start[ends] = start[begun]

    def _nested(
        self, lane: _Lane, events: Any, found: Items, start: Any, places: list[int]
    ) -> None:
        """The same one by one: over the edge of a batch, or of signal handlers."""
        for place in places:
            event = events[place]
            if event["kind"] == Kind.REALLOC_BEGIN:
                lane.open.append((int(event["object"]), int(event["time"])))
                continue
            if not lane.open:
                self.notes["ends of a realloc without its begin, left out"] += 1
                continue
            old, time = lane.open.pop()
            ends = np.array([place])
            olds = np.array([old], dtype=np.uint64)
            self._join(events, found, ends, olds)
            start[place] = time

    def _join(self, events: Any, found: Items, ends: Any, old: Any) -> None:
        """`ends`: places of ends; of each the old object, and the size that was asked for."""
        kind, known = events["kind"][ends], old < UNKNOWN_OBJECT
        if unknown := int(np.count_nonzero(old == UNKNOWN_OBJECT)):
            self.notes[left_out.UNSEEN_REALLOCS] += unknown
        for note, which in (
            (left_out.NULL_REALLOCS, (kind == Kind.REALLOC_END) & (old == NO_OBJECT)),
            (left_out.FREED_BY_REALLOC, (kind == Kind.REALLOC_FREED) & known),
        ):
            if number := int(np.count_nonzero(which)):
                self.notes[note] += number
        op = np.full(len(ends), _DROPPED, dtype=np.uint8)
        moved = kind == Kind.REALLOC_END
        op[moved & known] = Op.REALLOC
        op[moved & ~known] = Op.MALLOC
        op[(kind == Kind.REALLOC_FREED) & known] = Op.FREE
        found["kind"][ends] = op
        found["old"][ends] = old
        freed = ends[op == Op.FREE]
        found["object"][freed] = found["old"][freed]
        found["align_log2"][ends] = 0

    def _refuse(self, events: Any, found: Items, lane: _Lane) -> None:
        """What no trace can have; sizes go over here."""
        makes = found["kind"] <= Op.ALIGNED_ALLOC
        size = np.where(makes, events["size"], 0)
        for wrong, what in (
            (size > MAX_SIZE, "a block of {size:,} bytes: a trace has sizes below 4 GiB"),
            (
                found["align_log2"] > MAX_ALIGN_LOG2,
                "a block at a multiple of 2^{align}: a trace has alignments of up to 2 MiB",
            ),
        ):
            if wrong.any():
                place = int(np.argmax(wrong))
                text = what.format(size=int(size[place]), align=int(found["align_log2"][place]))
                where = f"{self.recording.path}: thread {lane.recorded}"
                raise UsageError(f"{where}: asks for {text}")
        found["size"] = size
        empty = (found["kind"] == Op.REALLOC) & (size == 0)
        if number := int(np.count_nonzero(empty)):
            self.notes["reallocs to 0 bytes that gave a block, replayed as to 1"] += number
            found["size"][empty] = 1

    def _keys(self, lane: _Lane, found: Items, time: Any) -> None:
        """Twice the time, so that what waits can be put behind what it waits for."""
        key = time * 2
        first = self.recording.first_object
        low, high = int(first[lane.recorded]), int(first[lane.recorded + 1])
        used, resizes = found["object"], found["kind"] == Op.REALLOC
        if resizes.any():
            used = np.where(resizes, found["old"], used)
        uses = resizes | (found["kind"] == Op.FREE)
        foreign = uses & ((used < low) | (used >= high))
        key[foreign] += 2 * LATE_TICKS
        np.maximum.accumulate(key, out=key)
        found["key"] = np.maximum(key, lane.last_key)

    def _gaps(self, lane: _Lane, found: Items, start: Any, time: Any) -> None:
        """From the end of the call before, as far as that is known, to the start of this one."""
        if not len(found):
            return
        assert lane.last is not None
        # Whose start was not timed, and whose end.
        late = (found["kind"] != Op.FREE) & (found["kind"] != Op.REALLOC)
        late &= found["kind"] != Op.SYNC
        early = found["kind"] == Op.FREE
        before = np.concatenate([[lane.last[0]], time[:-1]])
        open_before = np.concatenate([[lane.last[1]], early[:-1]])
        lane.last = (int(time[-1]), bool(early[-1]))
        # Those up to each reading of the clock; the last ones have none in this batch.
        ticks = start - before
        firsts = np.flatnonzero(np.concatenate([[True], ticks[:-1] > 0]))
        counts = np.diff(firsts, append=len(found))
        allocations, frees = late.astype(np.int64), open_before.astype(np.int64)
        all_read = len(firsts) == len(found)
        if not all_read:
            ticks, allocations, frees = (
                np.add.reduceat(of, firsts) for of in (ticks, allocations, frees)
            )
        ticks_per_ns = self.recording.facts.ticks_per_second / 1e9
        ticks = ticks - self.recording.facts.reading_ns * ticks_per_ns
        allocation, free = self._learnt(ticks, counts, allocations, frees)
        own = np.maximum(ticks - allocations * allocation - frees * free, 0) / ticks_per_ns
        found["gap_ns"] = (own if all_read else _spread(own, counts)).astype(np.uint64)

    def _learnt(self, ticks: Any, counts: Any, allocations: Any, frees: Any) -> tuple[float, float]:
        """Ticks of an allocation and of a free, from the first batch that has enough of both.

        ticks: between readings; the others: how many events, allocations and frees lie there.
        """
        if self.learnt is not None:
            return self.learnt

        def fastest(of_allocations: int, of_frees: int) -> float | None:
            chosen = (counts == 1) & (allocations == of_allocations) & (frees == of_frees)
            enough = np.count_nonzero(chosen) >= LEARNT_FROM_AT_LEAST
            return max(0.0, float(np.quantile(ticks[chosen], 0.1))) if enough else None

        allocation, free, both = fastest(1, 0), fastest(0, 1), fastest(1, 1)
        if both is not None:
            if allocation is None:
                allocation = both / 2 if free is None else max(0.0, both - free)
            if free is None:
                free = max(0.0, both - allocation)
        if allocation is not None and free is not None:
            self.learnt = (allocation, free)
        return allocation or 0.0, free or 0.0


def _spread(own: Any, counts: Any) -> Any:
    """Own time up to each reading, evenly before each of so many calls; a pause before the last."""
    lasts = np.cumsum(counts) - 1
    paused = (own > PAUSE_NS) & (counts > 1)
    each = np.repeat(np.where(paused, 0, own / counts), counts)
    each[lasts[paused]] = own[paused]
    return each


def _taken(items: Items, order: Any) -> Items:
    """items[order], which numpy does field by field where it is not told that it need not."""
    words = items.view(np.uint64).reshape(len(items), -1)
    found: Items = words.take(order, axis=0).reshape(-1).view(ITEM)
    return found


def _alternate(begins: npt.NDArray[np.bool_]) -> bool:
    """Whether it is begin, end, begin, end and so on."""
    return bool(begins[::2].all() and not begins[1::2].any())


def _with_syncs(found: Items, start: Any, time: Any, syncs: list[_Sync]) -> tuple[Items, Any, Any]:
    ticks = np.array([sync.tick for sync in syncs], dtype=np.int64)
    made = np.zeros(len(syncs), ITEM)
    made["kind"], made["old"] = Op.SYNC, NO_OBJECT
    made["object"] = [sync.edge for sync in syncs]
    before, behind = (np.searchsorted(time, ticks, side=side) for side in ("left", "right"))
    at = np.where([sync.last for sync in syncs], behind, before)
    return (
        np.insert(found, at, made),
        np.insert(start, at, ticks),
        np.insert(time, at, ticks),
    )


def too_many_threads(recording: Recording, count: int, most: int) -> UsageError:
    """The refusal of a recording with more threads than a trace may have."""
    return UsageError(
        f"{recording.path}: {counted(count, 'thread')} call malloc: a trace has {most:,} at most"
    )
