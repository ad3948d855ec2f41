"""Growth: objects that grow by realloc from a small size to a large one, many at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.trace.records import Draft, Ints, Kind, operations
from allocphase.trace.slots import slot_ranks

__all__ = ["GROWTH"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    growing: int = parameter("objects that grow at the same time", minimum=1)
    operations: int = parameter("ops of the steady part, rounded up to whole lives", minimum=1)
    size_min: int = parameter("first size in bytes", minimum=1, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("last size in bytes", minimum=1, maximum=sizes.MAX_SIZE)
    growth_percent: int = parameter("next size in percent of the last", minimum=101, maximum=1000)


def most_operations(parameters: Parameters) -> int:
    longest = len(_sizes(parameters)) + 1
    return parameters.operations + longest + 2 * parameters.growing


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Each op takes a random object one step on: malloc, realloc to the next size, ..., free.

    The build makes objects of all sizes, so that they are at different steps.
    """
    steps = _sizes(parameters)
    cycle = len(steps) + 1
    begun = rng.integers(0, cycle, size=parameters.growing)  # the step that comes first
    lives = rng.integers(0, parameters.growing, size=-(-parameters.operations // cycle))
    slots = rng.permutation(np.repeat(lives, cycle)).astype(np.uint32)
    step = (begun[slots] + slot_ranks(slots)) % cycle
    kinds = np.full(cycle, Kind.REALLOC, dtype=np.uint8)
    kinds[0], kinds[-1] = Kind.MALLOC, Kind.FREE
    there = np.flatnonzero(begun)
    parts = [
        operations(Kind.MALLOC, there, size=steps[begun[there] - 1]),
        operations(kinds[step], slots, size=np.append(steps, 0)[step]),
        operations(Kind.FREE, there),
    ]
    return Draft(ops=np.concatenate(parts), build_ops=len(there), drain_ops=len(there))


def _sizes(parameters: Parameters) -> Ints:
    sizes_bytes = [parameters.size_min]
    while sizes_bytes[-1] < parameters.size_max:
        last = sizes_bytes[-1]
        grown = max(last + 1, last * parameters.growth_percent // 100)
        sizes_bytes.append(min(grown, parameters.size_max))
    return np.array(sizes_bytes)


GROWTH = Family(
    name="growth",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
