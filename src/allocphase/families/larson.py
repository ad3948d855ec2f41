"""Larson: a server whose worker threads come and go, each inheriting the objects of the last."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.families import sizes
from allocphase.families.family import Family, parameter
from allocphase.families.weave import Threads, weave
from allocphase.layout import Draft, Ints, Kind, Ops, operations

__all__ = ["LARSON"]

WARM_UP = 4  # replacements for each slot before the workers start, as in the program


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter("workers at the same time", default=2, minimum=1, maximum=64)
    slots: int = parameter("objects of each worker", minimum=1)
    replacements: int = parameter("objects a worker replaces in its life", minimum=1)
    generations: int = parameter("workers that follow each other", minimum=1, maximum=32)
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)


def most_operations(parameters: Parameters) -> int:
    warm_up = parameters.slots * (2 + 2 * WARM_UP) + 3
    return parameters.threads * (warm_up + 2 * parameters.generations * parameters.replacements)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Thread 0 builds and lives on; thread 1 + g * threads + i is worker i of generation g.

    Each worker's first op waits for one of the last of thread 0: none starts before the warm-up
    ends. The last generation frees all but one object a worker, which thread 0 frees, so that it
    outlives them as the program's main thread does.
    """
    workers = range(parameters.threads)
    opening = _places(parameters, rng, 1)[:, 0]
    parts = [_warm_up(parameters, rng, opening)]
    threads: list[Threads] = [np.zeros(len(parts[0]), dtype=np.uint32)]
    for generation in range(parameters.generations):
        numbers = [1 + generation * parameters.threads + worker for worker in workers]
        places = _places(parameters, rng, parameters.replacements)
        places[:, 0] = opening if generation == 0 else places[:, 0]
        lives = [_replace(parameters, rng, places[worker]) for worker in workers]
        if generation == parameters.generations - 1:
            lives = [np.concatenate([lives[w], _all_but_first(parameters, w)]) for w in workers]
        ops, thread = weave(lives, numbers)
        parts, threads = [*parts, ops], [*threads, thread]
    parts.append(operations(Kind.FREE, np.arange(parameters.threads) * parameters.slots))
    threads.append(np.zeros(parameters.threads, dtype=np.uint32))
    lane = (0, *(1 + worker for _ in range(parameters.generations) for worker in workers))
    return Draft(ops=np.concatenate(parts), thread=np.concatenate(threads), lane=lane)


def _places(parameters: Parameters, rng: np.random.Generator, count: int) -> Ints:
    first = np.arange(parameters.threads)[:, None] * parameters.slots
    return first + rng.integers(0, parameters.slots, size=(parameters.threads, count))


def _warm_up(parameters: Parameters, rng: np.random.Generator, opening: Ints) -> Ops:
    total = parameters.threads * parameters.slots
    size = sizes.uniform(rng, parameters.size_min, parameters.size_max, count=total)
    built = operations(Kind.MALLOC, rng.permutation(total), size=size)
    places = np.append(rng.integers(0, total, size=WARM_UP * total), opening)
    return np.concatenate([built, _replace(parameters, rng, places)])


def _replace(parameters: Parameters, rng: np.random.Generator, places: Ints) -> Ops:
    size = sizes.uniform(rng, parameters.size_min, parameters.size_max, count=len(places))
    kinds = np.tile([Kind.FREE, Kind.MALLOC], len(places))
    return operations(kinds, np.repeat(places, 2), size=np.repeat(size, 2) * (kinds == Kind.MALLOC))


def _all_but_first(parameters: Parameters, worker: int) -> Ops:
    return operations(Kind.FREE, worker * parameters.slots + np.arange(1, parameters.slots))


LARSON = Family(
    name="larson",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
