"""What docs/scenarios.md says of the workloads, computed from their traces: what lives on while
they are steady, who is born when, and how large, how many and how far apart things are.

Facts of one family alone stand in test_families.py and test_family_threads.py.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest

from allocphase import scenario
from allocphase.scenario.families import FAMILIES
from allocphase.trace import Kind, Touch, Trace
from allocphase.trace.records import NO_THREAD, Draft, Ops, Part, kind_of
from allocphase.trace.slots import by_epoch, previous

SCENARIOS = Path(__file__).parents[3] / "scenarios"
NAMES = sorted(path.stem for path in SCENARIOS.glob("*.toml"))
Numbers = npt.NDArray[np.int64]


@cache
def made(name: str) -> Trace:
    return scenario.generate(scenario.load(SCENARIOS / f"{name}.toml"))


def draft_of(name: str) -> Draft:
    """Its operations in the global order of the generator."""
    found = scenario.load(SCENARIOS / f"{name}.toml")
    family = FAMILIES[found.family]
    rng = np.random.Generator(np.random.PCG64(found.seed))
    return family.draft(family.parameters(**found.parameters), rng)


def births(ops: Ops) -> npt.NDArray[np.bool_]:
    kind = kind_of(ops)
    found: npt.NDArray[np.bool_] = (kind <= Kind.ALIGNED_ALLOC) & (kind != Kind.REALLOC)
    return found


def steady_life(name: str) -> Numbers:
    """Objects live from just before the steady part to its end."""
    draft = draft_of(name)
    live = np.cumsum(births(draft.ops).astype(int) - (kind_of(draft.ops) == Kind.FREE))
    live = np.concatenate([[0], live])
    end = len(draft.ops) - draft.drain_ops
    return live[draft.build_ops : end + 1]


def sizes(name: str) -> Numbers:
    ops = made(name).ops
    found: Numbers = ops["size"][births(ops)].astype(np.int64)
    return found


# ---- Build, steady part, drain -----------------------------------------------------------

# Those whose program builds up and drops again and again; of the others most objects stay.
DROPPED = {"blow-up", "blow-up-idle", "cache-scratch", "cache-thrash", "glibc-simple",
           "glibc-simple-reverse", "mstress"}  # fmt: skip
UNSTEADY = {"ariax", "phase-report"}
TEETH = {"sawtooth"}


@pytest.mark.parametrize("name", sorted(set(NAMES) - UNSTEADY))
def test_a_steady_part_ends_with_as_many_objects_as_it_began_with(name: str) -> None:
    live = steady_life(name)
    assert live[0] == live[-1]
    if name in DROPPED:
        assert live.min() <= 1  # an array of addresses
    elif name in TEETH:
        assert live.min() < live.max() / 10
    else:
        assert live.min() > 0.6 * live.mean()
        assert live.max() < 1.4 * live.mean()


@pytest.mark.parametrize("name", NAMES)
def test_threads_are_born_in_the_steady_part_only_where_the_program_s_are(name: str) -> None:
    threads = made(name).threads
    mortal = bool((threads["predecessor"] != NO_THREAD).any())
    assert mortal == (name in {"blow-up", "larson", "mstress"})
    if mortal:
        steady = threads["op_count"] - threads["build_ops"] - threads["drain_ops"]
        born = int(np.count_nonzero(steady))
        assert born == {"blow-up": 4, "larson": 2, "mstress": 10 * 2 + 1}[name]


@pytest.mark.parametrize(
    ("touch", "names"),
    [
        (Touch.NONE, {"cache-scratch", "cache-thrash"}),
        (
            Touch.PAGES,
            {"fleet", "large-blocks", "rptest-even", "rptest-exponential", "rptest-linear",
             "xmalloc-mixed"},
        ),
        (
            Touch.ALL,
            {"alloc-test", "glibc-simple", "glibc-simple-reverse", "glibc-thread", "malloc-large",
             "mstress", "realloc-growth", "xmalloc"},
        ),
    ],
)  # fmt: skip
def test_what_is_written_of_new_memory_is_what_the_program_writes(
    touch: Touch, names: set[str]
) -> None:
    assert {name for name in NAMES if made(name).touch is touch} == names


# ---- Sizes -------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "low", "high"),
    [
        ("larson", 8, 999),
        ("random-churn", 8, 999),
        ("growth", 16, 64),
        ("sawtooth", 16, 1024),
        ("large-blocks", 5 << 20, 25 << 20),
        ("malloc-large", 5 << 20, 25 << 20),
        ("blow-up", 16, 4080),
        ("blow-up-idle", 16, 4080),
        ("phase-report-churn", 16, 386),
        ("ariax", 16, 386),
        ("ariax-domains", 16, 386),
    ],
)
def test_sizes_are_uniform_over_their_range(name: str, low: int, high: int) -> None:
    size = sizes(name)
    assert low <= size.min() and size.max() <= high
    quartiles = np.quantile(size, [0.25, 0.5, 0.75])
    expected = low + (high - low) * np.array([0.25, 0.5, 0.75])
    # The error of a quantile of n draws, three times, of the range.
    tolerance = (high - low) * 1.5 / np.sqrt(len(size)) + 1
    assert np.abs(quartiles - expected).max() < tolerance


@pytest.mark.parametrize(
    ("name", "low", "high", "mean_share"),
    [
        ("rptest-even", 16, 1000, 1 / 2),
        ("rptest-linear", 16, 8000, 1 / 6),
        ("rptest-exponential", 64, 64_000, 1 / 8),
    ],
)
def test_rptest_sizes_fall_off_as_their_shape_says(
    name: str, low: int, high: int, mean_share: float
) -> None:
    ops = made(name).ops
    own = births(ops) & (ops["slot"] < 2000)  # without batches, which have records and arrays
    size = ops["size"][own].astype(np.int64)
    assert low <= size.min() < low + (high - low) / 50
    assert size.max() <= high
    assert size.mean() == pytest.approx(low + (high - low) * mean_share, rel=0.02)


def test_aligned_sizes_are_1_to_4_times_the_alignment() -> None:
    ops = made("aligned").ops
    aligned = ops[kind_of(ops) == Kind.ALIGNED_ALLOC]
    times, count = np.unique(
        aligned["size"] >> aligned["align_log2"].astype(np.uint32), return_counts=True
    )
    assert times.tolist() == [1, 2, 3, 4]
    assert count.min() > 0.95 * count.max()


# ---- Batches -----------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["xmalloc", "xmalloc-mixed"])
def test_xmalloc_batches_are_an_array_and_4096_objects(name: str) -> None:
    found = made(name)
    first, count = found.threads["first_op"].astype(int), found.threads["op_count"].astype(int)
    producer, consumer = (found.ops[f : f + c] for f, c in zip(first, count, strict=True))
    size = producer["size"].reshape(-1, 4097)
    assert set(size[:, 0].tolist()) == {8 * 4097}
    assert size[:, 1:].max() <= 2048
    batches = (ops["slot"].reshape(-1, 4097) for ops in (producer, consumer))
    for made_slots, freed_slots in zip(*batches, strict=True):
        order = np.concatenate([made_slots[-1:], made_slots[1:-1], made_slots[:1]])
        assert (freed_slots == order).all()


def test_two_or_three_xmalloc_batches_are_live() -> None:
    """Two wait at most, beside the one that is being freed."""
    live = steady_life("xmalloc")
    assert live.max() == 3 * 4097
    assert live.min() == 2 * 4097


def test_rptest_replaces_32_to_99_percent_of_100_objects_in_a_loop_and_hands_as_many_over() -> None:
    found = made("rptest-even")
    ops = found.ops[: int(found.threads["op_count"][0])]
    handed = births(ops) & (ops["slot"] >= 2000)
    records = np.flatnonzero(handed & (ops["size"] == 32))
    arrays = ops["size"][records + 1].astype(int) // 8
    # Where a batch starts the objects of the loop are made, where it ends the next loop begins.
    batches = [int(n) for n in arrays if 30 <= n <= 99]
    assert len(batches) >= 250  # every second of 500 loops; 32 bytes may be an object's size too
    assert np.mean(batches) == pytest.approx(64, abs=3)
    share = np.count_nonzero(handed) / np.count_nonzero(births(ops))
    assert share == pytest.approx((64 + 2) / (2 * 64 + 64 + 2), rel=0.03)


# ---- Distances ---------------------------------------------------------------------------


def test_rptest_walks_through_its_places_in_strides_of_7_and_frees_in_strides_of_11() -> None:
    found = made("rptest-even")
    ops = found.ops[: int(found.threads["op_count"][0])]
    steady = ops[int(found.threads["build_ops"][0]) : -int(found.threads["drain_ops"][0])]
    own = steady[steady["slot"] < 1000]
    place, kind = own["slot"].astype(np.int64), kind_of(own)
    replaced = place[kind == Kind.MALLOC]
    assert (np.diff(replaced) % 1000 == 7).all()
    # A free that no malloc follows in its place: the others are frees before a replacement.
    alone = (kind[:-1] == Kind.FREE) & (place[1:] != place[:-1])
    strides, count = np.unique(np.diff(place[:-1][alone]) % 1000, return_counts=True)
    assert strides[np.argmax(count)] == 11
    assert count.max() > 0.6 * count.sum()


def lifetimes(ops: Ops) -> Numbers:
    """Allocations of the same thread between an object's own and its free, both in `ops`."""
    born, kind = births(ops), kind_of(ops)
    number = np.cumsum(born)
    before = previous(np.ascontiguousarray(ops["slot"]))
    freed = np.flatnonzero((kind == Kind.FREE) & (before >= 0))
    return np.asarray(number[freed] - number[before[freed]], dtype=np.int64)


def life_of(name: str, thread: int) -> Ops:
    """A thread's steady operations."""
    found = made(name)
    begin = int(found.threads["first_op"][thread]) + int(found.threads["build_ops"][thread])
    end = int(found.threads["first_op"][thread]) + int(found.threads["op_count"][thread])
    return found.ops[begin : end - int(found.threads["drain_ops"][thread])]


def test_larson_objects_live_for_5000_replacements_on_average() -> None:
    life = lifetimes(life_of("larson", 1))
    assert life.mean() == pytest.approx(5000, rel=0.05)
    assert np.median(life) == pytest.approx(5000 * np.log(2), rel=0.05)  # exponential


def test_glibc_thread_goes_through_4096_places_and_8000_sizes_again_and_again() -> None:
    ops = life_of("glibc-thread", 0)
    assert kind_of(ops).tolist() == [Kind.FREE, Kind.MALLOC] * 150_000
    place, size = ops["slot"][1::2], ops["size"][1::2]
    assert (place[4096:] == place[:-4096]).all()
    assert (size[8000:] == size[:-8000]).all()
    assert len(np.unique(place)) == pytest.approx(1024 * (1 - np.exp(-4)), rel=0.01)


@pytest.mark.parametrize("name", ["blow-up", "blow-up-idle"])
def test_a_blow_up_thread_allocates_all_then_frees_all_in_order(name: str) -> None:
    found = made(name)
    life = life_of(name, 1)
    count = int(np.argmax(kind_of(life) == Kind.FREE))
    assert set(kind_of(life)[count : 2 * count].tolist()) == {Kind.FREE}
    assert life["slot"][count : 2 * count].tolist() == np.roll(life["slot"][:count], -1).tolist()
    assert found.peak_live_bytes == pytest.approx(100 << 20, rel=0.001)


def test_the_sawtooth_peaks_at_5_megabytes() -> None:
    assert made("sawtooth").peak_live_bytes == pytest.approx(5e6 + 700 * 520, rel=0.05)


# ---- mstress -----------------------------------------------------------------------------


def test_mstress_frees_after_two_thirds_of_its_steps() -> None:
    """67% of the steps free a random place of those filled so far, where there still is something:
    of the places a share f is filled. A step fills 0.51 new ones, so f is 0.51 / (0.51 + 0.67), and
    0.67 f of the steps free. While both kinds of objects are allocated, the first half of a life.
    """
    shares = []
    for thread in range(1, 21):
        ops = life_of("mstress", thread)
        half = ops[: len(ops) // 3]
        made_here = births(half)
        followed = made_here[:-1] & (kind_of(half)[1:] == Kind.FREE)
        shares.append(np.count_nonzero(followed) / np.count_nonzero(made_here))
    assert np.mean(shares) == pytest.approx(0.67 * 0.51 / (0.51 + 0.67), abs=0.03)


def test_mstress_workers_free_what_they_retained_and_then_what_is_left() -> None:
    """A third of the objects is retained, allocated and freed by the same thread in order."""
    ops = life_of("mstress", 1)
    kind = kind_of(ops)
    last_birth = len(kind) - 1 - int(np.argmax(births(ops)[::-1]))
    freed = ops["slot"][last_birth + 1 :].astype(np.int64)
    frees = kind[last_birth + 1 :]
    assert set(frees.tolist()) == {Kind.FREE}
    retained = freed[1:2500] if np.diff(freed[:2]) < 0 else freed[:2500]
    assert (np.diff(retained) > 0).mean() > 0.999


def test_half_of_the_mstress_table_survives_a_round() -> None:
    found = made("mstress")
    history = by_epoch(found.ops)
    who = np.repeat(np.arange(len(found.threads)), found.threads["op_count"].astype(int))
    pairs = history.order.reshape(-1, 2)
    by_main = who[pairs[:, 1]] == 0
    round_of = (who[pairs[by_main, 0]] - 1) // 2
    assert (np.bincount(round_of, minlength=10) > 100).all()
    # What is swapped in is as often nothing as a place of a worker's is empty, see above. After
    # rounds 1 to 9 a place is emptied with 51%, after the last one all are.
    filled = 0.51 / (0.51 + 0.67)
    assert np.count_nonzero(by_main) == pytest.approx(1000 * filled * (9 * 0.51 + 1), rel=0.15)


def test_all_of_it_is_freed_when_a_trace_ends() -> None:
    for name in NAMES:
        ops = made(name).ops
        assert np.count_nonzero(births(ops)) == np.count_nonzero(kind_of(ops) == Kind.FREE), name


def test_only_the_steady_part_of_alloc_test_picks_at_random() -> None:
    """The build fills slots in order, the drain empties them in order."""
    found = made("alloc-test")
    count = int(found.threads["op_count"][0])
    ops, part = found.ops[:count], found.part_of_ops()[:count]
    built = ops["slot"][part == Part.BUILD][1:].astype(np.int64)
    assert (np.diff(built) > 0).all()
    drained = ops[part == Part.DRAIN]
    freed = drained["slot"][kind_of(drained) == Kind.FREE][:-1].astype(np.int64)
    assert (np.diff(freed) > 0).all()
    assert len(built) == pytest.approx(131_072 / 2, rel=0.01)
