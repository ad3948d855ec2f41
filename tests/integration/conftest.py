"""Fixtures of the integration tests."""

from __future__ import annotations

import shutil
from collections.abc import Callable

import pytest

from tests.support.exerciser import Exercisers
from tests.support.sharing import Shared


@pytest.fixture(scope="session")
def exercisers(shared: Shared, needs: Callable[..., None]) -> Exercisers:
    """Our allocators, each linked with the exerciser under the sanitizers."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    return Exercisers(shared("exercisers"))
