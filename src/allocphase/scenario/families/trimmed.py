"""Trimmed: a large buffer is allocated for what may come, then cut down to what has come."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, ParameterError, parameter
from allocphase.scenario.families.replace import replacements, resized
from allocphase.trace.records import Draft, Kind, kind_of

__all__ = ["TRIMMED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    live: int = parameter("trimmed buffers live at once", minimum=1)
    replacements: int = parameter("buffers that replace a random one", minimum=1)
    read_bytes: int = parameter("size of a buffer before it is trimmed", minimum=1, maximum=1 << 31)
    kept_min: int = parameter("smallest size that is kept", minimum=1, maximum=sizes.MAX_SIZE)
    kept_max: int = parameter("largest size that is kept", minimum=1, maximum=sizes.MAX_SIZE)


def most_operations(parameters: Parameters) -> int:
    return 3 * (parameters.live + parameters.replacements)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Most are short: the density of what is kept falls with the square of the size."""
    if parameters.kept_max > parameters.read_bytes:
        raise ParameterError("kept_max", "must be at most read_bytes")
    count = parameters.live + parameters.replacements
    victims = rng.integers(0, parameters.live, size=parameters.replacements)
    kept = sizes.inverse_square(rng, parameters.kept_min, parameters.kept_max, count=count)
    places = np.concatenate([np.arange(parameters.live), victims])
    read = np.full(count, parameters.read_bytes)
    ops = replacements(places, read, new_first=False)
    born = np.flatnonzero(kind_of(ops) == Kind.MALLOC)
    ops = resized(ops, born, kept)
    return Draft(ops=ops, build_ops=2 * parameters.live, drain_ops=parameters.live)


TRIMMED = Family(
    name="trimmed",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
