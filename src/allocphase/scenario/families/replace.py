"""Replacement: each round puts a new object into a random place and drops the old one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.recurrence import in_pairs, last_of_each
from allocphase.trace.records import Draft, Ints, Kind, Ops, operations
from allocphase.trace.slots import previous, slot_ranks

__all__ = ["REPLACE", "replacements", "resized"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    live: int = parameter("places, each with at most one object", minimum=1)
    replacements: int = parameter("objects put into a random place", minimum=1)
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)
    new_first: bool = parameter("allocate the new object before the old one is freed")


def most_operations(parameters: Parameters) -> int:
    return 2 * (parameters.live + parameters.replacements + 1)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """The build fills all places, the drain empties them in order."""
    live = parameters.live
    if parameters.new_first:  # an even number of times each: a place has two slots by turns
        places = in_pairs(rng, rng.integers(0, live, size=-(-parameters.replacements // 2)))
    else:
        places = rng.integers(0, live, size=parameters.replacements)
    places = np.concatenate([np.arange(live), places])
    size = sizes.uniform(rng, parameters.size_min, parameters.size_max, count=len(places))
    ops = replacements(places, size, new_first=parameters.new_first)
    return Draft(ops=ops, build_ops=live, drain_ops=live)


def replacements(places: Ints, size: Ints, *, new_first: bool) -> Ops:
    """Ops that put an object of `size[i]` into `places[i]`, i = 0, 1, ..., and empty all at last.

    The first object of a place replaces none. With `new_first` a place has two slots, since for a
    moment it has two objects; else place and slot are the same.
    """
    index = places.astype(np.uint32)
    old = previous(index) >= 0
    turn = slot_ranks(index) & 1 if new_first else np.zeros(len(index), dtype=np.uint32)
    width = 2 if new_first else 1
    born = operations(Kind.MALLOC, index * width + turn, size=size)
    freed = operations(Kind.FREE, index * width + (1 - turn if new_first else turn))
    pairs = np.stack([born, freed] if new_first else [freed, born], axis=1).ravel()
    kept = np.stack([np.ones_like(old), old] if new_first else [old, np.ones_like(old)], axis=1)
    left = born["slot"][last_of_each(index)]
    return np.concatenate([pairs[kept.ravel()], operations(Kind.FREE, left)])


def resized(ops: Ops, after: Ints, size: Ints) -> Ops:
    """`ops` with a realloc of the same slot to `size[i]` behind each `ops[after[i]]`."""
    reallocs = operations(Kind.REALLOC, ops["slot"][after], size=size)
    found: Ops = np.insert(ops, after + 1, reallocs)
    return found


REPLACE = Family(
    name="replace",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
