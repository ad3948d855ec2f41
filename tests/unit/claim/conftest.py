"""A run directory in the making."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.claims import Writer


@pytest.fixture
def run(tmp_path: Path) -> Writer:
    return Writer(tmp_path / "run")
