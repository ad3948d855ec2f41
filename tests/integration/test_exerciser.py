"""The exerciser finds what it is there to find: each fault here was made on purpose."""

from __future__ import annotations

import pytest

from tests.support.exerciser import (
    ALIGNED_ALLOC,
    CALLOC,
    FREE,
    MALLOC,
    REALLOC,
    Exercisers,
    Op,
    exercise,
    passes,
)
from tests.support.plugins import ROOT

FAULTY = ROOT / "tests" / "c" / "faulty_allocator.c"
STREAM = [
    Op(MALLOC, 0, 100),
    Op(MALLOC, 1, 24),
    Op(ALIGNED_ALLOC, 2, 64, align_log2=8),
    Op(CALLOC, 3, 99),
    Op(REALLOC, 0, 90),
    Op(MALLOC, 4, 8),
    Op(FREE, 1),
]
FAULTS = {
    "OVERLAP": "operation 1 (malloc): the block overlaps a live one",
    "MISALIGNED": "operation 1 (malloc): the block is not aligned",
    "UNALIGNED_ALIGNED": "operation 2 (aligned_alloc): the block is not aligned",
    "UNZEROED": "operation 3 (calloc): the block is not zeroed",
    "FORGETFUL": "operation 4 (realloc): the block does not hold what was written",
    "SMALL": "operation 0 (malloc): usable_size is below the size asked for",
    "BROKEN": "operation 0 (malloc): broken on purpose",
    "GREEDY": "operation 0 (an impossible request): malloc(SIZE_MAX) succeeded",
}


def test_the_same_allocator_without_a_fault_passes(exercisers: Exercisers) -> None:
    passes(exercisers.build(FAULTY, "-DFAULT=NONE"), STREAM, check_every=1)


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_is_found_at_the_operation_that_shows_it(
    exercisers: Exercisers, fault: str
) -> None:
    outcome = exercise(exercisers.build(FAULTY, f"-DFAULT={fault}"), STREAM, check_every=1)
    assert outcome.code == 1
    assert outcome.message == FAULTS[fault] + "\n"
