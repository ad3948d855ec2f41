"""Our allocators refuse as the C standard and POSIX have it: NULL, and errno says why."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.support.exerciser import (
    CORRECT,
    PROGRAMS,
    REFUSING_MUNMAP,
    SMALL_POOLS,
    TIMEOUT_S,
    Exercisers,
)

REFUSALS = PROGRAMS / "refusals.c"


def _unmet(program: Path, name: str) -> list[str]:
    """The expectations that an allocator does not meet."""
    command = [str(program), *SMALL_POOLS[name]]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    assert done.returncode in (0, 1), done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize("name", CORRECT)
def test_what_cannot_be_served_is_null_and_errno_says_why(
    exercisers: Exercisers, name: str
) -> None:
    assert _unmet(exercisers(name, main=REFUSALS), name) == []


@pytest.mark.parametrize("name", CORRECT)
def test_a_free_that_the_system_answers_with_an_error_keeps_errno(
    exercisers: Exercisers, name: str
) -> None:
    assert _unmet(exercisers(name, *REFUSING_MUNMAP, main=REFUSALS), name) == []
