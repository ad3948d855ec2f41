"""The run that every format is tried on."""

from __future__ import annotations

import pytest

from allocphase.analysis.frames import Run
from tests.support.exports import awkward_run


@pytest.fixture(scope="session")
def awkward(tmp_path_factory: pytest.TempPathFactory) -> Run:
    """See tests/support/exports.py."""
    return awkward_run(tmp_path_factory.mktemp("awkward"))
