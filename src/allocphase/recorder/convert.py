"""Event files to traces: what a program asked of its allocator, to be replayed under any.

    events ──► merge ──► items in one order ──► slots, ranks, hand-overs ──► spool ──► trace

The items are made ahead, in a thread of their own.

Objects are those of the events; no address is looked at. An op waits for another thread's where it
uses an object that the other one had last, and where the program made or joined a thread; never
because a slot is used again: that is its own thread's.

The trace has two parts: all that the program did, and a drain that frees what it never freed. So
it can be repeated as a whole. Of several threads each is born and ends in its part, and the drain
is one more.

Memory is that of a few chunks, of four bytes an object, and of sixteen a slot; where what was
touched is learnt, of twelve bytes an object more.
"""

from __future__ import annotations

import datetime
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.errors import DataError, UsageError
from allocphase.operation import MAX_OPERATIONS, MAX_THREADS, Kind
from allocphase.recorder import left_out
from allocphase.recorder.ahead import ahead
from allocphase.recorder.event_file import Recording
from allocphase.recorder.events import RecordingFacts
from allocphase.recorder.merge import ITEM, Items, Merged, merged, too_many_threads
from allocphase.recorder.spool import Spool, by_thread
from allocphase.recorder.stacks import Matching, SlotStack
from allocphase.recorder.touched import Touched, touched_of
from allocphase.trace.provenance import RECORDED, Provenance, written_provenance
from allocphase.trace.records import (
    COLUMN,
    FLAGS_SHIFT,
    NO_THREAD,
    OP,
    POST,
    THREAD,
    UNTAGGED,
    WAIT,
    Column,
    Touch,
    Trace,
    gap_codes,
)

__all__ = ["convert"]

CHUNK = 1 << 16
MAX_SLOTS = 1 << 30
_MARK = np.uint32(1 << 31)  # of an object: where in the chunk it is born
_NOWHERE = np.uint32((1 << 32) - 1)
_NOBODY = np.uint16(0xFFFF)
_MOST_EVENTS = 2 * MAX_OPERATIONS  # a realloc is two
_MAKES = np.isin(np.arange(256), (Kind.MALLOC, Kind.CALLOC, Kind.ALIGNED_ALLOC))
_NAMES = _MAKES | (np.arange(256) == Kind.REALLOC)  # whose object is a new one
_USES = np.isin(np.arange(256), (Kind.FREE, Kind.REALLOC))
_UNTOLD = "blocks of a page or more whose touched bytes are unknown, touched whole"
_FILLS = ~np.isin(np.arange(256), (Kind.FREE, Kind.SYNC))  # behind which a slot has an object
_MOVES = _MAKES | (np.arange(256) == Kind.FREE)  # that take a slot or give one back


def convert(recording: Recording, path: Path, *, learnt: Recording | None = None) -> Provenance:
    """Writes the trace of a recording, packed where the name ends in .zst; returns what it says of
    itself. `learnt`: one of the same command that tells what was touched, may be the same. A replay
    touches that; without it, the first byte of each object.

    Raises UsageError for a recording of no calls, or of some that no trace can have, and as
    touched_of; DataError for a damaged one; AllocphaseError where the trace cannot be written.
    """
    if recording.events > _MOST_EVENTS:
        raise _too_many_calls(recording)
    found = merged(recording)
    touched = None if learnt is None else touched_of(recording, learnt)
    if len(found.threads) + 1 > MAX_THREADS:
        raise too_many_threads(recording, len(found.threads), MAX_THREADS - 1)
    alone = len(found.threads) <= 1
    capacity = found.capacity()
    live = recording.objects  # no more are left than were born
    # The drain comes last: behind the only thread's operations, or as a thread of its own.
    capacity = np.append(capacity, live) if not alone else capacity + live
    with Spool(capacity, path.absolute().parent, touched=touched is not None) as spool:
        slots = _Slots(found, spool, touched)
        for items in ahead(found.items(CHUNK)):
            slots.add(items)
        if not spool.counts.sum():
            raise UsageError(f"{recording.path}: has no call that can be replayed")
        never_freed = slots.drain(0 if alone else len(found.threads))
        if spool.counts.sum() > MAX_OPERATIONS:
            raise _too_many_calls(recording)
        if touched is not None and touched.untold:
            found.notes[_UNTOLD] += touched.untold
        said = _provenance(found, never_freed=never_freed)
        touch = Touch.FIRST if touched is None else Touch.RECORDED
        spool.write(_head(slots, spool, said, touch=touch, drained=never_freed, alone=alone), path)
    return said


def _too_many_calls(recording: Recording) -> UsageError:
    return UsageError(f"{recording.path}: more calls than a trace has: {MAX_OPERATIONS:,}")


class _Slots:
    """Which slot each object has, and where each slot's operations stand."""

    def __init__(self, found: Merged, spool: Spool, touched: Touched | None) -> None:
        self._found = found
        self._spool = spool
        self._touched = touched
        edges = found.edges
        self._of_object = np.full(found.recording.objects, _NOWHERE, dtype=np.uint32)
        self._aligned = np.zeros(found.recording.objects, dtype=np.bool_)
        self._any_aligned = False
        self._stacks = [SlotStack() for _ in found.threads]
        self.count = edges  # the first ones are of syncs
        room = max(1024, edges)
        self._epoch = np.zeros(room, dtype=np.uint32)
        self._thread = np.full(room, _NOBODY, dtype=np.uint16)
        self._size = np.zeros(room, dtype=np.uint32)
        self._place = np.zeros(room, dtype=np.int64)
        self._filled = np.zeros(room, dtype=np.bool_)
        self.live_bytes = 0
        self.peak_bytes, self.peak_place = 0, -1

    # ---- Slots ---------------------------------------------------------------------------

    def add(self, items: Items) -> None:
        """The next items in order, CHUNK at most."""
        items = self._with_births(self._split(items))
        if len(items):
            self._operate(items, self._slots_of(items))

    def _split(self, items: Items) -> Items:
        """A realloc of an aligned block is no operation of a trace: a free and a malloc are."""
        made = items["kind"] == Kind.ALIGNED_ALLOC
        self._any_aligned |= bool(made.any())
        if not self._any_aligned:
            return items
        self._aligned[items["object"][made]] = True
        resized = np.flatnonzero(items["kind"] == Kind.REALLOC)
        split = resized[self._aligned[items["old"][resized]]]
        if not len(split):
            return items
        self._found.notes[left_out.SPLIT] += len(split)
        count = np.ones(len(items), dtype=np.int64)
        count[split] = 2
        at = np.cumsum(count)[split] - 2
        items = np.repeat(items, count)
        items["kind"][at], items["kind"][at + 1] = Kind.FREE, Kind.MALLOC
        items["object"][at], items["size"][at] = items["old"][at], 0
        items["gap_ns"][at + 1] = 0
        return items

    def _with_births(self, items: Items) -> Items:
        """Without uses of objects that are not there: late by the clock, or used after their end.

        Marks where in the chunk objects are born.
        """
        kind = items["kind"]
        births = np.flatnonzero(_NAMES[kind])
        self._of_object[items["object"][births]] = births.astype(np.uint32) | _MARK
        uses = np.flatnonzero(_USES[kind])
        where = self._of_object[self._used(items)[uses]]
        inside = (where & _MARK) != 0
        wrong = (where == _NOWHERE) | (inside & ((where & ~_MARK) >= uses))
        if not wrong.any():
            return items
        self._found.notes["uses that stand before their object, left out"] += int(wrong.sum())
        lost = uses[wrong]
        made = kind[lost] == Kind.REALLOC
        items["kind"][lost[made]] = Kind.MALLOC
        kept = np.ones(len(items), dtype=np.bool_)
        kept[lost[~made]] = False
        self._of_object[items["object"][births]] = _NOWHERE
        return self._with_births(items[kept])

    @staticmethod
    def _used(items: Items) -> npt.NDArray[np.uint64]:
        resizes = items["kind"] == Kind.REALLOC
        used: npt.NDArray[np.uint64] = items["object"]
        return np.where(resizes, items["old"], used) if resizes.any() else used

    def _slots_of(self, items: Items) -> npt.NDArray[np.uint32]:
        kind, n = items["kind"], len(items)
        slot = np.zeros(n, dtype=np.uint32)
        parent = np.arange(n, dtype=np.int32)  # the item that has the same slot, or itself
        syncs = kind == Kind.SYNC
        slot[syncs] = items["object"][syncs]
        uses = np.flatnonzero(_USES[kind])
        used = self._used(items)[uses]
        where = self._of_object[used]
        inside = (where & _MARK) != 0
        parent[uses] = np.where(inside, where & ~_MARK, uses)
        slot[uses] = where  # of those inside, their parent's comes instead
        steps = np.flatnonzero(_MOVES[kind])
        matchings = [
            self._match(kind, mine, thread, slot, parent)
            for thread, mine in self._by_thread(items["thread"], steps)
        ]
        unknown = np.flatnonzero(parent != np.arange(n, dtype=np.int32))
        while len(unknown):  # each round halves the way to where the slot is known
            nearer = parent[unknown]
            further = parent[nearer]
            parent[unknown] = further
            unknown = unknown[further != nearer]
        slot = slot[parent]
        for stack, pushes, matching in matchings:
            stack.settle(matching, slot[pushes])
        births = np.flatnonzero(_NAMES[kind])
        self._of_object[items["object"][births]] = slot[births]
        self._of_object[used] = _NOWHERE
        return slot

    def _by_thread(self, thread: Any, steps: Any) -> Iterator[tuple[int, Any]]:
        """Of each thread its steps, in order."""
        if len(self._stacks) == 1:
            yield 0, steps
            return
        for number, mine in by_thread(thread[steps]):
            yield number, steps[mine]

    def _match(
        self, kind: Any, steps: Any, thread: int, slot: npt.NDArray[np.uint32], parent: Any
    ) -> tuple[SlotStack, Any, Matching]:
        """Gives the thread's new objects free slots, or new ones. kind: of all items; steps: which
        of them are the thread's.
        """
        stack = self._stacks[thread]
        is_push = kind[steps] == Kind.FREE
        pushes, pops = steps[is_push], steps[~is_push]
        matching = stack.match(is_push)
        inside = matching.pushed >= 0
        parent[pops[inside]] = pushes[matching.pushed[inside]]
        held = matching.held >= 0
        slot[pops[held]] = matching.held[held]
        fresh = pops[~inside & ~held]
        slot[fresh] = self.count + np.arange(len(fresh))
        self.count += len(fresh)
        if self.count > MAX_SLOTS:
            path = self._found.recording.path
            raise UsageError(f"{path}: more objects live than a trace has slots: {MAX_SLOTS:,}")
        return stack, pushes, matching

    # ---- Operations ----------------------------------------------------------------------

    def _operate(self, items: Items, slot: npt.NDArray[np.uint32]) -> None:
        self._make_room()
        threads, size, kind = (items[name].copy() for name in ("thread", "size", "kind"))
        here = np.arange(len(items), dtype=np.int32)
        keys = slot.astype(np.uint64)
        keys <<= np.uint64(32)
        keys |= here.view(np.uint32)
        keys.sort()
        halves = keys.view(np.uint32).reshape(-1, 2)
        order, grouped = halves[:, 0].astype(np.int32), halves[:, 1].astype(np.int32)
        first = np.ones(len(order), dtype=np.bool_)
        np.not_equal(grouped[1:], grouped[:-1], out=first[1:])
        begins = np.flatnonzero(first)
        last = np.append(begins[1:] - 1, len(order) - 1)
        heads = grouped[begins]
        self._check_lives(kind[order], begins, heads)
        epoch = np.empty(len(items), dtype=np.uint32)
        epoch[order] = self._epoch[grouped] + (here - np.maximum.accumulate(here * first))
        places = self._spool.places(threads)
        flags = self._flags(threads, order, begins, heads)
        self._follow_live(size[order], order, begins, heads, places)
        ops = np.zeros(len(items), dtype=OP)
        ops["slot"], ops["size"], ops["align_log2"] = slot, size, items["align_log2"]
        ops["epoch"], ops["kind_flags"] = epoch, kind | flags << FLAGS_SHIFT
        at = order[last]
        self._epoch[heads] = epoch[at] + np.uint32(1)
        self._thread[heads], self._size[heads] = threads[at], size[at]
        self._place[heads] = places[at]
        self._filled[heads] = _FILLS[kind[at]]
        self._spool.add(
            threads, places, ops, gap_codes(items["gap_ns"]), self._touched_of(items, size)
        )

    def _touched_of(self, items: Items, size: Any) -> Column | None:
        """Of each operation that makes or resizes an object, as much as it has."""
        if self._touched is None:
            return None
        found = np.zeros(len(items), COLUMN)
        named = _NAMES[items["kind"]]
        told = self._touched.bytes[items["object"][named]]
        found[named] = np.minimum(told, size[named])
        return found

    def _check_lives(self, kind: Any, begins: Any, heads: Any) -> None:
        """Only a damaged file has an object that ends twice. Raises DataError."""
        filled = np.empty(len(kind), dtype=np.bool_)
        filled[1:] = _FILLS[kind[:-1]]
        filled[begins] = self._filled[heads]
        if (filled != _USES[kind]).any():
            raise DataError(f"{self._found.recording.path}: has an object that ends twice")

    def _flags(self, threads: Any, order: Any, begins: Any, heads: Any) -> npt.NDArray[np.uint8]:
        """WAIT and POST of each, and POST of those from before that another thread follows."""
        flags = np.zeros(len(threads), dtype=np.uint8)
        if len(self._stacks) == 1:
            return flags
        mine = threads[order]
        before = np.empty_like(mine)
        before[1:] = mine[:-1]
        before[begins] = self._thread[heads]
        waits = (before != mine) & (before != _NOBODY)
        flags[order[waits]] = WAIT
        followed = np.append(waits[1:], False)
        followed[begins[1:] - 1] = False
        flags[order[followed]] |= POST
        self._spool.post(self._place[heads[waits[begins]]])
        return flags

    def _follow_live(self, held: Any, order: Any, begins: Any, heads: Any, places: Any) -> None:
        """held: bytes behind each operation, in the order of `order`."""
        change = np.empty(len(held), dtype=np.int64)
        np.subtract(held[1:], held[:-1], out=change[1:], dtype=np.int64)
        change[begins] = held[begins].astype(np.int64) - self._size[heads]
        in_order = np.empty_like(change)
        in_order[order] = change
        live = np.cumsum(in_order, out=in_order)
        at, before = int(np.argmax(live)), self.live_bytes
        self.live_bytes = before + int(live[-1])
        if before + int(live[at]) > self.peak_bytes or self.peak_place < 0:
            self.peak_bytes, self.peak_place = before + int(live[at]), int(places[at])

    def _make_room(self) -> None:
        if self.count <= len(self._epoch):
            return
        room = max(self.count, len(self._epoch) * 3 // 2) - len(self._epoch)
        for name in ("_epoch", "_size", "_place", "_filled"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros(room, dtype=old.dtype)]))
        self._thread = np.concatenate([self._thread, np.full(room, _NOBODY, dtype=np.uint16)])

    def drain(self, thread: int) -> int:
        """Frees what is left, and returns how many objects that were."""
        left = np.flatnonzero(self._filled[: self.count])
        for start in range(0, len(left), CHUNK):
            slots = left[start : start + CHUNK]
            items = np.zeros(len(slots), ITEM)
            items["kind"], items["thread"] = Kind.FREE, thread
            self._operate(items, slots.astype(np.uint32))
        return len(left)


def _head(
    slots: _Slots, spool: Spool, said: Provenance, *, touch: Touch, drained: int, alone: bool
) -> Trace:
    """The trace without its operations and gaps."""
    threads = _thread_table(spool.counts, drained=drained, alone=alone)
    return Trace(
        ops=np.zeros(0, OP),
        threads=threads,
        tags=UNTAGGED,
        touch=touch,
        slot_count=slots.count,
        peak_live_bytes=slots.peak_bytes,
        peak_live_op=spool.in_file(slots.peak_place),
        digest="",
        threads_end=not alone and len(threads) > 1,
        meta=written_provenance(said),
    )


def _thread_table(counts: npt.NDArray[np.int64], *, drained: int, alone: bool) -> Any:
    if not alone and drained == 0:
        counts = counts[:-1]
    threads = np.zeros(len(counts), dtype=THREAD)
    threads["op_count"], threads["build_ops"] = counts, counts
    threads["first_op"] = np.cumsum(counts) - counts
    threads["predecessor"], threads["lane"] = NO_THREAD, np.arange(len(counts))
    if drained:
        threads["drain_ops"][-1] = drained
        threads["build_ops"][-1] -= drained
    return threads


def _provenance(found: Merged, *, never_freed: int) -> Provenance:
    facts, notes, cost = found.recording.facts, found.notes, found.recording.facts.cost
    return Provenance(
        origin=RECORDED,
        command=facts.command,
        recorded=_date(facts),
        allocator=facts.allocator,
        threads=max(1, sum(not found.recording.threads[t].shared for t in found.threads)),
        duration_ns=_duration_ns(found),
        calls=dict(sorted(found.calls.items())),
        notes=_all_notes(notes, found.recording),
        never_freed=never_freed,
        preamble_operations=notes[left_out.INHERITED],
        wall_ns=0 if cost is None else cost.wall_ns,
        wall_without_ns=0 if cost is None else cost.wall_without_ns,
        recorder_rss_bytes=0 if cost is None else cost.peak_rss_bytes,
    )


def _all_notes(notes: Mapping[str, int], recording: Recording) -> dict[str, int]:
    facts = recording.facts
    more = {
        "births at an address that was not seen to be freed": facts.ambiguous,
        "calls before the recorder was ready, not recorded": facts.unrecorded,
        "waits for the recorder": facts.stalls,
        "the recording ended before the program": int(not recording.complete),
    }
    return {name: count for name, count in {**notes, **more}.items() if count}


def _date(facts: RecordingFacts) -> str:
    if not facts.started_ns:
        return ""
    started = datetime.datetime.fromtimestamp(facts.started_ns / 1e9, tz=datetime.UTC)
    return started.isoformat(timespec="seconds")


def _duration_ns(found: Merged) -> int:
    span = found.span.last - found.span.first if found.span.called else 0
    return int(span * 1e9 / found.recording.facts.ticks_per_second)
