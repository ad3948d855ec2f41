"""Zeroed: objects from malloc and from calloc, each with sizes of its own; some grow once."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, ParameterError, parameter
from allocphase.scenario.families.replace import replacements, resized
from allocphase.trace.records import Draft, Kind, kind_of

__all__ = ["ZEROED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    live: int = parameter("objects live at once", minimum=1)
    replacements: int = parameter("objects replaced", minimum=1)
    zeroed_percent: int = parameter("callocs among the allocations", minimum=0, maximum=100)
    grown_percent: int = parameter(
        "objects from malloc that are at once made twice as long by realloc", minimum=0, maximum=100
    )
    plain_sizes: tuple[int, ...] = parameter(
        "sizes of a malloc in bytes", minimum=1, maximum=sizes.MAX_SIZE // 2
    )
    plain_rates: tuple[int, ...] = parameter(
        "mallocs of each size, relative", minimum=1, maximum=1 << 30
    )
    zeroed_sizes: tuple[int, ...] = parameter(
        "sizes of a calloc in bytes", minimum=1, maximum=sizes.MAX_SIZE
    )
    zeroed_rates: tuple[int, ...] = parameter(
        "callocs of each size, relative", minimum=1, maximum=1 << 30
    )


def most_operations(parameters: Parameters) -> int:
    return 3 * (parameters.live + parameters.replacements)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """A random place is emptied and filled again; all are full to begin with."""
    for key in ("plain", "zeroed"):
        if len(getattr(parameters, f"{key}_sizes")) != len(getattr(parameters, f"{key}_rates")):
            raise ParameterError(f"{key}_sizes", f"must be as many as {key}_rates")
    count = parameters.live + parameters.replacements
    victims = rng.integers(0, parameters.live, size=parameters.replacements)
    zeroed = rng.integers(0, 100, size=count) < parameters.zeroed_percent
    grown = ~zeroed & (rng.integers(0, 100, size=count) < parameters.grown_percent)
    plain_size = sizes.weighted(rng, parameters.plain_sizes, parameters.plain_rates, count=count)
    zeroed_size = sizes.weighted(rng, parameters.zeroed_sizes, parameters.zeroed_rates, count=count)
    size = np.where(zeroed, zeroed_size, plain_size)
    places = np.concatenate([np.arange(parameters.live), victims])
    ops = replacements(places, size, new_first=False)
    born = np.flatnonzero(kind_of(ops) == Kind.MALLOC)
    ops["kind_flags"][born[zeroed]] = Kind.CALLOC
    built = parameters.live + int(np.count_nonzero(grown[: parameters.live]))
    ops = resized(ops, born[grown], 2 * size[grown])
    return Draft(ops=ops, build_ops=built, drain_ops=parameters.live)


ZEROED = Family(
    name="zeroed",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
