"""Our allocators serve any stream of operations, under the address and UB sanitizers."""

from __future__ import annotations

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.support.exerciser import (
    ALIGNED_ALLOC,
    CALLOC,
    CORRECT,
    FREE,
    MALLOC,
    REALLOC,
    REFUSING_MUNMAP,
    SMALL_POOLS,
    Exercisers,
    Op,
    long_stream,
    passes,
)
from tests.support.plugins import ROOT

sizes = st.one_of(
    st.integers(0, 40),
    st.integers(0, 4_000),
    st.integers(0, 70_000),
    st.sampled_from([200_000, 1_000_000, 3_000_000, 9_000_000]),
)
slots = st.integers(0, 23)
operations = st.one_of(
    st.builds(Op, st.just(MALLOC), slots, sizes),
    st.builds(Op, st.just(CALLOC), slots, sizes),
    st.builds(Op, st.just(REALLOC), slots, sizes),
    st.builds(Op, st.just(ALIGNED_ALLOC), slots, sizes, st.integers(0, 21)),
    st.builds(Op, st.just(FREE), slots),
    st.builds(Op, st.just(FREE), slots),
)


@pytest.mark.parametrize("name", CORRECT)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(stream=st.lists(operations, max_size=120))
def test_any_stream_of_operations_is_served_without_a_fault(
    exercisers: Exercisers, name: str, stream: list[Op]
) -> None:
    passes(exercisers(name), stream, check_every=1)


@pytest.mark.parametrize("name", CORRECT)
@pytest.mark.parametrize("largest", [40, 8_192])
def test_long_churn_is_served_without_a_fault(
    exercisers: Exercisers, name: str, largest: int
) -> None:
    stream = long_stream(largest, count=10_000, live=600, largest=largest)
    passes(exercisers(name), stream, check_every=100)


@pytest.mark.parametrize("name", CORRECT)
def test_large_blocks_beyond_the_usual_pools_are_served_without_a_fault(
    exercisers: Exercisers, name: str
) -> None:
    sizes_mib = [5, 25, 7, 12, 25, 19, 6, 25, 10, 14]
    stream = [Op(MALLOC, slot, mib << 20) for slot, mib in enumerate(sizes_mib)]
    stream += [Op(FREE, slot) for slot in range(0, 10, 2)]
    stream += [Op(REALLOC, slot, (slot + 3) << 20) for slot in range(10)]
    stream += [Op(CALLOC, slot, (14 - slot) << 20) for slot in range(10)]
    stream += [Op(ALIGNED_ALLOC, slot, 3_000_000, align_log2=21) for slot in range(10)]
    passes(exercisers(name), stream, check_every=1)


@pytest.mark.parametrize("name", CORRECT)
def test_an_allocator_whose_pool_is_too_small_grows_or_falls_back(
    exercisers: Exercisers, name: str
) -> None:
    stream = long_stream(2, count=6_000, live=700, largest=60_000)
    passes(exercisers(name), stream, *SMALL_POOLS[name], check_every=200)


@pytest.mark.parametrize("name", ["ariax", "phase1", "phase2", "phase21"])
def test_a_mapping_that_the_system_does_not_take_back_serves_the_next_blocks(
    exercisers: Exercisers, name: str
) -> None:
    stream = long_stream(3, count=2_000, live=100, largest=3_000_000)
    program = exercisers(name, *REFUSING_MUNMAP)
    passes(program, stream, *SMALL_POOLS[name], check_every=100)


def test_phase21_counts_each_allocation_as_a_hit_or_a_miss(exercisers: Exercisers) -> None:
    stream = [Op(MALLOC, slot, 4_096) for slot in range(20)]
    stats = passes(exercisers("phase21"), stream, "pool_bytes=65536")
    assert stats["pool_used_bytes"] == stats["pool_peak_used_bytes"] == 16 * 4_096
    assert stats["pool_misses"] == 4
    assert stats["pool_hit_rate"] == 16 / 20


def test_phase2_maps_one_slab_for_as_many_objects_as_it_is_told(exercisers: Exercisers) -> None:
    stream = [Op(MALLOC, slot, 200) for slot in range(64)]
    single = passes(exercisers("phase2"), stream)
    shared = passes(exercisers("phase2"), stream, "objects_per_slab=16")
    assert (single["slabs_made"], shared["slabs_made"]) == (64, 4)


def test_phase3_reserves_once_for_all_that_fits(exercisers: Exercisers) -> None:
    stream = [Op(MALLOC, slot, 100_000) for slot in range(60)]
    assert passes(exercisers("phase3"), stream)["regions"] == 1
    assert passes(exercisers("phase3"), stream, "reserve_bytes=4194304")["regions"] > 1


def test_phase3_grows_a_large_block_in_place_only_as_far_as_pages_are_free(
    exercisers: Exercisers,
) -> None:
    page = 65_536
    for pages in (5, 6, 9):  # the block has 2, behind it 3 are free, then one is not
        stream = [Op(MALLOC, 0, 2 * page), Op(MALLOC, 1, 3 * page), Op(MALLOC, 2, page)]
        stream += [Op(FREE, 1), Op(REALLOC, 0, pages * page), Op(REALLOC, 0, page)]
        passes(exercisers("phase3"), stream, check_every=1)


def test_phase1_fills_a_region_to_its_end_and_not_beyond(exercisers: Exercisers) -> None:
    small_region = ["region_bytes=1048576", "regions_at_init=1"]
    blocks = [Op(MALLOC, 1 + slot, 4_096) for slot in range(255)]
    first = Op(MALLOC, 0, 4_096)
    assert passes(exercisers("phase1"), [first, *blocks], *small_region)["regions"] == 1
    one_granule_short = [Op(MALLOC, 0, 16), *blocks, Op(FREE, 0), Op(MALLOC, 256, 4_096)]
    assert passes(exercisers("phase1"), one_granule_short, *small_region)["regions"] == 2


def test_no_allocator_of_ours_is_left_out() -> None:
    assert set(SMALL_POOLS) == set(CORRECT)
    folders = {source.parent.name for source in (ROOT / "allocators").glob("*/*.c")}
    assert folders - set(CORRECT) == {"null"}
