"""Aligned: aligned_alloc at alignments from 16 bytes up, among plain allocations."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.replace import replacements
from allocphase.trace.records import Draft, Kind, kind_of

__all__ = ["ALIGNED"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    live: int = parameter("objects live at once", minimum=1)
    replacements: int = parameter("objects replaced", minimum=1)
    align_log2_min: int = parameter("smallest alignment, as a power of 2", minimum=4, maximum=21)
    align_log2_max: int = parameter("largest alignment, as a power of 2", minimum=4, maximum=21)
    multiple_max: int = parameter(
        "largest size in multiples of the alignment", minimum=1, maximum=1023
    )
    plain_percent: int = parameter("plain mallocs among the allocations", minimum=0, maximum=100)
    size_max: int = parameter(
        "largest size of a plain malloc in bytes", minimum=1, maximum=sizes.MAX_SIZE
    )


def most_operations(parameters: Parameters) -> int:
    return 2 * (parameters.live + parameters.replacements)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Each alignment is as likely; a size is a multiple of its alignment, as C11 asks."""
    count = parameters.live + parameters.replacements
    victims = rng.integers(0, parameters.live, size=parameters.replacements)
    low, high = parameters.align_log2_min, parameters.align_log2_max
    log2 = rng.integers(low, high, size=count, endpoint=True)
    multiple = rng.integers(1, parameters.multiple_max, size=count, endpoint=True)
    plain = rng.integers(0, 100, size=count) < parameters.plain_percent
    small = sizes.uniform(rng, 1, parameters.size_max, count=count)
    places = np.concatenate([np.arange(parameters.live), victims])
    ops = replacements(places, np.where(plain, small, multiple << log2), new_first=False)
    born = np.flatnonzero(kind_of(ops) == Kind.MALLOC)
    ops["kind_flags"][born[~plain]] = Kind.ALIGNED_ALLOC
    ops["align_log2"][born[~plain]] = log2[~plain]
    return Draft(ops=ops, build_ops=parameters.live, drain_ops=parameters.live)


ALIGNED = Family(
    name="aligned",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
