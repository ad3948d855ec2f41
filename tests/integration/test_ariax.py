"""ariax: routing by tag, isolation by page, and what it counts."""

from __future__ import annotations

from collections import Counter

from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from tests.support.exerciser import FREE, FREE_FOREIGN, MALLOC, REALLOC, Exercisers, Op, passes

BASE_HZ, STATE = 3.14159, 1
in_processes = settings(
    max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow]
)


def is_harmonic(hz: float, base_hz: float, tolerance: float) -> bool:
    """By trying every multiple up to twice the frequency: tolerances here are below half."""
    multiples = range(1, int(2 * hz / base_hz) + 3)
    return any(abs(hz - n * base_hz) <= tolerance * n * base_hz for n in multiples)


# How far a frequency lies from its multiple, in tolerances: on, about and beyond the limit.
distances = st.one_of(
    st.sampled_from([-1.0, 1.0, 0.0]),
    st.floats(-1.0001, -0.9999),
    st.floats(0.9999, 1.0001),
    st.floats(-50, 50),
)


@in_processes
@given(
    base_hz=st.sampled_from([BASE_HZ, 1.0, 50.0, 0.1]),
    tolerance=st.sampled_from([0.0, 0.0001, 0.001, 0.01, 0.3, 0.49]),
    multiple=st.integers(1, 700),
    distance=distances,
)
@example(base_hz=1.0, tolerance=0.01, multiple=50, distance=-1.0)  # the nearer, 49, allows less
@example(base_hz=1.0, tolerance=0.01, multiple=50, distance=-1.0001)
def test_a_hint_goes_to_the_block_pool_if_and_only_if_it_is_a_harmonic(
    exercisers: Exercisers, base_hz: float, tolerance: float, multiple: int, distance: float
) -> None:
    hz = abs(multiple * base_hz * (1 + distance * tolerance))
    tuned = [f"base_hz={base_hz}", f"tolerance={tolerance}"]
    stats = passes(exercisers("ariax"), [Op(MALLOC, 0, 100, hint_hz=hz)], *tuned)
    expected = is_harmonic(hz, base_hz, tolerance)
    assert stats["harmonic_hits"] == expected
    assert stats["pool_used_bytes.block"] == 100 * expected
    assert stats["pool_used_bytes.standard"] == 100 * (not expected)


slots = st.integers(0, 15)
sizes = st.one_of(st.integers(0, 2_000), st.integers(0, 100_000))
tags = {
    "class_id": st.integers(0, 3),
    "domain": st.sampled_from([0, 1, 2, 3, 1_000, 1_001, 4_000_000_000]),
    "hint_hz": st.sampled_from([0.0, BASE_HZ, 5 * BASE_HZ, 4.0]),
}
operations = st.one_of(
    st.builds(Op, st.just(MALLOC), slots, sizes, **tags),
    st.builds(Op, st.just(MALLOC), slots, sizes, **tags),
    st.builds(Op, st.just(REALLOC), slots, sizes),
    st.builds(Op, st.just(FREE), slots),
    st.builds(Op, st.just(FREE_FOREIGN), slots, **tags),
)


@in_processes
@given(stream=st.lists(operations, max_size=80))
def test_no_two_domains_share_a_page_and_none_frees_what_is_another_s(
    exercisers: Exercisers, stream: list[Op]
) -> None:
    small = ["domain_pool_bytes=65536", "state_pool_bytes=65536", "standard_pool_bytes=65536"]
    passes(exercisers("ariax"), stream, *small, "blocks=40", check_every=1)


def test_every_class_frequency_and_refusal_is_counted(exercisers: Exercisers) -> None:
    hints = [BASE_HZ * multiple / 2 for multiple in range(1, 101)]
    stream = [Op(MALLOC, slot, 300, class_id=STATE) for slot in range(200)]
    stream += [Op(MALLOC, 200 + i, 200, class_id=2, hint_hz=hz) for i, hz in enumerate(hints)]
    stream += [Op(MALLOC, 300 + i, 90, class_id=3, domain=1 + i % 5) for i in range(50)]
    stream += [Op(FREE_FOREIGN, 300 + i, class_id=3, domain=0) for i in range(0, 50, 5)]
    stats = passes(exercisers("ariax"), stream)
    classes = Counter(op.class_id for op in stream if op.kind == MALLOC)
    assert {f"class_allocations.{key}": count for key, count in classes.items()} == {
        name: count for name, count in stats.items() if name.startswith("class_allocations")
    }
    seen = {name for name in stats if name.startswith("frequency_hz.")}
    assert seen == {f"frequency_hz.{hz!r}" for hz in hints}
    assert all(stats[name] == 1 for name in seen)
    assert stats["frequencies"] == 100
    assert stats["harmonic_hits"] == 50
    assert stats["refusals"] == 10
    assert stats["domains_used"] == 5
    assert stats["pool_used_bytes.state"] == stats["pool_peak_used_bytes.state"] == 200 * 300
    assert stats["pool_used_bytes.block"] == stats["pool_used_bytes.standard"] == 50 * 200
    assert stats["pool_used_bytes.domain_standard"] == 50 * 90
    assert stats["pool_hit_rate"] == 1


def test_what_a_pool_cannot_serve_is_a_miss_that_another_place_serves(
    exercisers: Exercisers,
) -> None:
    stream = [
        Op(MALLOC, 0, 1_025, hint_hz=BASE_HZ),  # larger than a block of the block pool
        Op(MALLOC, 1, 70_000, class_id=STATE, domain=7),  # larger than any pool of the domain
        Op(MALLOC, 2, 70_000, domain=1_001),  # a domain without pools
    ]
    stats = passes(exercisers("ariax"), stream, "domain_pool_bytes=65536")
    assert stats["pool_misses.block"] == stats["pool_misses.domain_state"] == 1
    assert stats["pool_misses.domain_standard"] == 1
    assert stats["pool_used_bytes.standard"] == 1_025
    assert stats["mapped_blocks"] == 2
    assert stats["pool_hit_rate"] == 0
