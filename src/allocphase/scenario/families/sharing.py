"""False sharing: threads write to small objects of their own that may share a cache line."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.weave import chain, weave
from allocphase.trace.records import Draft, Kind, Ops, operations

__all__ = ["SHARING"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter("workers", default=2, minimum=1, maximum=64)
    iterations: int = parameter("objects that each worker allocates, one at a time", minimum=1)
    writes: int = parameter("writes to each object", minimum=1, maximum=1 << 31)
    size: int = parameter("size of each object in bytes", minimum=8, maximum=1 << 20)
    handed: bool = parameter("another thread allocates an object for each worker to free first")


def most_operations(parameters: Parameters) -> int:
    return parameters.threads * (3 * parameters.iterations + 2)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:  # noqa: ARG001
    """Nothing is random here. With `handed`, thread 0 allocates and the workers follow it."""
    workers = parameters.threads
    first = 1 if parameters.handed else 0
    lives = [_life(parameters, slot=slot) for slot in range(workers)]
    ops, thread = weave(lives, range(first, first + workers))
    if parameters.handed:
        gifts = operations(Kind.MALLOC, np.arange(workers), size=parameters.size)
        opened, _ = chain([gifts, ops], [0, 0])
        return Draft(ops=opened, thread=np.append(np.zeros(workers, np.uint32), thread))
    return Draft(ops=ops, thread=thread if workers > 1 else None)


def _life(parameters: Parameters, *, slot: int) -> Ops:
    kinds = np.tile([Kind.MALLOC, Kind.WRITE, Kind.FREE], parameters.iterations)
    size = np.tile([parameters.size, parameters.writes, 0], parameters.iterations)
    if parameters.handed:
        kinds, size = np.append(Kind.FREE, kinds), np.append(0, size)
    return operations(kinds, np.full(len(kinds), slot), size=size)


SHARING = Family(
    name="sharing",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
