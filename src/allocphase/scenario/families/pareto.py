"""Pareto churn: random slots are toggled, a few of them far more often than the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.recurrence import in_pairs
from allocphase.scenario.families.weave import Life, in_step
from allocphase.trace.records import Draft, Ints, Kind, Ops, kind_of, operations
from allocphase.trace.slots import slot_ranks

__all__ = ["PARETO"]

MILLION = 1_000_000
# The 80/20 rule nested six times: the terms of (0.8 + 0.2)^6, in millionths, are the picks that
# each tier gets and, in reverse, the slots that it has.
TIERS = np.array([262_144, 393_216, 245_760, 81_920, 15_360, 1_536, 64])
SMALLEST_LOG2 = 3
TABLE_ENTRY_BYTES = 16  # of the program's own table: address, size, and how often filled


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter("threads, each with its own slots", default=2, minimum=1, maximum=64)
    slots: int = parameter("slots of all threads", minimum=1)
    operations: int = parameter("toggles in the steady part, by all threads", minimum=1)
    size_max_log2: int = parameter("largest size, as a power of two", minimum=4, maximum=24)


def most_operations(parameters: Parameters) -> int:
    toggles = 2 * parameters.slots + parameters.operations + 3 * parameters.threads
    return 2 * toggles + 2 * parameters.threads


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Each thread fills half its slots, toggles, each of them an even number of times, and frees
    what is left, in order.

    Before an object is freed it is used once more: the program reads it, the replay writes a word.
    """
    each = max(parameters.slots // parameters.threads, 1)
    toggles = max(parameters.operations // parameters.threads, 1)
    return in_step(
        [
            _thread(
                rng,
                first=thread * (each + 1),
                slots=each,
                toggles=toggles,
                log2=parameters.size_max_log2,
            )
            for thread in range(parameters.threads)
        ]
    )


def _thread(rng: np.random.Generator, *, first: int, slots: int, toggles: int, log2: int) -> Life:
    filled = np.flatnonzero(rng.integers(0, 2, size=slots))
    picked = in_pairs(rng, _pick(rng, slots=slots, count=-(-toggles // 2)))
    slot = first + np.concatenate([filled, picked, filled]).astype(np.uint32)
    frees = slot_ranks(slot) & 1
    size = _sizes(rng, count=len(slot), max_log2=log2) * (1 - frees)
    ops = operations(frees * Kind.FREE, slot, size=size)
    build, steady, drain = np.split(ops, [len(filled), len(slot) - len(filled)])
    table = np.array([first + slots])
    opened = operations(Kind.MALLOC, table, size=slots * TABLE_ENTRY_BYTES)
    return Life(
        build=np.concatenate([opened, build]),
        steady=_written(steady),
        drain=np.concatenate([_written(drain), operations(Kind.FREE, table)]),
    )


def _written(ops: Ops) -> Ops:
    freed = np.flatnonzero(kind_of(ops) == Kind.FREE)
    written: Ops = np.insert(ops, freed, operations(Kind.WRITE, ops["slot"][freed], size=1))
    return written


def _pick(rng: np.random.Generator, *, slots: int, count: int) -> Ints:
    starts = np.append(0, np.cumsum(slots * TIERS[::-1] // MILLION))
    starts[-1] = slots
    tier = np.searchsorted(np.cumsum(TIERS), rng.integers(0, MILLION, size=count), side="right")
    low = np.minimum(starts[tier], slots - 1)
    picked: Ints = rng.integers(low, np.maximum(starts[tier + 1], low + 1))
    return picked


def _sizes(rng: np.random.Generator, *, count: int, max_log2: int) -> sizes.Sizes:
    """Half the sizes in 8 bytes, a quarter in 9-16, and so on to the last, which has the rest.

    The program's smallest class is 5-8 bytes. Allocators give 8 for each of these, and a word can
    be written.
    """
    classes = np.arange(SMALLEST_LOG2, max_log2 + 1)
    weights = 2 ** (max_log2 - classes)
    top = sizes.weighted(rng, 1 << classes, np.append(weights[:-1], weights[-2]), count=count)
    drawn = rng.integers(top // 2 + 1, top, endpoint=True, dtype=np.uint32)
    return np.maximum(drawn, 1 << SMALLEST_LOG2)


PARETO = Family(
    name="pareto",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
