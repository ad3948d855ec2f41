"""Tagged objects: each carries a class, an isolation domain and a routing hint in Hz.

The classes are those of the phase report's AriaX: consciousness states, frequency blocks and
reality interfaces. Domain 0 is the program itself; 1, 2, ... are isolation domains.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.trace.records import TAG, UNTAGGED, Draft, Ints, Kind, Records, operations

__all__ = ["CONSCIOUSNESS", "FREQUENCY", "REALITY", "TAGGED", "hints", "tag_table"]

CONSCIOUSNESS, FREQUENCY, REALITY = 1, 2, 3


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    states: int = parameter("consciousness states", minimum=0)
    frequencies: int = parameter("objects with a frequency, in no domain", minimum=0)
    harmonics: int = parameter("of these, how many are harmonics of base_hz", minimum=0)
    isolated: int = parameter("reality interfaces, spread over the domains", minimum=0)
    domains: int = parameter("isolation domains", minimum=1, maximum=20_000)
    base_hz: float = parameter(
        "the frequency whose multiples are harmonics", minimum=0.001, maximum=1e12
    )
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)


def most_operations(parameters: Parameters) -> int:
    return 2 * (parameters.states + parameters.frequencies + parameters.isolated)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """All are allocated in random order, then freed in that order. The build is the allocations.

    The harmonics are base_hz times 1, 2, 3, ...; the other frequencies lie between two multiples,
    a quarter of base_hz or more from both.
    """
    harmonics = min(parameters.harmonics, parameters.frequencies)
    between = parameters.frequencies - harmonics
    isolated = np.arange(parameters.isolated)
    hint_hz = np.concatenate(
        [
            np.zeros(parameters.states),
            hints(parameters.base_hz, np.arange(1, harmonics + 1) * 4),
            hints(parameters.base_hz, _quarters_between(rng, between)),
            np.zeros(parameters.isolated),
        ]
    )
    counts = [parameters.states, parameters.frequencies, parameters.isolated]
    class_id = np.repeat([CONSCIOUSNESS, FREQUENCY, REALITY], counts)
    domain = np.append(np.zeros(sum(counts[:2]), int), 1 + isolated % parameters.domains)
    tags, tag = tag_table(class_id, domain, hint_hz)
    count = len(tag)
    tag = rng.permutation(tag)
    size = sizes.even(rng, parameters.size_min, parameters.size_max, count=count)
    here = np.arange(count)
    born = operations(Kind.MALLOC, here, size=size, tag=tag)
    freed = operations(Kind.FREE, here, tag=tag)
    return Draft(ops=np.concatenate([born, freed]), build_ops=count, drain_ops=count, tags=tags)


def hints(base_hz: float, quarters: Ints) -> npt.NDArray[np.float64]:
    """Hints in Hz, given in quarters of the base frequency."""
    return base_hz * quarters / 4


def _quarters_between(rng: np.random.Generator, count: int) -> Ints:
    return 4 * rng.integers(1, 1000, size=count) + rng.integers(1, 4, size=count)


def tag_table(
    class_id: Ints, domain: Ints, hint_hz: npt.NDArray[np.float64]
) -> tuple[Records, npt.NDArray[np.int64]]:
    """The table of distinct tags, untagged first, and the place in it of each given tag."""
    wanted = np.zeros(len(class_id), dtype=TAG)
    wanted["class_id"], wanted["domain"], wanted["hint_hz"] = class_id, domain, hint_hz
    distinct, place = np.unique(wanted, return_inverse=True)
    return np.concatenate([UNTAGGED, distinct]), place + 1


TAGGED = Family(
    name="tagged",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
