"""Inverse-square sizes put into random places by threads that share nothing."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.replace import replacements
from allocphase.scenario.families.weave import Life, in_step, shifted
from allocphase.trace.records import Draft

__all__ = ["INVERSE"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    threads: int = parameter("threads, each with its own places", default=2, minimum=1, maximum=64)
    places: int = parameter("places of each thread", minimum=1, maximum=1 << 26)
    replacements: int = parameter("objects that each thread puts into a place", minimum=1)
    size_min: int = parameter("smallest size in bytes", minimum=1, maximum=1 << 15)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=1 << 15)
    place_cycle: int = parameter("draws of a place before they repeat", minimum=1)
    size_cycle: int = parameter("draws of a size before they repeat", minimum=1)


def most_operations(parameters: Parameters) -> int:
    draws = parameters.place_cycle + parameters.size_cycle
    return 2 * parameters.threads * (parameters.replacements + parameters.places) + draws


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """The threads use the same cyclic draws, as the program does. All places that they come to
    are filled to begin with.
    """
    count = parameters.replacements
    place = rng.integers(0, parameters.places, size=parameters.place_cycle)
    size = sizes.inverse_square(
        rng, parameters.size_min, parameters.size_max, count=parameters.size_cycle
    )
    used = np.unique(place[:count])
    places = np.concatenate([used, np.resize(place, count)])
    ops = replacements(places, np.resize(size, len(places)), new_first=False)
    built = len(used)
    own = [shifted(ops, thread * parameters.places) for thread in range(parameters.threads)]
    return in_step([Life(life[:built], life[built:-built], life[-built:]) for life in own])


INVERSE = Family(
    name="inverse",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
