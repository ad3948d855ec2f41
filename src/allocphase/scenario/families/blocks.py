"""Blocks: a number of objects of one size allocated, then freed, over and over, for each size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.weave import chain
from allocphase.trace.records import Draft, Kind, Ops, operations

__all__ = ["BLOCKS"]

POINTER_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    sizes: tuple[int, ...] = parameter("sizes in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    counts: tuple[int, ...] = parameter("objects in a round, for each size", minimum=1)
    allocations: int = parameter("allocations for each size and count, at least", minimum=1)
    reverse: bool = parameter("free in reverse order of allocation")
    idle_thread: bool = parameter(
        "a second thread lives meanwhile: an allocator may take no locks before there is one"
    )


def most_operations(parameters: Parameters) -> int:
    each = sum(parameters.allocations + count for count in parameters.counts)
    return 2 * len(parameters.sizes) * each + 2


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:  # noqa: ARG001
    """Nothing is random here."""
    rounds = np.concatenate(
        [
            _rounds(parameters, size_bytes=size, count=count)
            for size in parameters.sizes
            for count in parameters.counts
        ]
    )
    return (
        _beside_another(rounds, max(parameters.counts)) if parameters.idle_thread else Draft(rounds)
    )


def _beside_another(rounds: Ops, most: int) -> Draft:
    """Thread 0 allocates the array of addresses, and frees it when thread 1 has done the rounds."""
    array = np.array([most])
    opened = operations(Kind.MALLOC, array, size=most * POINTER_BYTES)
    closed = operations(Kind.FREE, array)
    ops, thread = chain([opened, rounds, closed], [0, 1, 0])
    return Draft(ops=ops, thread=thread, build_ops=1, drain_ops=1)


def _rounds(parameters: Parameters, *, size_bytes: int, count: int) -> Ops:
    here = np.arange(count)
    slots = np.concatenate([here, here[::-1] if parameters.reverse else here])
    kinds = np.repeat([Kind.MALLOC, Kind.FREE], count)
    one = operations(kinds, slots, size=np.repeat([size_bytes, 0], count))
    return np.tile(one, -(-parameters.allocations // count))


BLOCKS = Family(
    name="blocks",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
