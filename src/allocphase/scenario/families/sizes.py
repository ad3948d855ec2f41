"""Request sizes in bytes, drawn the same on every platform.

Only integer draws and exact arithmetic: logarithms and powers differ in the last bit from one
libm to the next, and one other size is another digest.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

__all__ = ["MAX_SIZE", "Sizes", "even", "falling", "inverse_square", "uniform", "weighted"]

MAX_SIZE = 1 << 31

Sizes = npt.NDArray[np.uint32]


def uniform(rng: np.random.Generator, low: int, high: int, *, count: int) -> Sizes:
    """`count` independent sizes, uniform over low to high, both included."""
    return rng.integers(low, high, size=count, endpoint=True, dtype=np.uint32)


def even(rng: np.random.Generator, low: int, high: int, *, count: int) -> Sizes:
    """`count` sizes spread evenly over low to high, both included, in random order.

    Their mean is that of the range, (low + high) / 2, to within rounding; a sample of
    independent sizes would miss it by chance.
    """
    steps = np.arange(count, dtype=np.int64) * 2 + 1
    sizes = low + steps * (high - low + 1) // (2 * count)
    return rng.permutation(sizes).astype(np.uint32)


def weighted(
    rng: np.random.Generator, values: npt.ArrayLike, weights: npt.ArrayLike, *, count: int
) -> Sizes:
    """`count` independent sizes out of `values`, each as often as its integer weight says."""
    upto = np.cumsum(np.asarray(weights, dtype=np.int64))
    drawn = rng.integers(0, upto[-1], size=count)
    return np.asarray(values, dtype=np.uint32)[np.searchsorted(upto, drawn, side="right")]


def inverse_square(rng: np.random.Generator, low: int, high: int, *, count: int) -> Sizes:
    """`count` sizes whose density falls with the square of the size, as glibc's benchmark has.

    The inverse of the distribution function: low high / (high - r (high - low)), r in [0, 1).
    """
    steps = 1 << 31
    drawn = rng.integers(0, steps, size=count, dtype=np.int64)
    return (low * high * steps // (high * steps - (high - low) * drawn)).astype(np.uint32)


def falling(rng: np.random.Generator, low: int, high: int, *, count: int, shape: str) -> Sizes:
    """`count` sizes from low to high in one of rpmalloc-benchmark's shapes.

    With a, b, c uniform in [0, 1): `even` is a, `linear` is a |b - c|, `exponential` is a b c
    of the range.
    """
    steps = 10_000
    a, b, c = rng.integers(0, steps, size=(3, count), dtype=np.int64)
    share = {"even": a * steps * steps, "linear": a * abs(b - c) * steps, "exponential": a * b * c}
    scaled: Sizes = (low + (high - low) * share[shape] // steps**3).astype(np.uint32)
    return scaled
