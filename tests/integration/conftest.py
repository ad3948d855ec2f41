"""Fixtures of the integration tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.support.exerciser import Exercisers


@pytest.fixture(scope="session")
def exercisers(tmp_path_factory: pytest.TempPathFactory, needs: Callable[..., None]) -> Exercisers:
    """Our allocators, each linked with the exerciser under the sanitizers."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    return Exercisers(tmp_path_factory.mktemp("exercisers"))
