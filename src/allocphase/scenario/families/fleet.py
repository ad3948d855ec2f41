"""Fleet: sizes and lifetimes as profiles of many programs give them, in a steady state."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, ParameterError, parameter
from allocphase.scenario.families.lifetimes import TICKS, exponential, recurring
from allocphase.trace.records import Draft

__all__ = ["FLEET", "expected_live"]

Indices = npt.NDArray[np.int64]

ENDLESS = 1 << 56  # ticks: longer than any trace


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    allocations: int = parameter("allocations after the build", minimum=1)
    live: int = parameter("objects live in the steady state, of all sizes", minimum=1)
    sizes: tuple[int, ...] = parameter("sizes in bytes", minimum=1, maximum=sizes.MAX_SIZE)
    rates: tuple[int, ...] = parameter(
        "allocations of each size, relative", minimum=1, maximum=1 << 30
    )
    lives: tuple[float, ...] = parameter(
        "live objects for each allocation, relative", minimum=0.01, maximum=1e9
    )


def most_operations(parameters: Parameters) -> int:
    return 4 * parameters.allocations + 2 * (parameters.live + 2 * len(parameters.sizes))


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Time goes round: what lives on when the steady part ends is there when it begins, so that
    it can be repeated; the build makes these objects, and those that no lifetime is left for.
    No object lives longer than a round.
    """
    classes = len(parameters.sizes)
    if not classes == len(parameters.rates) == len(parameters.lives):
        raise ParameterError("sizes", "must be as many as rates and lives")
    live = expected_live(parameters)
    drawn = sizes.weighted(rng, np.arange(classes), parameters.rates, count=parameters.allocations)
    drawn = drawn.astype(np.int64)
    born = np.arange(len(drawn)) * TICKS
    round_ticks = len(drawn) * TICKS
    mean = _mean_ticks(parameters, live)[drawn]
    died = born + np.minimum(exponential(rng, mean) + 1, round_ticks - 1)
    lasting = np.maximum(live - np.bincount(drawn[died >= round_ticks], minlength=classes), 0)
    size = np.array(parameters.sizes)
    return recurring(
        rng,
        born,
        died,
        size[drawn],
        round_ticks=round_ticks,
        lasting=size[np.repeat(np.arange(classes), lasting)],
    )


def expected_live(parameters: Parameters) -> Indices:
    """Objects of each size in the steady state, shape (sizes,): rates times lives, scaled."""
    weight = np.array(parameters.rates) * np.array(parameters.lives)
    total = math.fsum(weight.tolist())  # np.sum's order depends on the processor
    live: Indices = np.rint(parameters.live * weight / total).astype(np.int64)
    return np.maximum(live, 1)


def _mean_ticks(parameters: Parameters, live: Indices) -> Indices:
    """Little's law: lifetime of a size = its live objects / its allocation rate."""
    ticks = TICKS * sum(parameters.rates)  # Python's integers: the products may leave 64 bits
    lifetimes = [
        min(count * ticks // rate, ENDLESS)
        for count, rate in zip(live.tolist(), parameters.rates, strict=True)
    ]
    return np.array(lifetimes, dtype=np.int64)


FLEET = Family(
    name="fleet",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
