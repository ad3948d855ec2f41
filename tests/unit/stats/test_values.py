"""What is common to the functions from arrays to numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest

from allocphase.stats.values import median


@pytest.mark.parametrize(
    ("values", "middle"),
    [
        ([3.0, 1.0, 2.0], 2.0),
        ([4.0, 1.0, 2.0, 3.0], 2.5),
        ([math.nan, 5.0, math.nan], 5.0),
        ([1.0, math.inf, 3.0, -math.inf], 2.0),
        ((7.0,), 7.0),
    ],
)
def test_a_median_is_of_the_values_that_are_finite(values: list[float], middle: float) -> None:
    assert median(values) == median(np.array(values)) == middle


@pytest.mark.parametrize("values", [(), [math.nan], [math.inf, math.nan]])
def test_the_median_of_nothing_is_nan(values: list[float]) -> None:
    assert math.isnan(median(values))
