"""The paired rule on a single row, which is a family of one."""

from __future__ import annotations

import numpy.typing as npt

from allocphase.stats import Comparison, Row, compare_rows

__all__ = ["compare"]


def compare(
    base: npt.ArrayLike, candidate: npt.ArrayLike, *, theta: float = 0.02, alpha: float = 0.025
) -> Comparison:
    """Compares one row on its own; see `compare_rows`."""
    return compare_rows([Row(base, candidate, theta)], alpha=alpha)[0]
