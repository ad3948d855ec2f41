"""Arms that took turns: each arm's one value, as if all had met with the same machine.

The n-th passes of all arms ran within some milliseconds, so that a neighbour on the same core or
another clock rate is in all of them. An arm's passes are compared with those of the same turn, in
logarithms, and the median over the turns is where it stands; the level that all have in common is
added again. So ratios between arms are those of passes that met with the same, and the values are
still times.

The arms are treated alike, and the round still gives one value an arm: what a rule says of rounds
whose arms could change places holds as before.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import numpy.typing as npt

from allocphase.stats.values import FloatArray

__all__ = ["matched"]


def matched(passes: Sequence[npt.ArrayLike]) -> FloatArray:
    """One value an arm, shape (arms,), in the unit of the passes.

    passes: of each arm, in the order of its turns, each above 0; where one has fewer, the others'
    later ones are left out. The geometric mean over the arms is that of their medians. Raises
    ValueError for a pass that has no logarithm, and where an arm has none.
    """
    turns = min((np.size(arm) for arm in passes), default=0)
    times = np.array([np.asarray(arm, dtype=np.float64)[:turns] for arm in passes])
    if turns == 0 or not (times > 0.0).all():
        raise ValueError("each arm needs a pass, and each pass a time above 0")
    logs = np.log(times)
    standing = np.median(logs - logs.mean(axis=0), axis=1)
    level = np.median(logs, axis=1).mean()
    return np.asarray(np.exp(level + standing - standing.mean()))
