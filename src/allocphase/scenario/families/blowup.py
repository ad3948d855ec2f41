"""Blow-up: threads that follow each other, each with the same amount live, never two at once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.weave import chain
from allocphase.trace.records import Draft, Kind, Ops, operations

__all__ = ["BLOWUP"]

TOKEN_BYTES = 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter("threads that follow each other", default=4, minimum=1, maximum=32)
    live_bytes: int = parameter("bytes that each has live at its peak", minimum=1)
    size_min: int = parameter("smallest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)
    stay: bool = parameter("threads live on, idle, until the last has done its work")


def most_operations(parameters: Parameters) -> int:
    return 2 * parameters.threads * (_objects(parameters) + 1)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """All use the same slots. A thread frees the slot that its successor fills first at last, so
    that the successor starts when all is free, whether or not its predecessor has ended.
    """
    count = _objects(parameters)
    turns = [_turn(parameters, rng, count=count) for _ in range(parameters.threads)]
    ops, thread = chain(turns, range(parameters.threads))
    if parameters.threads == 1:
        return Draft(ops=ops)
    if not parameters.stay:
        return Draft(ops=ops, thread=thread, lane=(0,) * parameters.threads)
    others = np.arange(parameters.threads - 1, dtype=np.uint32)
    released = operations(Kind.MALLOC, count + others, size=TOKEN_BYTES)
    ended = operations(Kind.FREE, count + others)
    last = np.full(len(others), parameters.threads - 1, dtype=np.uint32)
    return Draft(
        ops=np.concatenate([ops, released, ended]), thread=np.concatenate([thread, last, others])
    )


def _objects(parameters: Parameters) -> int:
    return max(2 * parameters.live_bytes // (parameters.size_min + parameters.size_max), 1)


def _turn(parameters: Parameters, rng: np.random.Generator, *, count: int) -> Ops:
    here = np.arange(count)
    size = sizes.even(rng, parameters.size_min, parameters.size_max, count=count)
    born = operations(Kind.MALLOC, here, size=size)
    return np.concatenate([born, operations(Kind.FREE, np.roll(here, -1))])


BLOWUP = Family(
    name="blowup",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
