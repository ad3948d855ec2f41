"""Pareto churn: random slots are toggled, a few of them far more often than the rest."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.weave import weave
from allocphase.trace.records import Draft, Ints, Kind, Ops, operations
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
    operations: int = parameter("toggles by all threads", minimum=1)
    size_max_log2: int = parameter("largest size, as a power of two", minimum=4, maximum=24)


def most_operations(parameters: Parameters) -> int:
    toggles = 2 * parameters.slots + parameters.operations + 3 * parameters.threads
    return 2 * toggles + 2 * parameters.threads


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Each thread fills half its slots, toggles, and frees what is left, in order.

    Before an object is freed it is used once more: the program reads it, the replay writes a word.
    """
    each = max(parameters.slots // parameters.threads, 1)
    toggles = max(parameters.operations // parameters.threads, 1)
    parts = [
        _thread(
            rng,
            first=thread * (each + 1),
            slots=each,
            toggles=toggles,
            log2=parameters.size_max_log2,
        )
        for thread in range(parameters.threads)
    ]
    ops, thread_of = weave(parts, range(parameters.threads))
    return Draft(ops=ops, thread=thread_of if parameters.threads > 1 else None)


def _thread(rng: np.random.Generator, *, first: int, slots: int, toggles: int, log2: int) -> Ops:
    filled = rng.integers(0, 2, size=slots).astype(bool)
    picked = _pick(rng, slots=slots, count=toggles)
    left = filled ^ (np.bincount(picked, minlength=slots) % 2 == 1)
    slot = np.concatenate([np.flatnonzero(filled), picked, np.flatnonzero(left)]).astype(np.uint32)
    frees = slot_ranks(slot) & 1
    size = _sizes(rng, count=len(slot), max_log2=log2) * (1 - frees)
    ops = operations(frees * Kind.FREE, slot, size=size)
    freed = np.flatnonzero(frees)
    ops = np.insert(ops, freed, operations(Kind.WRITE, slot[freed], size=1))
    table = np.array([slots])
    opened = operations(Kind.MALLOC, table, size=slots * TABLE_ENTRY_BYTES)
    ops = np.concatenate([opened, ops, operations(Kind.FREE, table)])
    ops["slot"] += first
    return ops


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
