"""Where a series of values changes its level: segmentation, then a test of every change.

1. *Levels.* Logarithms of the values, in standard deviations of the noise, which is that of
   successive differences: a change of level does not move it. Outliers are brought to 3 of them off
   a running median.
2. *Segmentation* into pieces of one level each: the least sum of squares with a penalty a piece
   (ruptures' KernelCPD, which is PELT: Killick, Fearnhead and Eckley, "Optimal detection of
   changepoints with a linear computational cost", JASA 107, 2012).
3. *Floor.* Of two neighbours whose medians differ by less than theta the least different are made
   one, until none are left.
4. *Significance.* Of a whole range the greatest difference is looked for over all positions: of all
   before and all after, and of windows of least, 2 least, 4 least ... values on both sides. Its
   p-value is the share of random orders in which it is as great, so that the search is part of the
   test. Where it is significant, the range is split at the strongest candidate of the segmentation,
   and both sides are tested in turn, as in E-divisive (Matteson and James, "A nonparametric
   approach for multiple change point analysis", JASA 109, 2014). Ranks instead of levels would need
   many more commits after a change before they said so, however large it is.

Assumed under the null: every order of the values is as likely as the others. Drift breaks that, and
so a change point is advice. Orders are drawn from a seed: the same values give the same answer.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from scipy.ndimage import median_filter

from allocphase.errors import UsageError
from allocphase.stats.values import FloatArray, check_probability, count_log_ratios, present, spread

__all__ = [
    "ALPHA",
    "LEAST",
    "THETA",
    "LevelChange",
    "change_points",
    "exact_changes",
    "fewest_values",
]

# Less than a gate calls a change by default is none here.
THETA = 0.02
# Values on each side of a change. A choice: as many as an interval of the median needs at 90%.
LEAST = 5
# Of one range. A history has thousands of series, each looked at again and again.
ALPHA = 0.001
# Four of them may be as great by chance, and the p-value is ALPHA still.
ORDERS = 4999
# So many orders at a time, and no more once so many of them were as great: p is far from ALPHA then
# (Besag and Clifford, "Sequential Monte Carlo p-values", Biometrika 78, 1991).
_BATCH = 200
_ENOUGH = 10
# Per piece, in units of the variance and of the logarithm of their number: 2 is Schwarz's criterion
# for a mean; more of it spares the test candidates that it would turn down.
_PENALTY = 3.0
_FARTHEST = 3.0


@dataclass(frozen=True, slots=True)
class LevelChange:
    """position: of the first value after it. before, after: medians of the pieces on both sides, in
    the unit of the values. p: of the range that it was found in; 0 of an exact one.
    """

    position: int
    before: float
    after: float
    p: float

    @property
    def ratio(self) -> float:
        """After over before: infinite where there was nothing before, 1 of nothing both times."""
        return float(np.exp(count_log_ratios(self.after, self.before)))


def change_points(
    values: npt.ArrayLike,
    *,
    theta: float = THETA,
    least: int = LEAST,
    alpha: float = ALPHA,
    seed: int = 0,
) -> list[LevelChange]:
    """The changes of a sampled series, in order (module docstring).

    values: shape (n,), finite, none below 0. theta: what counts, as a share. Raises ValueError for
    other values, UsageError where ruptures is not installed.
    """
    check_probability("alpha", alpha)
    samples = _checked(values)
    if samples.size < 2 * least or samples.min() == samples.max():
        return []
    levels = _levels(samples, least)
    cuts = _floored(samples, _segmented(levels, least), theta)
    if not cuts:
        return []
    rng = np.random.default_rng(seed)
    found = dict(_tested(levels, cuts, (0, levels.size), least, alpha, rng))
    kept = _floored(samples, sorted(found), theta)
    medians = _medians(samples, kept)
    return [LevelChange(cut, medians[i], medians[i + 1], found[cut]) for i, cut in enumerate(kept)]


def exact_changes(values: npt.ArrayLike) -> list[LevelChange]:
    """Those of counts that say the same whenever nothing has changed: any two that differ.

    values: shape (n,), NaN where a count was not exact, which is passed over. Raises ValueError for
    infinite values.
    """
    array = np.asarray(values, dtype=np.float64)
    places = np.flatnonzero(~np.isnan(array))
    samples = present(array)
    changed = np.flatnonzero(samples[1:] != samples[:-1])
    return [
        LevelChange(int(places[i + 1]), float(samples[i]), float(samples[i + 1]), 0.0)
        for i in changed
    ]


def fewest_values(*, least: int = LEAST, alpha: float = ALPHA) -> int:
    """Of how many values a change in the middle can be significant at all: fewer have too few
    orders.
    """
    n = 2 * least
    while 2.0 / math.comb(n, n // 2) > alpha:
        n += 1
    return n


def _checked(values: npt.ArrayLike) -> FloatArray:
    samples = present(values)
    if samples.size != np.size(values) or (samples < 0.0).any():
        raise ValueError("every value is a number, and none is below 0")
    return samples


def _levels(samples: FloatArray, least: int) -> FloatArray:
    """See the module's docstring. samples: not all alike."""
    values = np.log(samples) if samples.min() > 0.0 else samples
    steps = np.diff(values)
    # Where most steps are alike, von Neumann's estimate: it is 0 of equal values alone.
    sd = (spread(steps) or float(np.sqrt(np.mean(steps**2)))) / math.sqrt(2.0)
    scaled = (values - np.median(values)) / sd
    middle = median_filter(scaled, size=2 * least - 1, mode="nearest")
    return np.asarray(np.clip(scaled, middle - _FARTHEST, middle + _FARTHEST))


def _segmented(levels: FloatArray, least: int) -> list[int]:
    """The first positions of all pieces but the first."""
    try:
        from ruptures import KernelCPD
    except ImportError:
        raise UsageError("change points need ruptures: pip install 'allocphase[history]'") from None
    model = KernelCPD(kernel="linear", min_size=least).fit(levels.reshape(-1, 1))
    *cuts, _ = model.predict(pen=_PENALTY * math.log(levels.size))
    return [int(each) for each in cuts]


def _medians(samples: FloatArray, cuts: Sequence[int]) -> list[float]:
    return [float(np.median(piece)) for piece in np.split(samples, cuts)]


def _floored(samples: FloatArray, cuts: Sequence[int], theta: float) -> list[int]:
    """Without those whose medians differ by less than theta, the least first."""
    left = list(cuts)
    while left:
        levels = np.array(_medians(samples, left))
        sizes = np.abs(count_log_ratios(levels[1:], levels[:-1]))
        weakest = int(np.argmin(sizes))
        if sizes[weakest] >= math.log1p(theta):
            break
        del left[weakest]
    return left


def _tested(
    levels: FloatArray,
    cuts: Sequence[int],
    place: tuple[int, int],
    least: int,
    alpha: float,
    rng: np.random.Generator,
) -> Iterator[tuple[int, float]]:
    """Of the cuts within a range those that are significant, with their p-values."""
    begin, end = place
    inside = [cut for cut in cuts if begin < cut < end]
    if not inside:
        return
    scores = levels[begin:end] - levels[begin:end].mean()
    scores = scores / (scores.std() or 1.0)
    p = _p_value(scores, least, rng)
    if p > alpha:
        return
    bounds = [begin, *inside, end]
    strengths = [
        _strength(scores, *(bound - begin for bound in bounds[i : i + 3]))
        for i in range(len(inside))
    ]
    strongest = inside[int(np.argmax(strengths))]
    yield strongest, p
    for part in ((begin, strongest), (strongest, end)):
        yield from _tested(levels, cuts, part, least, alpha, rng)


def _strength(scores: FloatArray, begin: int, cut: int, end: int) -> float:
    before, after = scores[begin:cut], scores[cut:end]
    weight = math.sqrt(before.size * after.size / (end - begin))
    return weight * abs(float(after.mean() - before.mean()))


def _p_value(scores: FloatArray, least: int, rng: np.random.Generator) -> float:
    """Of the greatest difference over all positions and windows, over random orders."""
    observed = float(_greatest(scores[np.newaxis], least)[0])
    as_great = drawn = 0
    while drawn < ORDERS and as_great < _ENOUGH:
        size = min(_BATCH, ORDERS - drawn)
        orders = rng.permuted(np.broadcast_to(scores, (size, scores.size)), axis=1)
        # As great but for the last bits: sums in another order.
        as_great += int((_greatest(orders, least) >= observed * (1.0 - 1e-9)).sum())
        drawn += size
    return (1 + as_great) / (1 + drawn)


def _greatest(scores: FloatArray, least: int) -> FloatArray:
    """Of each row the greatest difference of means, in its standard deviations.

    scores: shape (rows, n), each with mean 0 and standard deviation 1. Returns shape (rows,).
    """
    rows, n = scores.shape
    sums = np.zeros((rows, n + 1))
    np.cumsum(scores, axis=1, out=sums[:, 1:])
    cuts = np.arange(least, n - least + 1)
    deviation = np.sqrt(cuts * (n - cuts) / n)
    greatest = (np.abs(sums[:, cuts]) / deviation).max(axis=1)
    window = least
    while 2 * window <= n:
        both = sums[:, 2 * window :] - 2.0 * sums[:, window : n + 1 - window]
        both += sums[:, : n + 1 - 2 * window]
        np.maximum(greatest, np.abs(both).max(axis=1) / math.sqrt(2.0 * window), out=greatest)
        window *= 2
    return np.asarray(greatest)
