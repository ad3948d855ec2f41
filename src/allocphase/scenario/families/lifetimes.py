"""Lifetimes: when objects are born and die, in a time that goes round, as a trace."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import Draft, Ints, Kind, operations

__all__ = ["TICKS", "exponential", "recurring"]

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


def recurring(
    rng: np.random.Generator,
    born: Indices,
    died: Indices,
    size: Ints,
    *,
    round_ticks: int,
    lasting: Ints,
) -> Draft:
    """Objects that are allocated at `born` and freed at `died` (ticks), round after round.

    `born` ascends within a round, and no object lives as long as one: what dies after its end
    does so in the next. That is there when a round begins, each in a slot of its own, and so are
    objects of the sizes `lasting`, which nobody frees; the build makes them in random order. The
    others use slots again, the first freed first.
    """
    stays = died >= round_ticks
    passing = np.flatnonzero(~stays)
    slot = np.empty(len(born), dtype=np.int64)
    slot[stays] = np.arange(np.count_nonzero(stays))
    kept = int(np.count_nonzero(stays)) + len(lasting)
    slot[passing] = kept + _slots(born[passing], died[passing])
    built = rng.permutation(kept)
    there = np.concatenate([size[stays], lasting])
    time = np.concatenate([born, died - np.where(stays, round_ticks, 0)])
    kinds = np.repeat([Kind.MALLOC, Kind.FREE], len(born))
    order = np.argsort(time, kind="stable")
    steady = operations(kinds, np.tile(slot, 2), size=np.append(size, np.zeros(len(size), int)))
    parts = [
        operations(Kind.MALLOC, built, size=there[built]),
        steady[order],
        operations(Kind.FREE, np.arange(kept)),
    ]
    return Draft(ops=np.concatenate(parts), build_ops=kept, drain_ops=kept)


def _slots(born: Indices, died: Indices) -> Indices:
    """A slot is used again by the next birth after its object's death, first freed first: as many
    slots as the most objects live. Births come before deaths of the same tick.
    """
    death_order = np.argsort(died, kind="stable")
    deaths = died[death_order]
    here = np.arange(len(born))
    dead = np.searchsorted(deaths, born, side="left")
    most_live = np.maximum.accumulate(here + 1 - dead)
    fresh = np.diff(most_live, prepend=0) > 0
    parent = here.copy()
    parent[~fresh] = death_order[: int(np.count_nonzero(~fresh))]
    while not fresh[parent].all():
        parent = parent[parent]
    return (np.cumsum(fresh) - 1)[parent]
