"""Latency distributions of a cell, pooled over its processes, as curves.

Raw samples and histograms come out alike.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.analysis.frames import Run
from allocphase.stats.quantile import Ordered

__all__ = ["Curve", "Floats", "curves"]

Floats = npt.NDArray[np.float64]

POINTS = 120


@dataclass(frozen=True, slots=True, eq=False)
class Curve:
    """A distribution seen from its tail.

    above: shape (points,), descending from 1: the share of operations slower than `latency_ns`,
    down to one operation in `samples`. latency_ns: same shape, ascending, in ns.
    """

    above: Floats
    latency_ns: Floats
    samples: int


def curves(run: Run, allocator: str, scenario: str) -> dict[str, Curve]:
    """By kind of operation; empty where the cell has no latency samples."""
    found = run.latencies(allocator, scenario).by_kind
    return {kind: _curve(Ordered.of(*pair)) for kind, pair in found.items()}


def _curve(found: Ordered) -> Curve:
    above = np.geomspace(1.0, 1.0 / found.size, POINTS)
    ranks = np.clip(np.ceil((1.0 - above) * found.size), 1, found.size)
    return Curve(above, found.values[np.searchsorted(found.ends, ranks)], found.size)
