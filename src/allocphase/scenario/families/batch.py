"""Batches: allocate a number of objects, then free all of them, again and again."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.trace.records import Draft, Kind, operations

__all__ = ["BATCH"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    allocations: int = parameter("objects allocated before the first is freed", minimum=1)
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)
    batches: int = parameter("how often this is done", default=1, minimum=1)
    reverse: bool = parameter("free in reverse order of allocation", default=False)


def most_operations(parameters: Parameters) -> int:
    return 2 * parameters.allocations * parameters.batches


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Sizes spread evenly over the range, so that each batch has the range's mean. A single batch
    has no steady state: it is built and dropped. Several are one.
    """
    count = parameters.allocations
    here = np.arange(count)
    slots = np.concatenate([here, here[::-1] if parameters.reverse else here])
    kinds = np.repeat([Kind.MALLOC, Kind.FREE], count)
    ops = operations(np.tile(kinds, parameters.batches), np.tile(slots, parameters.batches))
    size = sizes.even(rng, parameters.size_min, parameters.size_max, count=count)
    ops["size"].reshape(parameters.batches, 2, count)[:, 0, :] = size
    built = count if parameters.batches == 1 else 0
    return Draft(ops=ops, build_ops=built, drain_ops=built)


BATCH = Family(
    name="batch",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
