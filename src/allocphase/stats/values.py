"""What the functions of this package accept: one-dimensional arrays of finite float64.

A missing value is NaN: it is dropped, and who drops it counts it. An infinite value is an
error of the caller, since no measurement gives one.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

__all__ = [
    "TIE",
    "FloatArray",
    "agree",
    "check_probability",
    "count_log_ratios",
    "median",
    "middle",
    "present",
    "savings",
    "spread",
]

# The MAD of a normal distribution is 1 / 1.4826 of its standard deviation (Rousseeuw and Croux,
# "Alternatives to the median absolute deviation", JASA 88, 1993).
_MAD_TO_SD = 1.4826

# Log ratios this near are equal: below any effect, above the rounding of a logarithm, so that a
# ratio of exactly 1 + theta counts as a tie and not by its last bit.
TIE = 1e-12

FloatArray = npt.NDArray[np.float64]


def present(values: npt.ArrayLike) -> FloatArray:
    """The values that are not NaN, in their order, as a new float64 array of shape (n,).

    Raises ValueError for an array of other than one dimension, or an infinite value.
    """
    array = np.asarray(values, dtype=np.float64)
    if array.ndim != 1:
        raise ValueError(f"one dimension is wanted, not {array.ndim}")
    if np.isinf(array).any():
        raise ValueError("an infinite value is no measurement")
    return array[~np.isnan(array)]


def median(values: npt.ArrayLike) -> float:
    """Of the finite values, the mean of the middle two if their number is even; NaN of none."""
    array = np.asarray(values, dtype=np.float64)
    finite = array[np.isfinite(array)]
    return float(np.median(finite)) if finite.size else math.nan


def check_probability(name: str, value: float) -> None:
    """Raises ValueError unless 0 < value < 1."""
    if not 0.0 < value < 1.0:
        raise ValueError(f"{name} lies between 0 and 1, not at {value}")


def spread(values: npt.ArrayLike) -> float:
    """The standard deviation as the median absolute deviation suggests it, in their unit.

    values: shape (n,), NaN is dropped. Of log ratios it reads as a share: 0.01 is 1%. One
    disturbed round in many does not move it. NaN for fewer than two values.
    """
    samples = present(values)
    if samples.size < 2:
        return math.nan
    return _MAD_TO_SD * float(np.median(np.abs(samples - np.median(samples))))


def agree(values: npt.ArrayLike) -> bool:
    """Whether all values are equal; also of none. values: shape (n,)."""
    array = np.asarray(values, dtype=np.float64)
    return bool((array == array[:1]).all())


def count_log_ratios(over: npt.ArrayLike, under: npt.ArrayLike) -> FloatArray:
    """log(over / under), shapes as numpy broadcasts them, NaN where one is NaN.

    A count may be 0: nothing over nothing is no change, something over nothing has no bound.
    """
    a, b = (np.asarray(side, dtype=np.float64) for side in (over, under))
    with np.errstate(divide="ignore", invalid="ignore"):
        ratios = np.log(a) - np.log(b)
    return np.where((a == 0.0) & (b == 0.0), 0.0, ratios)


def savings(base: npt.ArrayLike, candidate: npt.ArrayLike) -> FloatArray:
    """base - candidate in their unit, shapes as numpy broadcasts them, NaN where one is NaN.

    More is better, the other way round than in a ratio. What is added to both falls out of it.
    """
    return np.asarray(np.asarray(base, np.float64) - np.asarray(candidate, np.float64))


def middle(ordered: FloatArray) -> float:
    """The mean of the middle two; of infinities that differ, the lower. Shape (n,), ascending."""
    low, high = float(ordered[(ordered.size - 1) // 2]), float(ordered[ordered.size // 2])
    return low if low == high or math.isinf(low) or math.isinf(high) else (low + high) / 2.0
