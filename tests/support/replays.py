"""What a process sees when its warm replays are like its first one."""

from __future__ import annotations

import numpy as np

from allocphase.probe.arrays import WARM, Arrays
from allocphase.probe.consistency import OF_CALLS

__all__ = ["with_warm_replays"]

HISTOGRAMS = ("call_histogram", "touch_histogram", "thread_histogram")


def with_warm_replays(arrays: Arrays, *, operations: int, warm: int = 1) -> Arrays:
    """The arrays of a first replay of a trace of so many operations, all of which is repeated, and
    the same of `warm` further ones.
    """
    found = dict(arrays)
    for name in ("call_ticks", "touch_ticks"):
        if name in arrays:
            found[f"{WARM}{name}"] = np.tile(arrays[name], warm)
    for name in HISTOGRAMS:
        if name in arrays:
            found[f"{WARM}{name}"] = arrays[name] * np.uint64(warm)
    for name in OF_CALLS:
        if name in arrays:
            events = np.tile(arrays[name], warm)
            later = np.repeat(np.arange(warm) * operations, len(arrays[name]))
            events["op"] += later.astype(events["op"].dtype)
            found[f"{WARM}{name}"] = events
    return found
