"""Which of a process's replays: the first of each part, which finds all cold, or the warm ones of
the steady part (of all parts where there is no steady one).

A process leaves arrays of both. Taken apart they look alike, so that whatever is asked of the one
can be asked of the other: an operation's place is one in the trace, or one in the warm replays.
"""

from __future__ import annotations

from enum import StrEnum

import numpy as np
import numpy.typing as npt

from allocphase.probe.arrays import WARM, Arrays
from allocphase.probe.consistency import repeated_places

__all__ = ["Kinds", "Replay", "arrays_of", "kinds_of"]

Kinds = npt.NDArray[np.uint8]


class Replay(StrEnum):
    """The replays that figures are told of apart."""

    FIRST = "first"
    WARM = "warm"


def arrays_of(arrays: Arrays, which: Replay) -> Arrays:
    """Those of the replays, under the names of the first one."""
    if which is Replay.FIRST:
        return {name: array for name, array in arrays.items() if not name.startswith(WARM)}
    warm = {name: array for name, array in arrays.items() if name.startswith(WARM)}
    return {name.removeprefix(WARM): array for name, array in warm.items()}


def kinds_of(operations: Arrays, which: Replay) -> Kinds:
    """The kind of each operation of one replay, shape (ops,); of a long trace, shape (0,)."""
    kinds: Kinds = operations["kind"]
    return kinds if which is Replay.FIRST else kinds[repeated_places(operations)]
