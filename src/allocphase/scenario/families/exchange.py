"""Exchange: threads allocate, free and swap objects with a table that all of them share.

Which object a place holds follows from all swaps before. Each touch of a place is a node whose
parent is where its object came from, and jumping along parents, twice as far each time, finds
the allocation (pointer doubling): no walk over the events.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.scenario.families.family import Family, parameter
from allocphase.trace.records import Draft, Kind, operations
from allocphase.trace.slots import previous

__all__ = ["ALLOCATE", "DROP", "EVENT", "EXCHANGE", "SWAP", "held_before"]

Indices = npt.NDArray[np.int64]

WORD_BYTES = 8
DATA_LOG2, RETAINED_LOG2 = 5, 7
ALLOCATE, DROP, SWAP = 0, 1, 2

EVENT = np.dtype([(name, "<i8") for name in ("step", "thread", "does", "place", "other", "words")])
Events = npt.NDArray[np.void]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter("workers at the same time", default=2, minimum=1, maximum=64)
    rounds: int = parameter("how often all workers end and new ones start", minimum=1, maximum=32)
    scale: int = parameter("worker t allocates 150 * scale * (t % 8 + 1) objects", minimum=1)
    transfers: int = parameter("places in the shared table", minimum=1)


@dataclass(frozen=True, slots=True)
class _Run:
    """One worker's life: its thread number and where its own places start."""

    thread: int
    first_place: int
    allocations: int
    retained: int
    first_step: int

    @property
    def steps(self) -> int:
        return self.allocations + self.retained

    @property
    def array_words(self) -> tuple[int, int]:
        """Of the worker's two arrays of addresses, which lie behind its other places."""
        return self.retained, self.allocations


def most_operations(parameters: Parameters) -> int:
    workers = sum(worker % 8 + 1 for worker in range(parameters.threads))
    arrays = 4 * parameters.threads
    objects = 2 * 150 * parameters.scale * workers
    return parameters.rounds * (objects + arrays + parameters.transfers)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Thread 0 frees a random half of the shared table after each round, all of it at last."""
    events, place, step = [], parameters.transfers, 0
    for round_ in range(parameters.rounds):
        runs = []
        for worker in range(parameters.threads):
            allocations = 100 * parameters.scale * (worker % 8 + 1)
            thread = 1 + round_ * parameters.threads + worker
            run = _Run(thread, place, allocations, allocations // 2, step)
            place += run.steps + len(run.array_words)
            runs.append(run)
        events += [_life(run, parameters, rng) for run in runs]
        step = max(run.first_step + run.steps for run in runs) + 1
        events.append(_purge(parameters, rng, step=step, all_=round_ == parameters.rounds - 1))
        step += 1
    ordered = np.concatenate(events)
    ordered = ordered[np.lexsort((ordered["thread"], ordered["step"]))]
    lanes = [1 + worker for _ in range(parameters.rounds) for worker in range(parameters.threads)]
    return _draft(ordered, lane=(0, *lanes))


def _life(run: _Run, parameters: Parameters, rng: np.random.Generator) -> Events:
    """Each step allocates one object, kept in the worker's data or retained to its end."""
    data = _is_data(run, rng)
    top = np.cumsum(data)
    step = run.first_step + np.arange(run.steps)
    mine = run.first_place + np.where(data, top - 1, run.allocations + np.arange(run.steps) - top)
    frees = (rng.integers(0, 100, size=run.steps) <= 66) & (top > 0)
    swaps = (rng.integers(0, 100, size=run.steps) <= 25) & (top > 0)
    freed, swapped = rng.integers(0, np.maximum(top, 1), size=(2, run.steps)) + run.first_place
    shared = rng.integers(0, parameters.transfers, size=run.steps)
    owned = run.first_place + np.arange(run.steps)
    arrays = run.first_place + run.steps + np.arange(len(run.array_words))
    parts = [
        _events(run.thread, ALLOCATE, arrays, step=step[0], words=np.array(run.array_words)),
        _events(run.thread, ALLOCATE, mine, step=step, words=_words(data, rng)),
        _events(run.thread, DROP, freed[frees], step=step[frees]),
        _events(run.thread, SWAP, swapped[swaps], step=step[swaps], other=shared[swaps]),
        _events(run.thread, DROP, np.roll(owned, run.retained), step=step[-1]),
        _events(run.thread, DROP, arrays, step=step[-1]),
    ]
    life = np.concatenate(parts)
    return life[np.argsort(life["step"], kind="stable")]


def _is_data(run: _Run, rng: np.random.Generator) -> npt.NDArray[np.bool_]:
    """An even choice (51%) until one of the two kinds is used up; then all of the other."""
    data = rng.integers(0, 100, size=run.steps) <= 50
    data_full = int(np.searchsorted(np.cumsum(data), run.allocations))
    retained_full = int(np.searchsorted(np.cumsum(~data), run.retained))
    last = min(data_full, retained_full)
    data[last + 1 :] = retained_full < data_full
    return data


def _words(data: npt.NDArray[np.bool_], rng: np.random.Generator) -> Indices:
    """Powers of two, 2% of them made 100 times larger or, rarely, 1,000 or 10,000 times."""
    count = len(data)
    log2 = rng.integers(0, np.where(data, DATA_LOG2, RETAINED_LOG2))
    large, giant, huge = rng.integers(0, 100, size=(3, count))
    factor = np.where(giant <= 1, 10_000, np.where(huge <= 10, 1_000, 100))
    return np.where(large <= 1, factor, 1) << log2


def _purge(parameters: Parameters, rng: np.random.Generator, *, step: int, all_: bool) -> Events:
    chosen = rng.integers(0, 100, size=parameters.transfers) <= (99 if all_ else 50)
    return _events(0, DROP, np.flatnonzero(chosen), step=step)


def _events(
    thread: int,
    does: int,
    place: Indices,
    *,
    step: Indices | int,
    other: Indices | int = 0,
    words: Indices | int = 0,
) -> Events:
    events = np.zeros(len(place), dtype=EVENT)
    events["step"], events["thread"], events["does"] = step, thread, does
    events["place"], events["other"], events["words"] = place, other, words
    return events


def _draft(events: Events, *, lane: tuple[int, ...]) -> Draft:
    allocates, drops = events["does"] == ALLOCATE, events["does"] == DROP
    number = np.cumsum(allocates) - 1
    held = held_before(events, number)
    kept = allocates | (drops & (held >= 0))
    slot = np.where(allocates, number, held)[kept]
    kinds = np.where(allocates[kept], Kind.MALLOC, Kind.FREE)
    ops = operations(kinds, slot, size=events["words"][kept] * WORD_BYTES)
    return Draft(ops=ops, thread=events["thread"][kept].astype(np.uint32), lane=lane)


def held_before(events: Events, number: Indices) -> Indices:
    """The object in each event's place just before it, or -1."""
    swaps = events["does"] == SWAP
    first = np.cumsum(1 + swaps) - (1 + swaps)  # a swap touches two places, the rest one
    place = np.empty(len(events) + int(np.count_nonzero(swaps)), dtype=np.uint32)
    place[first] = events["place"]
    place[first[swaps] + 1] = events["other"][swaps]
    before = previous(place)
    nothing = len(place)
    before[before < 0] = nothing
    parent = np.arange(nothing + 1)
    parent[first[swaps]] = before[first[swaps] + 1]
    parent[first[swaps] + 1] = before[first[swaps]]
    holds = np.full(nothing + 1, -1)
    allocates = events["does"] == ALLOCATE
    holds[first[allocates]] = number[allocates]
    held: Indices = holds[_roots(parent)[before[first]]]
    return held


def _roots(parent: Indices) -> Indices:
    while True:
        further = parent[parent]
        if (further == parent).all():
            return parent
        parent = further


EXCHANGE = Family(
    name="exchange",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
