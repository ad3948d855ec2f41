"""A window: the oldest object is freed and a new one allocated, a fixed number being live."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.trace.records import Draft, Kind, operations

__all__ = ["WINDOW"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    allocations: int = parameter("allocations, rounded up to whole windows", minimum=1)
    live: int = parameter("objects live at once", minimum=1)
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)


def most_operations(parameters: Parameters) -> int:
    return 2 * (parameters.allocations + parameters.live)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """First in, first out; the window is filled first and drained at the end.

    After whole windows the oldest object is where it was.
    """
    live = min(parameters.live, parameters.allocations)
    count = max(-(-parameters.allocations // live), 2) * live
    later = np.arange(live, count)
    drained = np.arange(count - live, count)
    born = np.concatenate([np.arange(live), np.repeat(later, 2), drained])
    kinds = np.concatenate(
        [
            np.full(live, Kind.MALLOC),
            np.tile([Kind.FREE, Kind.MALLOC], count - live),
            np.full(live, Kind.FREE),
        ]
    )
    size = sizes.even(rng, parameters.size_min, parameters.size_max, count=count)
    ops = operations(kinds, born % live, size=np.where(kinds == Kind.MALLOC, size[born], 0))
    return Draft(ops=ops, build_ops=live, drain_ops=live)


WINDOW = Family(
    name="window",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
