"""Two counts, of which each stands for all the processes of its side: no sample, no interval."""

from __future__ import annotations

import math

from allocphase.stats.verdict import Verdict

__all__ = ["count_change", "count_ratio"]


def count_change(base: float, candidate: float, theta: float, *, grain: float = 0.0) -> Verdict:
    """Regressed or improved by more than a share theta, either way as a factor; else unchanged, and
    so where the difference is not more than `grain`.
    """
    if abs(candidate - base) <= grain:
        return Verdict.UNCHANGED
    if candidate > (1.0 + theta) * base:
        return Verdict.REGRESSED
    return Verdict.IMPROVED if candidate < base / (1.0 + theta) else Verdict.UNCHANGED


def count_ratio(base: float, candidate: float) -> float:
    """Candidate over base. Nothing over nothing is no change; something over nothing, infinite."""
    if base == 0.0:
        return 1.0 if candidate == 0.0 else math.inf
    return candidate / base
