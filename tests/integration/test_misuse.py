"""Our allocators end a program that frees what it must not, and say why."""

from __future__ import annotations

import signal
import subprocess
from dataclasses import dataclass

import pytest

from tests.support.exerciser import CORRECT, PROGRAMS, TIMEOUT_S, Exercisers

MISUSER = PROGRAMS / "misuser.c"
SIZES = [8, 24, 40, 5_000, 200_000]
AFTER_FREE = ["twice", "later", "last", "beside"]
DOUBLE_FREE, USE_AFTER_FREE = "double free of", "use of the freed block"
FOREIGN = "foreign pointer"


@dataclass(frozen=True, slots=True)
class _End:
    """How the misuser ended: its exit code, the address it gave, the line on stderr."""

    code: int
    address: str
    message: str


def _misuse(exercisers: Exercisers, name: str, call: str, what: str, *numbers: int) -> _End:
    command = [str(exercisers(name, main=MISUSER)), call, what, *map(str, numbers)]
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S)
    return _End(done.returncode, done.stdout.split("\n")[0], done.stderr)


def _is_refused(end: _End, name: str, complaint: str) -> bool:
    said = f"{name}: {complaint} {end.address}\n"
    return (end.code, end.message) == (-signal.SIGABRT, said)


@pytest.mark.parametrize("name", ["phase1", "phase3"])
@pytest.mark.parametrize("what", AFTER_FREE)
@pytest.mark.parametrize("size", SIZES)
def test_a_block_that_is_freed_twice_ends_the_program(
    exercisers: Exercisers, name: str, what: str, size: int
) -> None:
    end = _misuse(exercisers, name, "free", what, size)
    assert _is_refused(end, name, DOUBLE_FREE), end


@pytest.mark.parametrize("name", ["ariax", "original", "phase21"])
@pytest.mark.parametrize("size", [8, 40, 5_000])
def test_so_does_one_in_a_pool_of_the_others(exercisers: Exercisers, name: str, size: int) -> None:
    end = _misuse(exercisers, name, "free", "later", size)
    assert _is_refused(end, name, DOUBLE_FREE), end


@pytest.mark.parametrize("name", ["phase1", "phase3"])
@pytest.mark.parametrize("call", ["realloc", "usable_size"])
@pytest.mark.parametrize("size", SIZES)
def test_a_freed_block_has_no_size_and_cannot_be_resized(
    exercisers: Exercisers, name: str, call: str, size: int
) -> None:
    end = _misuse(exercisers, name, call, "later", size)
    assert _is_refused(end, name, USE_AFTER_FREE), end


@pytest.mark.parametrize("name", ["phase1", "phase3"])
@pytest.mark.parametrize("call", ["free", "realloc", "usable_size"])
@pytest.mark.parametrize("what", ["stack", "static"])
def test_an_address_outside_the_allocator_ends_the_program(
    exercisers: Exercisers, name: str, call: str, what: str
) -> None:
    end = _misuse(exercisers, name, call, what, 0)
    assert _is_refused(end, name, FOREIGN), end


@pytest.mark.parametrize(
    ("name", "size", "offset"),
    [
        *(("phase1", size, offset) for size in (40, 5_000, 200_000) for offset in (8, 16, 32)),
        ("phase1", 5_000, 1_024),  # a granule at the beginning of a word of bits
        *(("phase1", 3_000_000, offset) for offset in (16, 65_536)),
        *(("phase3", size, 8) for size in (8, 24, 40, 5_000)),
        *(("phase3", 200_000, offset) for offset in (8, 16, 65_536, 131_072, 196_608)),
    ],
)
def test_an_address_within_a_block_ends_the_program(
    exercisers: Exercisers, name: str, size: int, offset: int
) -> None:
    end = _misuse(exercisers, name, "free", "inside", size, offset)
    assert _is_refused(end, name, FOREIGN), end


@pytest.mark.parametrize("name", ["phase1", "phase3"])
def test_a_freed_block_that_a_longer_one_covers_is_no_block(
    exercisers: Exercisers, name: str
) -> None:
    end = _misuse(exercisers, name, "free", "covered", 40_000)
    assert _is_refused(end, name, FOREIGN), end


@pytest.mark.parametrize("call", ["realloc", "usable_size"])
@pytest.mark.parametrize("size", [40, 5_000])
def test_phase3_knows_every_address_within_an_object_where_it_may_divide(
    exercisers: Exercisers, call: str, size: int
) -> None:
    end = _misuse(exercisers, "phase3", call, "inside", size, 16)
    assert _is_refused(end, "phase3", FOREIGN), end


def test_phase21_does_not_search_beyond_its_table(exercisers: Exercisers) -> None:
    for call in ("free", "realloc", "usable_size"):
        end = _misuse(exercisers, "phase21", call, "inside", 40, 16)
        assert _is_refused(end, "phase21", FOREIGN), end


@pytest.mark.parametrize("name", [name for name in CORRECT if name != "phase2"])  # unmaps it
@pytest.mark.parametrize("call", ["free", "realloc"])
@pytest.mark.parametrize("size", SIZES)
def test_a_block_that_holds_what_a_freed_one_does_is_live_all_the_same(
    exercisers: Exercisers, name: str, call: str, size: int
) -> None:
    end = _misuse(exercisers, name, call, "alike", size)
    assert end.code == 0, end
