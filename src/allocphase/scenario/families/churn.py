"""Churn: each op picks a slot at random; a filled one is freed, an empty one filled."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.recurrence import in_pairs
from allocphase.trace.records import Draft, Kind, operations
from allocphase.trace.slots import slot_ranks

__all__ = ["CHURN"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    live: int = parameter("objects live on average; there are twice as many slots", minimum=1)
    operations: int = parameter("ops of the steady part, rounded up to an even number", minimum=1)
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)


def most_operations(parameters: Parameters) -> int:
    return 2 * parameters.live + parameters.operations + 1


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Half the slots are filled to begin with, so that the average holds from the start."""
    live, slot_count = parameters.live, 2 * parameters.live
    built = rng.permutation(slot_count)[:live]
    drawn = rng.integers(0, slot_count, size=-(-parameters.operations // 2), dtype=np.uint32)
    toggled = in_pairs(rng, drawn)
    slots = np.concatenate([built, toggled, np.sort(built)]).astype(np.uint32)
    frees = (slot_ranks(slots) & 1).astype(np.uint8)
    size = sizes.uniform(rng, parameters.size_min, parameters.size_max, count=len(slots))
    size *= 1 - frees
    ops = operations(frees * np.uint8(Kind.FREE), slots, size=size)
    return Draft(ops=ops, build_ops=live, drain_ops=live)


CHURN = Family(
    name="churn",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
