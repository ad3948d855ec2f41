"""Blocks: a number of objects of one size allocated, then freed, over and over, for each size."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.weave import Threads, shifted, weave
from allocphase.trace.records import Draft, Kind, Ops, operations

__all__ = ["BLOCKS"]

POINTER_BYTES = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    sizes: tuple[int, ...] = parameter("sizes in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    counts: tuple[int, ...] = parameter("objects in a round, for each size", minimum=1)
    allocations: int = parameter("allocations for each size and count, at least", minimum=1)
    reverse: bool = parameter("free in reverse order of allocation")
    threads: int = parameter(
        "workers, each with blocks of its own", default=1, minimum=1, maximum=64
    )
    idle_thread: bool = parameter(
        "one more thread lives meanwhile: an allocator may take no locks before there are two"
    )


def most_operations(parameters: Parameters) -> int:
    each = sum(parameters.allocations + count for count in parameters.counts)
    return 2 * parameters.threads * len(parameters.sizes) * each + 2


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:  # noqa: ARG001
    """Nothing is random here. With `idle_thread`, that one is thread 0, before the workers."""
    rounds = np.concatenate(
        [
            _rounds(parameters, size_bytes=size, count=count)
            for size in parameters.sizes
            for count in parameters.counts
        ]
    )
    most = max(parameters.counts)
    first = 1 if parameters.idle_thread else 0
    workers = range(parameters.threads)
    ops, thread = weave(
        [shifted(rounds, worker * most) for worker in workers],
        range(first, first + parameters.threads),
    )
    if parameters.idle_thread:
        return _beside_another(ops, thread, parameters.threads * most)
    return Draft(ops=ops, thread=thread if parameters.threads > 1 else None)


def _beside_another(ops: Ops, thread: Threads, slot: int) -> Draft:
    """Thread 0 allocates the array of addresses, and frees it when the others have done all."""
    opened = operations(Kind.MALLOC, np.array([slot]), size=slot * POINTER_BYTES)
    closed = operations(Kind.FREE, np.array([slot]))
    idle = np.zeros(1, dtype=thread.dtype)
    return Draft(
        ops=np.concatenate([opened, ops, closed]),
        thread=np.concatenate([idle, thread, idle]),
        build_ops=1,
        drain_ops=1,
    )


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
