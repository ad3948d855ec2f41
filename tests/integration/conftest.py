"""Fixtures of the integration tests."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Needs
from tests.support.exerciser import Exercisers
from tests.support.plugins import ROOT
from tests.support.sharing import Shared, made_once

# No builtins: the compiler must not know what malloc does, and leave out a call.
C_FLAGS = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-O1", "-g", "-fno-builtin"]
CXX_FLAGS = ["-std=c++17", "-Wall", "-Wextra", "-Werror", "-O1", "-g"]


@pytest.fixture(scope="session")
def exercisers(shared: Shared, needs: Callable[..., None]) -> Exercisers:
    """Our allocators, each linked with the exerciser under the sanitizers."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")
    return Exercisers(shared("exercisers"))


@pytest.fixture(scope="session")
def program(shared: Shared, needs: Needs) -> Path:
    """tests/c/preloaded.c."""
    needs(shutil.which("cc"), "a C compiler", install="apt-get install gcc")

    def build(target: Path) -> None:
        source = str(ROOT / "tests" / "c" / "preloaded.c")
        command = ["cc", *C_FLAGS, source, "-o", str(target), "-lpthread", "-ldl"]
        subprocess.run(command, check=True)

    return made_once(shared("preload") / "preloaded", build)


@pytest.fixture(scope="session")
def operators(shared: Shared, needs: Needs) -> Path:
    """tests/c/operators.cpp."""
    needs(shutil.which("g++"), "a C++ compiler", install="apt-get install g++")

    def build(target: Path) -> None:
        source = str(ROOT / "tests" / "c" / "operators.cpp")
        command = ["g++", *CXX_FLAGS, source, "-o", str(target), "-lpthread"]
        subprocess.run(command, check=True)

    return made_once(shared("preload") / "operators", build)
