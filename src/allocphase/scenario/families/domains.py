"""Isolation domains: objects of many domains interleaved, and frees tried from the wrong one."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from allocphase.scenario.families import sizes
from allocphase.scenario.families.family import Family, parameter
from allocphase.scenario.families.recurrence import last_of_each
from allocphase.scenario.families.replace import replacements
from allocphase.scenario.families.tagged import CONSCIOUSNESS, FREQUENCY, REALITY, tag_table
from allocphase.trace.records import Draft, Ints, Kind, Ops, kind_of
from allocphase.trace.slots import previous

__all__ = ["DOMAINS"]

CLASSES = (FREQUENCY, CONSCIOUSNESS, REALITY)


@dataclass(frozen=True, slots=True, kw_only=True)
class Parameters:
    domains: int = parameter("isolation domains", minimum=2, maximum=20_000)
    live: int = parameter("objects live at once, of all domains", minimum=1)
    replacements: int = parameter("objects replaced", minimum=1)
    foreign_percent: int = parameter("frees first tried elsewhere", minimum=0, maximum=100)
    base_hz: float = parameter("the routing hint of frequency objects", minimum=0.001, maximum=1e12)
    size_min: int = parameter("smallest size in bytes", minimum=0, maximum=sizes.MAX_SIZE)
    size_max: int = parameter("largest size in bytes", minimum=1, maximum=sizes.MAX_SIZE)


def most_operations(parameters: Parameters) -> int:
    return 3 * (parameters.live + parameters.replacements)


def draft(parameters: Parameters, rng: np.random.Generator) -> Draft:
    """Domain and class of each object are random, but that the last one in a place has those of
    the first. A foreign free comes just before the free.
    """
    victims = rng.integers(0, parameters.live, size=parameters.replacements)
    places = np.concatenate([np.arange(parameters.live), victims])
    size = sizes.uniform(rng, parameters.size_min, parameters.size_max, count=len(places))
    ops = replacements(places, size, new_first=False)
    born = kind_of(ops) == Kind.MALLOC
    tag_count = parameters.domains * len(CLASSES)
    tag = 1 + rng.integers(0, tag_count, size=len(places))
    tag[last_of_each(places)] = tag[: parameters.live]
    ops["tag"][born] = tag
    before = previous(np.ascontiguousarray(ops["slot"]))
    ops["tag"][~born] = ops["tag"][before[~born]]
    numbers = np.arange(tag_count)
    class_id = np.array(CLASSES)[numbers % len(CLASSES)]
    hint_hz = np.where(class_id == FREQUENCY, parameters.base_hz, 0.0)
    tried = _tried(np.flatnonzero(~born), parameters, rng)
    in_drain = int(np.count_nonzero(tried >= len(ops) - parameters.live))
    return Draft(
        ops=_with_foreign(ops, tried, parameters, rng),
        build_ops=parameters.live,
        drain_ops=parameters.live + in_drain,
        tags=tag_table(class_id, 1 + numbers // len(CLASSES), hint_hz)[0],
    )


def _tried(frees: Ints, parameters: Parameters, rng: np.random.Generator) -> Ints:
    chosen = rng.integers(0, 100, size=len(frees)) < parameters.foreign_percent
    return frees[chosen]


def _with_foreign(ops: Ops, tried: Ints, parameters: Parameters, rng: np.random.Generator) -> Ops:
    """The tag table is sorted by domain only within a class; a foreign tag is one of the same
    class, some domains further on.
    """
    foreign = ops[tried]
    foreign["kind_flags"] = Kind.FREE_FOREIGN
    own_class, own_domain = np.divmod(foreign["tag"].astype(np.int64) - 1, parameters.domains)
    shift = rng.integers(1, parameters.domains, size=len(tried))
    foreign["tag"] = 1 + own_class * parameters.domains + (own_domain + shift) % parameters.domains
    return np.insert(ops, tried, foreign)


DOMAINS = Family(
    name="domains",
    parameters=Parameters,
    draft=draft,
    most_operations=most_operations,
)
