"""What a timeline leaves out is never an outlier."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
from hypothesis import given
from hypothesis import strategies as st

from allocphase.analysis.thin import SLOWEST_SHARE, kept

Cell = tuple[npt.NDArray[np.float64], npt.NDArray[np.int8]]


@st.composite
def _cells(draw: st.DrawFn) -> Cell:
    size = draw(st.integers(0, 400))
    values = draw(st.lists(st.floats(1.0, 1e9), min_size=size, max_size=size))
    causes = draw(st.lists(st.integers(0, 4), min_size=size, max_size=size))
    latency = np.array(values, dtype=np.float64)
    gaps = draw(st.lists(st.integers(0, max(size - 1, 0)), max_size=20)) if size else []
    latency[gaps] = np.nan
    return latency, np.array(causes, dtype=np.int8)


@given(_cells(), st.integers(10, 200))
def test_the_slowest_calls_are_all_kept(cell: Cell, points: int) -> None:
    latency, cause = cell
    rows = kept(latency, cause, points=points)
    present = latency[~np.isnan(latency)]
    slowest = max(1, int(points * SLOWEST_SHARE))
    assert np.array_equal(np.sort(latency[rows])[-slowest:], np.sort(present)[-slowest:])


@given(_cells(), st.integers(10, 200))
def test_the_slowest_call_of_every_cause_is_kept(cell: Cell, points: int) -> None:
    latency, cause = cell
    rows = kept(latency, cause, points=points)
    for code in np.unique(cause[~np.isnan(latency)]):
        of_cause = np.where(cause == code, latency, np.nan)
        assert np.nanmax(of_cause) in of_cause[rows]
        assert np.nanmin(of_cause) in of_cause[rows]


@given(_cells(), st.integers(10, 200))
def test_rows_ascend_without_repeats_and_never_name_a_missing_latency(
    cell: Cell, points: int
) -> None:
    latency, cause = cell
    rows = kept(latency, cause, points=points)
    assert (np.diff(rows) > 0).all()
    assert not np.isnan(latency[rows]).any()


def test_a_short_trace_is_drawn_whole() -> None:
    latency = np.array([5.0, np.nan, 7.0])
    assert kept(latency, np.zeros(3, dtype=np.int8), points=10).tolist() == [0, 2]


def test_a_long_trace_keeps_about_as_many_points_as_asked_for() -> None:
    index = np.arange(100_000)
    latency = (20 + index * 7919 % 1009).astype(np.float64)
    cause = (index % 50 == 0).astype(np.int8)
    rows = kept(latency, cause, points=3000)
    assert 1500 <= rows.size <= 3300


def test_every_stretch_of_a_long_trace_is_drawn() -> None:
    latency = np.full(100_000, 20.0)
    latency[:1000] = 5000.0
    rows = kept(latency, np.zeros(latency.size, dtype=np.int8), points=1000)
    assert np.diff(rows).max() < 1000
