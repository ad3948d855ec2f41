"""Loops: threads that free and replace a number of objects in turn, and hand batches to others."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, ParameterError, parameter
from allocphase.scenario.families.recurrence import last_of_each
from allocphase.trace.records import Draft, Kind, Ops, operations
from allocphase.trace.slots import previous

__all__ = ["LOOPS"]

Indices = npt.NDArray[np.int64]
_Visits = tuple[Indices, Indices, Indices]  # the loop, the place and the section of each

LEAST_PERCENT, MOST_PERCENT = 30, 99  # of op_count, in each loop
FREED_PERCENT = 80  # of as many, before the objects are replaced
# Strides through the places. Seven at most divide a number of fewer than 2^28, which no trace has.
PRIMES = (7, 11, 13, 17, 19, 23, 29, 31, 37)
POINTER_BYTES, BATCH_BYTES = 8, 32
BEFORE = -1  # the loop in which places are filled to begin with
FREES, FOREIGN_FREES, REPLACES, FOREIGN_ALLOCATIONS = range(4)  # the sections of a loop


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter(
        "threads; a single one hands its batches to itself", default=2, minimum=1, maximum=64
    )
    loops: int = parameter("loops of each thread", minimum=1)
    places: int = parameter("objects of each thread at most", minimum=1)
    op_count: int = parameter("objects replaced in a loop, at most", minimum=4)
    cross_rate: int = parameter("every how many loops a batch is handed over", minimum=1)
    lag_loops: int = parameter("loops between hand-over and free", minimum=1)
    shape: str = parameter("how sizes fall off: even, linear or exponential")
    size_min: int = parameter("smallest size in bytes", minimum=1, maximum=1 << 20)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=1 << 20)


@dataclass(frozen=True, slots=True)
class _Stream:
    """Ops with the keys by which they are put in order."""

    ops: Ops
    loop: Indices
    thread: Indices
    section: Indices


def most_operations(parameters: Parameters) -> int:
    own = 3 * parameters.loops * parameters.op_count + 3 * parameters.places
    handed = 2 * parameters.loops * (parameters.op_count + 2)
    return parameters.threads * (own + handed)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """In the global order the threads take turns, a loop each. The places that the last loops leave
    filled are so to begin with.
    """
    if parameters.shape not in ("even", "linear", "exponential"):
        raise ParameterError("shape", "must be even, linear or exponential")
    streams, first = [], parameters.threads * parameters.places
    for thread in range(parameters.threads):
        percent = rng.integers(LEAST_PERCENT, MOST_PERCENT, size=(2, parameters.loops))
        counts = parameters.op_count * percent // 100
        streams.append(_own(parameters, rng, thread, counts=counts))
        streams += _handed(parameters, rng, thread, counts=counts[1], first=first)
        first += int((counts[1] + 2).sum())
    columns: dict[str, Any] = {
        name: np.concatenate([getattr(stream, name) for stream in streams])
        for name in ("ops", "loop", "thread", "section")
    }
    order = np.lexsort((columns["section"], columns["thread"], columns["loop"]))
    thread_of = columns["thread"][order].astype(np.uint32)
    return Draft(
        ops=columns["ops"][order],
        thread=thread_of if parameters.threads > 1 else None,
        build_ops=int(np.count_nonzero(columns["loop"] == BEFORE)),
        drain_ops=int(np.count_nonzero(columns["loop"] == _after(parameters))),
    )


def _after(parameters: Parameters) -> int:
    """The loop of the last frees."""
    return parameters.loops + parameters.lag_loops


def _own(
    parameters: Parameters, rng: np.random.Generator, thread: int, *, counts: Indices
) -> _Stream:
    """Frees in one stride and replacements in another, both over all places. What a place has at
    last does not depend on what it had at first, once it was visited.
    """
    replace_stride, free_stride = _strides(parameters.places)
    frees = counts[0] * FREED_PERCENT // 100
    turns = _in_order(
        _visits(frees, free_stride, parameters.places, FREES),
        _visits(counts[1], replace_stride, parameters.places, REPLACES),
    )
    _, place, section = turns
    last = last_of_each(place)
    filled_at_last = place[last][section[last] == REPLACES]
    loop, place, section = _in_order(
        _at_once(filled_at_last, BEFORE, REPLACES),
        turns,
        _at_once(filled_at_last, _after(parameters), FREES),
    )
    before = previous(place.astype(np.uint32))
    filled = (before >= 0) & (section[before] == REPLACES)
    size = _sizes(parameters, rng, count=len(place))
    slot = thread * parameters.places + place
    pairs = np.stack(
        [operations(Kind.FREE, slot), operations(Kind.MALLOC, slot, size=size)], axis=1
    )
    kept = np.stack([filled, section == REPLACES], axis=1)
    who = np.full(len(loop), thread)
    return _Stream(pairs[kept], *(_per_op(keys, kept) for keys in (loop, who, section)))


def _per_op(keys: Indices, kept: npt.NDArray[np.bool_]) -> Indices:
    return np.repeat(keys, kept.sum(axis=1))


def _strides(places: int) -> tuple[int, int]:
    """Two strides that visit every place: the least primes from 7 on that do not divide them."""
    strides = [prime for prime in PRIMES if places % prime]
    return strides[0], strides[1]


def _visits(counts: Indices, stride: int, places: int, section: int) -> _Visits:
    total = int(counts.sum())
    loop = np.repeat(np.arange(len(counts)), counts)
    return loop, np.arange(total) * stride % places, np.full(total, section)


def _at_once(places: Indices, loop: int, section: int) -> _Visits:
    return np.full(len(places), loop), places, np.full(len(places), section)


def _in_order(*visits: _Visits) -> _Visits:
    loop, place, section = (np.concatenate(parts) for parts in zip(*visits, strict=True))
    order = np.lexsort((section, loop))
    return loop[order], place[order], section[order]


def _handed(
    parameters: Parameters, rng: np.random.Generator, thread: int, *, counts: Indices, first: int
) -> list[_Stream]:
    """Batches: a record, an array of pointers and the objects; freed by the others in turn."""
    loops = np.arange(0, parameters.loops, parameters.cross_rate)
    width = counts[loops] + 2
    batch = np.repeat(np.arange(len(loops)), width)
    member = np.arange(len(batch)) - np.repeat(np.cumsum(width) - width, width)
    size = _sizes(parameters, rng, count=len(batch))
    size[member == 0] = BATCH_BYTES
    size[member == 1] = (width - 2) * POINTER_BYTES
    slot = first + np.arange(len(batch))
    loop = loops[batch]
    born = _Stream(
        operations(Kind.MALLOC, slot, size=size),
        loop=loop,
        thread=np.full(len(slot), thread),
        section=np.full(len(slot), FOREIGN_ALLOCATIONS),
    )
    # The record goes last and the array before it: members 2, 3, ..., 1, 0.
    order = np.lexsort((np.where(member < 2, width[batch] - member, member - 2), batch))
    taker = (thread + 1 + batch % max(parameters.threads - 1, 1)) % parameters.threads
    freed = _Stream(
        operations(Kind.FREE, slot[order]),
        loop=loop[order] + parameters.lag_loops,
        thread=taker[order],
        section=np.full(len(slot), FOREIGN_FREES),
    )
    return [born, freed]


def _sizes(parameters: Parameters, rng: np.random.Generator, *, count: int) -> sizes.Sizes:
    return sizes.falling(
        rng, parameters.size_min, parameters.size_max, count=count, shape=parameters.shape
    )


LOOPS = Family(
    name="loops",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
