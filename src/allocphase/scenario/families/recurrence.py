"""Recurrence: what lets a steady part end with the slots that it began with."""

from __future__ import annotations

from typing import Any, TypeVar

import numpy as np
import numpy.typing as npt

from allocphase.trace.records import Ints

__all__ = ["in_pairs", "last_of_each"]

_Int = TypeVar("_Int", bound=np.integer[Any])


def in_pairs(rng: np.random.Generator, drawn: npt.NDArray[_Int]) -> npt.NDArray[_Int]:
    """Each of the draws twice, all in random order: shape (2n,).

    Who toggles what was drawn so has toggled everything an even number of times. Each place of the
    order is as random as a draw.
    """
    return rng.permutation(np.repeat(drawn, 2))


def last_of_each(index: Ints) -> npt.NDArray[np.int64]:
    """Where each of the values comes for the last time, in the order of the values."""
    at = np.unique(np.asarray(index)[::-1], return_index=True)[1]
    last: npt.NDArray[np.int64] = len(index) - 1 - at
    return last
