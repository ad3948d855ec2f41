"""What the single-threaded workloads are: sizes, what is live when, the order of frees."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from allocphase import scenario, trace
from allocphase.commands import listing
from allocphase.errors import UsageError
from allocphase.scenario.families import sizes
from allocphase.scenario.families.fleet import FLEET, expected_live
from allocphase.scenario.families.lifetimes import QUANTILES, TICKS, exponential, recurring
from allocphase.scenario.families.replace import replacements, resized
from allocphase.trace import Kind, Touch, Trace
from allocphase.trace.records import Draft, Ops, Part, kind_of
from allocphase.trace.slots import previous, slot_ranks
from tests.support.scenarios import TRACED, load_traced

SCENARIOS = Path(__file__).parents[3] / "scenarios"
PAGE = SCENARIOS.parent / "docs" / "scenarios.md"
SHIPPED = sorted(SCENARIOS.glob("*.toml"))


def made(name: str, **changes: object) -> Trace:
    found = load_traced(SCENARIOS / f"{name}.toml")
    return scenario.generate(found.with_parameters(changes))


def rng() -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(1))


def allocated(ops: Ops) -> npt.NDArray[np.int64]:
    """The sizes of the mallocs, in order."""
    size: npt.NDArray[np.int64] = ops["size"][kind_of(ops) == Kind.MALLOC].astype(np.int64)
    return size


def live_objects(ops: Ops) -> npt.NDArray[np.int64]:
    """Objects live after each op."""
    kind = kind_of(ops)
    births = (kind <= Kind.ALIGNED_ALLOC) & (kind != Kind.REALLOC)
    return np.cumsum(births.astype(int) - (kind == Kind.FREE))


@pytest.mark.parametrize("path", TRACED, ids=lambda path: path.stem)
def test_each_shipped_scenario_makes_a_valid_trace_of_moderate_length(path: Path) -> None:
    found = scenario.generate(load_traced(path))
    trace.validate(found)
    assert 20 <= len(found.ops) <= 1_400_000
    whole = path.stem in ("phase-report", "ariax")  # they are built and dropped
    assert (found.part_ops(Part.STEADY) == 0) == whole


def test_the_page_of_all_scenarios_is_what_their_files_say() -> None:
    """ALLOCPHASE_UPDATE_GOLDEN=1 writes the page anew."""
    text = listing.scenarios_markdown([scenario.load(path) for path in SHIPPED])
    if os.environ.get("ALLOCPHASE_UPDATE_GOLDEN") == "1":
        PAGE.write_text(text, encoding="utf-8")
    assert PAGE.read_text(encoding="utf-8") == text


# ---- The phase report's ----------------------------------------------------------


def test_the_phase_report_allocates_1_000_objects_of_mean_201_then_frees_them_in_order() -> None:
    found = made("phase-report")
    assert found.part_ops(Part.BUILD) == 1000
    assert allocated(found.ops).sum() == 201_000
    assert kind_of(found.ops).tolist() == [Kind.MALLOC] * 1000 + [Kind.FREE] * 1000
    assert found.ops["slot"].tolist() == [*range(1000), *range(1000)]


def test_phase_report_churn_has_the_same_sizes_and_a_window_of_64() -> None:
    found = made("phase-report-churn")
    live = live_objects(found.ops)
    assert allocated(found.ops).mean() == pytest.approx(201, abs=0.5)
    assert live.max() == 64
    assert set(live[64:-64].tolist()) == {63, 64}
    freed = found.ops["slot"][kind_of(found.ops) == Kind.FREE]
    born = found.ops["slot"][kind_of(found.ops) == Kind.MALLOC]
    assert (freed == born).all()  # first in, first out


def test_a_batch_may_be_freed_in_reverse_and_repeated() -> None:
    found = made("phase-report", allocations=3, reverse=True, batches=2)
    assert found.ops["slot"].tolist() == [0, 1, 2, 2, 1, 0] * 2
    assert found.part_ops(Part.STEADY) == 12


def test_random_churn_has_its_live_objects_from_the_start() -> None:
    found = made("random-churn", live=500, operations=100_000)
    live = live_objects(found.ops)
    assert found.part_ops(Part.BUILD) == live[499] == 500
    assert live[500:100_500].mean() == pytest.approx(500, rel=0.03)
    assert live[500:20_500].mean() == pytest.approx(500, rel=0.06)
    assert allocated(found.ops).min() == 8
    assert allocated(found.ops).max() == 999


@pytest.mark.parametrize("live", [1, 100, 3000])
def test_churn_can_be_swept_by_live_objects(live: int) -> None:
    found = made("random-churn", live=live, operations=10_000)
    assert live_objects(found.ops)[live - 1 : live + 9999].mean() == pytest.approx(live, rel=0.25)


def test_an_object_grows_by_doubling_from_16_to_8192_bytes() -> None:
    found = made("realloc-growth")
    one = found.ops[found.ops["slot"] == 7]
    one = one[np.argmax(kind_of(one) == Kind.FREE) + 1 :]  # it is grown when the trace begins
    assert one["size"][:11].tolist() == [16 << step for step in range(10)] + [0]
    assert kind_of(one)[:11].tolist() == [Kind.MALLOC] + [Kind.REALLOC] * 9 + [Kind.FREE]
    neighbours = np.count_nonzero(found.ops["slot"][1:] == found.ops["slot"][:-1])
    assert neighbours < len(found.ops) / 32  # interleaved: 1 in 64 by chance


def test_growing_objects_are_at_all_steps_when_the_steady_part_begins() -> None:
    found = made("realloc-growth", growing=1000)
    size, count = np.unique(found.ops["size"][: found.part_ops(Part.BUILD)], return_counts=True)
    assert size.tolist() == [16 << step for step in range(10)]
    assert count.min() > 50  # 91 on average


def test_growth_by_half_ends_at_the_largest_size() -> None:
    ops = made("realloc-growth", growth_percent=150, size_max=100, growing=1).ops
    first = int(np.argmax(kind_of(ops) == Kind.FREE)) + 1
    assert ops["size"][first : first + 7].tolist() == [16, 24, 36, 54, 81, 100, 0]


# ---- Blocks and buffers ----------------------------------------------------------


def test_large_blocks_are_all_live_and_freed_before_they_are_replaced() -> None:
    found = made("large-blocks")
    live = live_objects(found.ops)
    assert live.max() == live[3] == 4
    assert set(live[4:-4].tolist()) == {3, 4}
    assert allocated(found.ops).min() >= 5 << 20
    assert allocated(found.ops).max() <= 25 << 20


def test_malloc_large_allocates_before_it_frees() -> None:
    found = made("malloc-large", replacements=400)
    live = live_objects(found.ops)
    assert live.max() == 21
    assert set(live[20:-20].tolist()) == {20, 21}
    places = found.ops["slot"][20:-20] // 2
    assert (np.bincount(places) % 4 == 0).all()  # a malloc and a free each, an even number of times


def test_a_replacement_frees_what_its_place_held() -> None:
    ops = replacements(np.array([3, 5, 3]), np.array([1, 2, 4]), new_first=True)
    assert [(int(k), int(s)) for k, s in zip(kind_of(ops), ops["slot"], strict=True)] == [
        (Kind.MALLOC, 6),
        (Kind.MALLOC, 10),
        (Kind.MALLOC, 7),
        (Kind.FREE, 6),
        (Kind.FREE, 7),
        (Kind.FREE, 10),
    ]
    assert ops["size"].tolist() == [1, 2, 4, 0, 0, 0]


def test_glibc_simple_frees_each_number_of_blocks_in_order() -> None:
    found = made("glibc-simple", sizes=(16,), counts=(2, 3), allocations=6, idle_thread=False)
    assert found.ops["slot"].tolist() == [0, 1, 0, 1] * 3 + [0, 1, 2, 0, 1, 2] * 2
    changes = {"sizes": (16,), "counts": (3,), "allocations": 3, "idle_thread": False}
    reverse = made("glibc-simple-reverse", **changes)
    assert reverse.ops["slot"].tolist() == [0, 1, 2, 2, 1, 0]
    assert len(reverse.threads) == 1


def test_glibc_simple_has_equal_allocations_for_each_size_and_number() -> None:
    found = made("glibc-simple", idle_thread=False)
    size, count = np.unique(allocated(found.ops), return_counts=True)
    assert size.tolist() == [16, 32, 64]
    assert set(count.tolist()) == {4 * 12_800}


def test_a_tooth_of_the_sawtooth_drops_all_but_its_survivors() -> None:
    """It frees its 4 of the last time, allocates 50, and drops 46."""
    found = made("sawtooth", teeth=3, objects=50, survivors=4)
    live = live_objects(found.ops)
    ends = [12 + 100 * tooth - 1 for tooth in range(4)]
    assert live[ends].tolist() == [12] * 4
    assert live[[12 + 3, 12 + 53]].tolist() == [8, 58]
    assert live[-1] == 0


def test_aligned_objects_have_each_alignment_and_a_multiple_of_it_as_size() -> None:
    ops = made("aligned").ops
    aligned = ops[kind_of(ops) == Kind.ALIGNED_ALLOC]
    log2, count = np.unique(aligned["align_log2"], return_counts=True)
    assert log2.tolist() == list(range(4, 13))
    assert count.min() > 0.9 * count.mean()
    assert (aligned["size"] % (1 << aligned["align_log2"].astype(int)) == 0).all()
    plain = np.count_nonzero(kind_of(ops) == Kind.MALLOC)
    assert plain / (plain + len(aligned)) == pytest.approx(0.25, abs=0.02)


# ---- Zeroed and trimmed ------------------------------------------------------------


def test_a_realloc_follows_the_object_that_it_resizes() -> None:
    ops = resized(
        replacements(np.array([3, 5]), np.array([10, 20]), new_first=False),
        np.array([1]),
        np.array([40]),
    )
    assert kind_of(ops).tolist() == [Kind.MALLOC, Kind.MALLOC, Kind.REALLOC, Kind.FREE, Kind.FREE]
    assert ops["slot"].tolist() == [3, 5, 5, 3, 5]
    assert ops["size"].tolist() == [10, 20, 40, 0, 0]


def test_the_compiler_s_mix_has_the_counted_shares_of_calls_and_bytes() -> None:
    found = made("calloc-mix")
    kind, size = kind_of(found.ops), found.ops["size"].astype(np.int64)
    mallocs, callocs, reallocs = (
        np.count_nonzero(kind == each) for each in (Kind.MALLOC, Kind.CALLOC, Kind.REALLOC)
    )
    calls = mallocs + callocs + reallocs
    assert callocs / calls == pytest.approx(61_515 / 214_055, abs=0.01)
    assert reallocs / calls == pytest.approx(8_919 / 214_055, abs=0.01)
    zeroed = size[kind == Kind.CALLOC]
    assert zeroed.sum() / calls == pytest.approx(126_642_861 / 214_055, rel=0.15)
    assert np.mean(zeroed > 10_000) == pytest.approx(8 * 103 / 61_515, rel=0.1)
    assert live_objects(found.ops).max() == 2000


def test_a_table_grows_to_twice_its_size_right_after_it_was_made() -> None:
    ops = made("calloc-mix", zeroed_percent=0, grown_percent=100).ops
    grown = np.flatnonzero(kind_of(ops) == Kind.REALLOC)
    assert len(grown) == 32_000
    assert (ops["slot"][grown] == ops["slot"][grown - 1]).all()
    assert (ops["size"][grown] == 2 * ops["size"][grown - 1]).all()


def test_each_buffer_is_trimmed_to_what_was_read() -> None:
    found = made("shrink")
    kind = kind_of(found.ops)
    trimmed = np.flatnonzero(kind == Kind.REALLOC)
    assert len(trimmed) == np.count_nonzero(kind == Kind.MALLOC) == 10_200
    assert (kind[trimmed - 1] == Kind.MALLOC).all()
    assert (found.ops["slot"][trimmed] == found.ops["slot"][trimmed - 1]).all()
    assert set(allocated(found.ops).tolist()) == {65_569}
    kept = found.ops["size"][trimmed]
    assert kept.min() == 64
    assert kept.max() <= 65_569
    assert np.median(kept) == pytest.approx(128, rel=0.05)
    assert live_objects(found.ops)[found.part_ops(Part.BUILD) - 1] == 200


@pytest.mark.parametrize(
    ("name", "key", "value"),
    [
        ("shrink", "kept_max", 65_570),
        ("calloc-mix", "plain_sizes", (1, 2)),
        ("calloc-mix", "zeroed_sizes", (16,)),
    ],
)
def test_parameters_that_do_not_fit_together_are_refused(
    name: str, key: str, value: object
) -> None:
    wanted = f"^scenario {name}.*: {key}: must be (at most|as many as) "
    with pytest.raises(UsageError, match=wanted):
        made(name, **{key: value})


# ---- Fleet: the published figures --------------------------------------------------


def test_fleet_sizes_have_the_published_quantiles() -> None:
    size = allocated(made("fleet").ops)
    p50, p90, p99 = np.quantile(size, [0.5, 0.9, 0.99], method="inverted_cdf")
    assert 48 <= p50 <= 64
    assert 184 <= p90 <= 1664
    assert 4 << 10 <= p99 <= 32 << 10
    assert 0.59 <= np.mean(size <= 64) <= 0.72


def test_fleet_lifetimes_are_live_objects_over_allocation_rate() -> None:
    """Little's law, for each size that is frequent enough to be measured."""
    found = load_traced(SCENARIOS / "fleet.toml")
    parameters = FLEET.parameters(**found.parameters)
    found_trace = scenario.generate(found)
    ops = found_trace.ops
    built = found_trace.part_ops(Part.BUILD)
    steady = np.arange(built, len(ops) - built)
    rate = np.array(parameters.rates) / sum(parameters.rates)
    checked = 0
    for size, share, ratio, live in zip(
        parameters.sizes, rate, parameters.lives, expected_live(parameters), strict=True
    ):
        if live < 300:
            continue
        mine = ops["size"] == size
        slot_size = ops["size"][np.maximum(previous(np.ascontiguousarray(ops["slot"])), 0)]
        freed = (kind_of(ops) == Kind.FREE) & (slot_size == size)
        held = np.cumsum(mine.astype(int) - freed)[steady].mean()
        births = np.count_nonzero(mine[steady])
        deaths = np.count_nonzero(freed[steady])
        assert births / np.count_nonzero(allocated_in(ops, steady)) == pytest.approx(share, rel=0.1)
        assert deaths == pytest.approx(births, rel=0.15)
        assert held == pytest.approx(live, rel=0.15), (size, ratio)
        checked += 1
    assert checked >= 10


def allocated_in(ops: Ops, where: npt.NDArray[np.int64]) -> npt.NDArray[np.bool_]:
    births: npt.NDArray[np.bool_] = kind_of(ops)[where] == Kind.MALLOC
    return births


def test_fleet_is_in_its_steady_state_from_the_start() -> None:
    found = made("fleet")
    live = live_objects(found.ops)
    middle = live[found.part_ops(Part.BUILD) : -found.part_ops(Part.DRAIN)]
    assert middle.mean() == pytest.approx(20_000, rel=0.03)
    assert np.ptp(middle) < 2000


def test_lifetimes_are_exponential() -> None:
    mean = np.full(200_000, 1000 * TICKS)
    drawn = exponential(rng(), mean) / TICKS
    assert drawn.mean() == pytest.approx(1000, rel=0.01)
    assert np.median(drawn) == pytest.approx(693, rel=0.01)
    assert np.quantile(drawn, 0.99) == pytest.approx(4605, rel=0.03)
    assert len(np.unique(drawn)) <= QUANTILES


def rounds(born: list[int], died: list[int], size: list[int], lasting: list[int]) -> Draft:
    return recurring(
        rng(),
        np.array(born),
        np.array(died),
        np.array(size),
        round_ticks=100,
        lasting=np.array(lasting, dtype=np.int64),
    )


def test_a_freed_slot_is_used_by_the_next_birth() -> None:
    ops = rounds([0, 10, 20, 30, 40], [15, 50, 55, 35, 60], [1, 2, 3, 4, 5], []).ops
    assert ops["size"].tolist() == [1, 2, 0, 3, 4, 0, 5, 0, 0, 0]
    assert ops["slot"].tolist() == [0, 1, 0, 0, 2, 2, 2, 1, 0, 2]


def test_a_birth_comes_before_a_death_of_the_same_tick() -> None:
    ops = rounds([0, 10], [10, 20], [1, 2], []).ops
    assert ops["size"].tolist() == [1, 2, 0, 0]
    assert ops["slot"].tolist() == [0, 1, 0, 1]


def test_what_outlives_a_round_is_there_when_it_begins() -> None:
    """The second lives from 60 to 140, which is from 60 on and up to 40; 9 bytes for ever."""
    draft = rounds([10, 60], [30, 140], [1, 2], [9])
    built, steady, drained = np.split(draft.ops, [2, 6])
    assert (draft.build_ops, draft.drain_ops) == (2, 2)
    assert sorted(built["size"].tolist()) == [2, 9]
    assert steady["size"].tolist() == [1, 0, 0, 2]
    assert steady["slot"].tolist() == [2, 2, 0, 0]
    assert built["slot"][built["size"] == 2].tolist() == [0]
    assert drained["slot"].tolist() == [0, 1]
    trace.validate(trace.complete(draft, touch=Touch.NONE))


# ---- Tags --------------------------------------------------------------------------


def test_ariax_has_the_reports_350_operations() -> None:
    found = made("ariax")
    tag = found.tags[found.ops["tag"][:350]]
    assert found.op_counts["malloc"] == found.op_counts["free"] == found.part_ops(Part.BUILD) == 350
    assert np.count_nonzero(tag["class_id"] == 1) == 200
    routed = tag[tag["hint_hz"] > 0]
    assert len(routed) == np.count_nonzero(tag["class_id"] == 2) == 100
    off = np.abs(routed["hint_hz"] / 3.14159 - np.rint(routed["hint_hz"] / 3.14159))
    assert np.count_nonzero(off < 1e-9) == 40
    assert off[off >= 1e-9].min() > 0.2
    isolated = tag[tag["domain"] > 0]
    assert len(isolated) == 50
    assert np.unique(isolated["domain"]).tolist() == [1, 2, 3, 4, 5]
    assert np.unique(isolated["class_id"]).tolist() == [3]
    assert (found.ops["tag"][:350] == found.ops["tag"][350:]).all()


def test_ariax_domains_tries_frees_from_another_domain_of_the_same_class() -> None:
    found = made("ariax-domains")
    kind = kind_of(found.ops)
    foreign = np.flatnonzero(kind == Kind.FREE_FOREIGN)
    tried, real = found.tags[found.ops["tag"][foreign]], found.tags[found.ops["tag"][foreign + 1]]
    assert (found.ops["slot"][foreign] == found.ops["slot"][foreign + 1]).all()
    assert (kind[foreign + 1] == Kind.FREE).all()
    assert (tried["domain"] != real["domain"]).all()
    assert (tried["class_id"] == real["class_id"]).all()
    assert len(foreign) / found.op_counts["free"] == pytest.approx(0.05, rel=0.1)
    assert len(np.unique(found.tags["domain"])) == 1001
    used = found.tags[found.ops["tag"]]
    assert len(np.unique(used["domain"])) == 1000
    assert np.unique(used["class_id"]).tolist() == [1, 2, 3]
    assert ((used["hint_hz"] == 3.14159) == (used["class_id"] == 2)).all()


# ---- The parts they are made of --------------------------------------------------------


def test_even_sizes_have_the_mean_of_their_range() -> None:
    drawn = sizes.even(rng(), 16, 386, count=1000)
    assert drawn.mean() == 201
    assert (drawn.min(), drawn.max()) == (16, 386)
    assert not (np.sort(drawn) == drawn).all()


def test_weighted_sizes_come_as_often_as_their_weights_say() -> None:
    drawn = sizes.weighted(rng(), [8, 64], [3, 1], count=100_000)
    assert np.mean(drawn == 8) == pytest.approx(0.75, abs=0.01)


def test_inverse_square_sizes_have_glibcs_quantiles() -> None:
    drawn = sizes.inverse_square(rng(), 4, 32_768, count=200_000)
    p50, p90, p99 = np.quantile(drawn, [0.5, 0.9, 0.99])
    assert p50 in (7, 8)
    assert p90 == pytest.approx(40, abs=1)
    assert p99 == pytest.approx(404, rel=0.05)
    assert drawn.min() == 4
    assert drawn.max() <= 32_768


@pytest.mark.parametrize(
    ("shape", "mean_share"), [("even", 1 / 2), ("linear", 1 / 6), ("exponential", 1 / 8)]
)
def test_falling_sizes_have_the_mean_of_their_shape(shape: str, mean_share: float) -> None:
    drawn = sizes.falling(rng(), 100, 64_100, count=100_000, shape=shape)
    assert drawn.mean() == pytest.approx(100 + 64_000 * mean_share, rel=0.02)
    assert drawn.min() >= 100
    assert drawn.max() <= 64_100


def test_ranks_and_predecessors_are_those_of_a_walk() -> None:
    slot = rng().integers(0, 20, size=500, dtype=np.uint32)
    seen: dict[int, list[int]] = {}
    ranks, before = [], []
    for index, one in enumerate(slot.tolist()):
        earlier = seen.setdefault(one, [])
        ranks.append(len(earlier))
        before.append(earlier[-1] if earlier else -1)
        earlier.append(index)
    assert slot_ranks(slot).tolist() == ranks
    assert previous(slot).tolist() == before
