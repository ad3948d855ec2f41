"""The points of a timeline: calls of the allocator, and nothing else."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from allocphase.analysis.frames import load
from allocphase.report.content.points import Points, cell_points
from tests.golden.synthetic import FREE_FOREIGN, MIXED, WRITE, write_near


@pytest.fixture(scope="module")
def near(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_near(tmp_path_factory.mktemp("near") / "run")


def _points(path: Path, allocator: str) -> Points:
    return cell_points(load(path), allocator, MIXED, limit=1000)


def test_a_foreign_free_that_was_skipped_is_no_call(near: Path) -> None:
    points = _points(near, "libc")
    assert not np.isin(points.kind, (FREE_FOREIGN, WRITE)).any()
    assert points.total == 300
    assert not points.slowest_only


def test_a_foreign_free_that_was_made_is_a_call(near: Path) -> None:
    points = _points(near, "ariax")
    assert np.count_nonzero(points.kind == FREE_FOREIGN) == 40
    assert points.total == 340
    assert WRITE not in points.kind
