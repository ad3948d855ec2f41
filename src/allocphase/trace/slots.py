"""What happens to each slot, in order: epochs, hand-over flags, live bytes, broken invariants.

All of it is read off one grouping of the ops by slot. The grouping sorts unique 64-bit keys
(slot, position), which numpy does with vector instructions: 0.3 s for ten million ops, a third
of what a stable argsort of the slots costs.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import POST, WAIT, Kind, Ops, Part, Records, kind_of

__all__ = ["History", "by_epoch", "by_position", "previous", "slot_ranks"]

ALIGN_LOG2_MIN, ALIGN_LOG2_MAX = 4, 21
WORD_BYTES = 8

Flags = npt.NDArray[np.bool_]
Indices = npt.NDArray[np.int64]

_HALF = np.uint64(32)


@dataclass(frozen=True, slots=True)
class History:
    """The ops of a trace grouped by slot; n ops, all arrays of shape (n,).

    `order[i]` is where `ops[i]` stands in the trace; `first[i]` says that it is its slot's first.
    """

    order: Indices
    ops: Ops
    first: Flags

    def ranks(self) -> npt.NDArray[np.uint32]:
        """How many ops on the same slot came before: the epochs."""
        return _ranks(self.first)

    def slot_numbers(self) -> Indices:
        """0, 1, 2, ... for the slots in use, in the order of their own numbers."""
        return np.cumsum(self.first) - 1

    def hand_over(self, thread: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint8]:
        """WAIT and POST of each op, where `thread` (in trace order) says who performs it."""
        mine = thread[self.order]
        handed = np.zeros(len(mine) + 1, dtype=np.uint8)
        handed[1:-1] = (mine[1:] != mine[:-1]) & ~self.first[1:]
        flags: npt.NDArray[np.uint8] = handed[:-1] * np.uint8(WAIT) | handed[1:] * np.uint8(POST)
        return flags

    def last_where(self, chosen: Flags) -> Indices:
        """For each op the nearest earlier one (in grouped order) that is `chosen`, else 0."""
        here = np.where(chosen, np.arange(len(chosen)), 0)
        last = np.maximum.accumulate(here)
        last[1:] = last[:-1].copy()
        return last

    def live_change(self) -> Indices:
        """Bytes by which each op changes what is live, in trace order."""
        kind = kind_of(self.ops)
        held = self.ops["size"].astype(np.int64)
        keeps = (kind == Kind.WRITE) | (kind == Kind.FREE_FOREIGN)
        if keeps.any():
            held = held[np.maximum.accumulate(np.where(keeps, 0, np.arange(len(held))))]
        change = np.empty_like(held)
        np.subtract(held[1:], held[:-1], out=change[1:])
        change[self.first] = held[self.first]
        held[self.order] = change
        return held

    def problem(self, tags: Records) -> str | None:
        """The first broken invariant of a slot's life, in one line; None: there is none."""
        return self._broken_life() or self._broken_object() or self._broken_tag(tags)

    def part_problem(self, part: npt.NDArray[np.uint8], tags: Records) -> str | None:
        """Why the steady part cannot be repeated, in one line; None: it can be. `part`: of each op,
        in trace order.
        """
        grouped = part[self.order]
        early = ~self.first
        early[1:] &= grouped[1:] < grouped[:-1]
        backward = self._blame(early, "is of an earlier part than its slot's op before")
        if backward or not (grouped == Part.STEADY).any():
            return backward
        again = self._with_two_steady_parts(grouped).problem(tags)
        return again and f"cannot repeat its steady part: {again}"

    def _with_two_steady_parts(self, part: npt.NDArray[np.uint8]) -> History:
        """`part`: of each op, as they are grouped."""
        steady = np.flatnonzero(part == Part.STEADY)
        copies = np.concatenate([np.arange(len(part)), steady])
        slot = np.cumsum(self.first)
        second = np.repeat([0, 1], [len(part), len(steady)])
        chosen = copies[np.lexsort((copies, second, part[copies], slot[copies]))]
        number = slot[chosen]
        first = np.ones(len(chosen), dtype=np.bool_)
        first[1:] = number[1:] != number[:-1]
        return History(order=self.order[chosen], ops=self.ops[chosen], first=first)

    def _broken_life(self) -> str | None:
        kind = kind_of(self.ops)
        if kind.max() >= len(Kind):
            return self._blame(kind >= len(Kind), "has a kind that does not exist")
        filled = np.empty(len(kind), dtype=np.bool_)
        filled[0] = False
        empties = (kind == Kind.FREE) | (kind == Kind.SYNC)
        np.logical_not(empties[:-1], out=filled[1:])
        filled &= ~self.first
        allocates, syncs = _allocates(kind), kind == Kind.SYNC
        ends = np.append(self.first[1:], True)
        return (
            self._blame(allocates & filled, "allocates a slot that is filled")
            or self._blame(syncs & filled, "is a sync of a slot that is filled")
            or self._blame(~allocates & ~syncs & ~filled, "uses a slot that is empty")
            or self._blame(ends & ~empties, "is its slot's last and leaves it filled")
        )

    def _broken_object(self) -> str | None:
        kind, align = kind_of(self.ops), self.ops["align_log2"]
        aligned = kind == Kind.ALIGNED_ALLOC
        in_range = (align >= ALIGN_LOG2_MIN) & (align <= ALIGN_LOG2_MAX)
        resized = kind == Kind.REALLOC
        written = kind == Kind.WRITE
        freed = (kind == Kind.FREE) | (kind == Kind.FREE_FOREIGN)
        size = self.ops["size"]
        return (
            self._blame(aligned != (align != 0), "is aligned_alloc or has an alignment, not both")
            or self._blame(aligned & ~in_range, "has an alignment outside 2^4 to 2^21")
            or self._blame(freed & (size != 0), "is a free with a size")
            or self._blame((kind == Kind.SYNC) & (size != 0), "is a sync with a size")
            or self._blame(resized & (size == 0), "is a realloc to nothing")
            or self._broken_resize(resized, aligned)
            or self._broken_write(written)
        )

    def _broken_resize(self, resized: Flags, aligned: Flags) -> str | None:
        if not (resized.any() and aligned.any()):
            return None
        born = self.last_where(_allocates(kind_of(self.ops)))
        return self._blame(resized & aligned[born], "is a realloc of an aligned object")

    def _broken_write(self, written: Flags) -> str | None:
        if not written.any():
            return None
        size = self.ops["size"][self.last_where(_sizes(kind_of(self.ops)))]
        return self._blame(written & (size < WORD_BYTES), "writes a word past a smaller object")

    def _broken_tag(self, tags: Records) -> str | None:
        tag = self.ops["tag"]
        if not tag.any():
            foreign = kind_of(self.ops) == Kind.FREE_FOREIGN
            return self._blame(foreign, "is a foreign free without a tag")
        beyond = self._blame(tag >= len(tags), "has a tag that the tag table lacks")
        if beyond:
            return beyond
        kind = kind_of(self.ops)
        own = tag[self.last_where(_allocates(kind))]
        foreign = kind == Kind.FREE_FOREIGN
        domain = tags["domain"]
        own[kind == Kind.SYNC] = 0
        return self._blame(
            foreign & (domain[tag] == domain[own]), "is a foreign free from the object's own domain"
        ) or self._blame(
            ~foreign & ~_allocates(kind) & (tag != own), "has another tag than its object"
        )

    def _blame(self, broken: Flags, reason: str) -> str | None:
        if not broken.any():
            return None
        at = int(np.argmin(np.where(broken, self.order, len(self.order))))
        return f"op {self.order[at]} (slot {self.ops['slot'][at]}) {reason}"


def by_position(ops: Ops) -> History:
    """Groups ops that stand in one order: a single thread's, or a generator's global order."""
    order, first = _grouped(ops["slot"])
    return History(order=order, ops=ops[order], first=first)


def by_epoch(ops: Ops) -> History:
    """Groups ops of several threads, whose common order is only in their epochs."""
    keys = ops["slot"].astype(np.uint64)
    keys <<= _HALF
    keys |= ops["epoch"]
    order = np.argsort(keys)
    return History(order=order, ops=ops[order], first=_starts(keys[order]))


def slot_ranks(slot: npt.NDArray[np.uint32]) -> npt.NDArray[np.uint32]:
    """For each entry, how often its slot has come before; shape (n,)."""
    order, first = _grouped(slot)
    ranks = np.empty(len(slot), dtype=np.uint32)
    ranks[order] = _ranks(first)
    return ranks


def previous(slot: npt.NDArray[np.uint32]) -> Indices:
    """For each entry, where its slot came last before; -1 for its first; shape (n,)."""
    order, first = _grouped(slot)
    before = np.full(len(slot), -1, dtype=np.int64)
    before[order[1:]] = np.where(first[1:], -1, order[:-1])
    return before


def _grouped(slot: npt.NDArray[np.uint32]) -> tuple[Indices, Flags]:
    """Where each entry of the sorted order stands, and which ones start a slot."""
    keys: npt.NDArray[np.uint64] = slot.astype(np.uint64)
    keys <<= _HALF
    keys |= np.arange(len(slot), dtype=np.uint32)
    keys.sort()
    first = _starts(keys)
    keys &= np.uint64(0xFFFFFFFF)
    return keys.view(np.int64), first


def _allocates(kind: npt.NDArray[np.uint8]) -> Flags:
    allocates: Flags = np.logical_and(kind <= Kind.ALIGNED_ALLOC, kind != Kind.REALLOC)
    return allocates


def _sizes(kind: npt.NDArray[np.uint8]) -> Flags:
    sizes: Flags = kind <= Kind.ALIGNED_ALLOC
    return sizes


def _starts(keys: npt.NDArray[np.uint64]) -> Flags:
    slot = keys.view("<u4")[1::2]
    first = np.empty(len(slot), dtype=np.bool_)
    first[:1] = True
    np.not_equal(slot[1:], slot[:-1], out=first[1:])
    return first


def _ranks(first: Flags) -> npt.NDArray[np.uint32]:
    here = np.arange(len(first), dtype=np.uint32)
    here -= np.maximum.accumulate(here * first)
    return here
