"""Quantiles of raw samples and of histograms, through one function.

A histogram is its buckets' values with their counts; raw samples are values without counts.
Both give an observed value (definition 1 of Hyndman and Fan, "Sample quantiles in statistical
packages", The American Statistician 50, 1996: the inverse of the empirical distribution
function). Interpolation would invent latencies between two modes where no call ever lay.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from allocphase.stats.values import FloatArray, present

__all__ = ["Ordered", "quantiles"]


@dataclass(frozen=True, slots=True, eq=False)
class Ordered:
    """Observations in ascending order, equal ones possibly kept together.

    values: shape (k,), ascending. ends: shape (k,), ends[i] observations are <= values[i].
    """

    values: FloatArray
    ends: npt.NDArray[np.int64]

    @classmethod
    def of(cls, values: npt.ArrayLike, counts: npt.ArrayLike | None = None) -> Ordered:
        """Orders raw samples (counts is None) or buckets; NaN samples are dropped.

        Raises ValueError for a negative or fractional count, for shapes that differ, or for a
        NaN value that has a count.
        """
        if counts is None:
            samples = np.sort(present(values))
            return cls(samples, np.arange(1, samples.size + 1, dtype=np.int64))
        buckets, weights = present(values), np.asarray(counts)
        if buckets.shape != weights.shape:
            raise ValueError("each value needs one count, and no value may be NaN")
        if (weights < 0).any() or (weights != np.floor(weights)).any():
            raise ValueError("a count is a whole number, zero or more")
        order = np.argsort(buckets, kind="stable")
        return cls(buckets[order], np.cumsum(weights[order], dtype=np.int64))

    @property
    def size(self) -> int:
        """How many observations there are."""
        return int(self.ends[-1]) if self.ends.size else 0

    def at_rank(self, rank: int) -> float:
        """The rank-th smallest observation, from 1; -inf before the first, inf past the last."""
        if rank < 1:
            return -np.inf
        if rank > self.size:
            return np.inf
        return float(self.values[np.searchsorted(self.ends, rank)])

    def quantile(self, q: float) -> float:
        """The smallest observation with at least a share q at or below it; NaN if empty."""
        if not 0.0 <= q <= 1.0:
            raise ValueError(f"a quantile lies between 0 and 1, not at {q}")
        if self.size == 0:
            return np.nan
        # 0.07 * 100 is 7.000000000000001 and must still mean rank 7: Hyndman and Fan's fuzz.
        exact = q * self.size
        rank = int(np.ceil(exact - 4.0 * np.finfo(np.float64).eps * exact))
        return self.at_rank(max(rank, 1))


def quantiles(
    values: npt.ArrayLike, qs: npt.ArrayLike, *, counts: npt.ArrayLike | None = None
) -> FloatArray:
    """The quantiles `qs`, in the unit of `values`; NaN for each when there is no observation.

    values: shape (n,), raw samples or bucket values; counts: shape (n,), or None for samples.
    """
    ordered = Ordered.of(values, counts)
    return np.array([ordered.quantile(float(q)) for q in np.atleast_1d(qs)], dtype=np.float64)
