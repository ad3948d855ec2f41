"""Larson: a server whose worker threads come and go, each inheriting the objects of the last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.weave import chain, weave
from allocphase.trace.records import Draft, Ints, Kind, Ops, operations

__all__ = ["LARSON"]

WARM_UP = 4  # replacements before the clock starts, for each object


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter("workers at the same time", default=2, minimum=1, maximum=64)
    slots: int = parameter("objects of each worker", minimum=1)
    replacements: int = parameter("objects a worker replaces in its life", minimum=1)
    generations: int = parameter("workers that follow each other", minimum=1, maximum=32)
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)


def most_operations(parameters: Parameters) -> int:
    each = (1 + WARM_UP) * parameters.slots + parameters.generations * parameters.replacements
    return 2 * parameters.threads * each


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Thread 0 fills all slots, as the program's main thread does before the clock starts; thread
    1 + g * threads + i is worker i of generation g; the last thread empties all slots.
    """
    workers, generations = range(parameters.threads), range(parameters.generations)
    filled = _filling(parameters, rng)
    emptied = operations(Kind.FREE, np.arange(parameters.threads * parameters.slots))
    lives = [
        weave(
            [_life(parameters, rng, worker) for worker in workers],
            [1 + generation * parameters.threads + worker for worker in workers],
        )
        for generation in generations
    ]
    last = 1 + parameters.generations * parameters.threads
    parts = [chain([filled], [0]), *lives, chain([emptied], [last])]
    return Draft(
        ops=np.concatenate([ops for ops, _ in parts]),
        thread=np.concatenate([thread for _, thread in parts]),
        lane=(0, *(tuple(workers) * parameters.generations), 0),
        build_ops=len(filled),
        drain_ops=len(emptied),
    )


def _filling(parameters: Parameters, rng: np.random.Generator) -> Ops:
    """In random order over all workers' slots, whose objects so lie between each other."""
    count = parameters.threads * parameters.slots
    born = operations(
        Kind.MALLOC, rng.permutation(count), size=_sizes(parameters, rng, count=count)
    )
    drawn = rng.integers(0, count, size=WARM_UP * count)
    return np.concatenate([born, _replacements(parameters, rng, drawn)])


def _life(parameters: Parameters, rng: np.random.Generator, worker: int) -> Ops:
    drawn = rng.integers(0, parameters.slots, size=parameters.replacements)
    return _replacements(parameters, rng, worker * parameters.slots + drawn)


def _replacements(parameters: Parameters, rng: np.random.Generator, slots: Ints) -> Ops:
    count = len(slots)
    size = np.stack([np.zeros(count, np.uint32), _sizes(parameters, rng, count=count)], axis=1)
    kinds = np.tile([Kind.FREE, Kind.MALLOC], count)
    return operations(kinds, np.repeat(slots, 2), size=size.ravel())


def _sizes(parameters: Parameters, rng: np.random.Generator, *, count: int) -> sizes.Sizes:
    return sizes.uniform(rng, parameters.size_min, parameters.size_max, count=count)


LARSON = Family(
    name="larson",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
