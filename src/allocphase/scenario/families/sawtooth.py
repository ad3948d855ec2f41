"""Sawtooth: memory builds to a peak and drops, many times; a few objects survive each tooth."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.trace.records import Draft, Kind, Ops, operations

__all__ = ["SAWTOOTH"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    teeth: int = parameter("how often memory builds up and drops", minimum=1)
    objects: int = parameter("objects allocated in each tooth", minimum=1)
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)
    survivors: int = parameter("objects of each tooth that live for all the others", minimum=0)


def most_operations(parameters: Parameters) -> int:
    return 2 * parameters.teeth * (parameters.objects + parameters.survivors)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Survivors are random ones; the others go in the order in which they came. A survivor goes
    when its tooth comes again; the build makes those of teeth before the first.
    """
    survivors = min(parameters.survivors, parameters.objects)
    kept = parameters.objects + np.arange(parameters.teeth * survivors)
    size = sizes.uniform(rng, parameters.size_min, parameters.size_max, count=len(kept))
    teeth = [_tooth(parameters, rng, index=i, survivors=survivors) for i in range(parameters.teeth)]
    parts = [operations(Kind.MALLOC, kept, size=size), *teeth, operations(Kind.FREE, kept)]
    return Draft(ops=np.concatenate(parts), build_ops=len(kept), drain_ops=len(kept))


def _tooth(parameters: Parameters, rng: np.random.Generator, *, index: int, survivors: int) -> Ops:
    slots = np.arange(parameters.objects)
    lasting = np.sort(rng.permutation(parameters.objects)[:survivors])
    dropped = np.delete(slots, lasting)
    kept = parameters.objects + index * survivors + np.arange(survivors)
    slots[lasting] = kept
    size = sizes.uniform(rng, parameters.size_min, parameters.size_max, count=len(slots))
    born = operations(Kind.MALLOC, slots, size=size)
    return np.concatenate([operations(Kind.FREE, kept), born, operations(Kind.FREE, dropped)])


SAWTOOTH = Family(
    name="sawtooth",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
