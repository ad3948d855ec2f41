"""Stands in for the fixture where pytest-benchmark is not installed, or switched off with -p."""

from __future__ import annotations

import pytest

__all__ = ["allocphase_cell"]


@pytest.fixture
def allocphase_cell() -> None:
    """Measures one cell and records it in pytest-benchmark, which is not active here."""
    pytest.fail(
        "allocphase_cell needs pytest-benchmark, which is not active: "
        "pip install 'allocphase[pytest]', and no -p no:benchmark",
        pytrace=False,
    )
