"""Lifetimes: when objects are born and die, as ops in one order, with slots used again."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import Ints, Kind, Ops, operations

__all__ = ["TICKS", "exponential", "lived"]

Indices = npt.NDArray[np.int64]

TICKS = 1 << 16  # of time, in one allocation
QUANTILES = 4096


def exponential(rng: np.random.Generator, mean_ticks: Ints) -> Indices:
    """Exponential lifetimes in ticks, one for each mean, at 4,096 equally likely quantiles.

    The quantiles are rounded to 2^-16, which hides what libm leaves open in the last bit.
    """
    middle = (np.arange(QUANTILES) + 0.5) / QUANTILES
    table = np.array([round(-math.log1p(-share) * TICKS) for share in middle], dtype=np.int64)
    drawn = table[rng.integers(0, QUANTILES, size=len(mean_ticks))]
    return drawn * (mean_ticks // TICKS) + drawn * (mean_ticks % TICKS) // TICKS


def lived(born: Indices, died: Indices, size: Ints) -> Ops:
    """Objects that are allocated at `born` and freed at `died` (ticks), in order of time.

    `born` ascends; births come before deaths of the same tick. A slot is used again by the next
    birth after its object's death, first freed first: as many slots as the most objects live.
    """
    count = len(born)
    death_order = np.argsort(died, kind="stable")
    time = np.concatenate([born, died[death_order]])
    who = np.concatenate([np.arange(count), death_order])
    order = np.argsort(time, kind="stable")
    slot = _slots(born, died[death_order], death_order)[who[order]]
    births = order < count
    kinds = np.where(births, Kind.MALLOC, Kind.FREE)
    return operations(kinds, slot, size=np.where(births, size[who[order]], 0))


def _slots(born: Indices, deaths: Indices, death_order: Indices) -> Indices:
    here = np.arange(len(born))
    dead = np.searchsorted(deaths, born, side="left")
    most_live = np.maximum.accumulate(here + 1 - dead)
    fresh = np.diff(most_live, prepend=0) > 0
    parent = here.copy()
    parent[~fresh] = death_order[: int(np.count_nonzero(~fresh))]
    while not fresh[parent].all():
        parent = parent[parent]
    return (np.cumsum(fresh) - 1)[parent]
