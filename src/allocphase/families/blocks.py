"""Blocks: a number of objects of one size allocated, then freed, over and over, for each size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.families import sizes
from allocphase.families.family import Family, parameter
from allocphase.layout import Draft, Kind, Ops, operations

__all__ = ["BLOCKS"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    sizes: tuple[int, ...] = parameter("sizes in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    counts: tuple[int, ...] = parameter("objects in a round, for each size", minimum=1)
    allocations: int = parameter("allocations for each size and count, at least", minimum=1)
    reverse: bool = parameter("free in reverse order of allocation")


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:  # noqa: ARG001
    """Nothing is random here."""
    return Draft(
        ops=np.concatenate(
            [
                _rounds(parameters, size_bytes=size, count=count)
                for size in parameters.sizes
                for count in parameters.counts
            ]
        )
    )


def _rounds(parameters: Parameters, *, size_bytes: int, count: int) -> Ops:
    here = np.arange(count)
    slots = np.concatenate([here, here[::-1] if parameters.reverse else here])
    kinds = np.repeat([Kind.MALLOC, Kind.FREE], count)
    one = operations(kinds, slots, size=np.repeat([size_bytes, 0], count))
    return np.tile(one, -(-parameters.allocations // count))


BLOCKS = Family(name="blocks", parameters=Parameters, draft=draft)
