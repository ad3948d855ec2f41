"""Scaling: how much faster work goes with more threads, and how much of what was possible that is.

speed-up_p = rate_p / rate_first, efficiency_p = speed-up_p / ideal speed-up_p, with rates in
operations a second, so that levels may do different amounts of work. One round holds one process
for each level, so each round gives one speed-up of each level, and a level's are independent: their
median has an exact interval (interval.py).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.stats.interval import Interval, median_interval

__all__ = ["Speedup", "ideal_parallelism", "speedups"]


@dataclass(frozen=True, slots=True)
class Speedup:
    """Of one level over the first: NaN where no round has both. `efficiency`: a share of 1."""

    ratio: Interval
    efficiency: float


def ideal_parallelism(loads: npt.ArrayLike, span: float, *, cpus: int) -> float:
    """How many operations at a time a replay has at best: all of them over the time that it takes.

    loads: how many each lane has, shape (lanes,); lane i runs on CPU i modulo `cpus`. No CPU is
    done before its own work is, and nothing is before the span is (the work law and the span law;
    Cormen and others, Introduction to Algorithms, section 26.1). Raises ValueError for no work.
    """
    work = np.asarray(loads, dtype=np.float64)
    if work.ndim != 1 or not work.sum() > 0.0 or cpus < 1:
        raise ValueError("there is no work, or no CPU to do it")
    by_cpu = np.bincount(np.arange(work.size) % cpus, weights=work)
    return float(work.sum() / max(by_cpu.max(), span))


def speedups(
    rates: npt.ArrayLike, ideal: npt.ArrayLike, *, confidence: float = 0.95
) -> list[Speedup]:
    """A speed-up a level.

    rates: shape (rounds, levels), positive, NaN where missing; ideal: shape (levels,), what the
    rate would be at best, in any unit. Raises ValueError for other shapes or values.
    """
    measured, best = np.asarray(rates, np.float64), np.asarray(ideal, np.float64)
    if measured.ndim != 2 or best.shape != measured.shape[1:] or best.size == 0:
        raise ValueError("rates have one row for each round and one column for each ideal")
    if (measured <= 0.0).any() or not (best > 0.0).all():
        raise ValueError("rates and ideals are positive")
    ratios = np.log(measured) - np.log(measured[:, :1])
    found = [median_interval(column, confidence=confidence).exp() for column in ratios.T]
    return [
        Speedup(ratio, ratio.estimate * best[0] / possible)
        for ratio, possible in zip(found, best.tolist(), strict=True)
    ]
