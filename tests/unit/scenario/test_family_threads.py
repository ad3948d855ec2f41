"""What the threaded workloads are: who frees whose objects, who waits, what is live."""

from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase import scenario, trace
from allocphase.errors import UsageError
from allocphase.scenario.families.exchange import ALLOCATE, DROP, EVENT, SWAP, held_before
from allocphase.scenario.families.weave import weave
from allocphase.trace import Kind, Trace
from allocphase.trace.records import NO_THREAD, POST, WAIT, Part, kind_of, operations
from allocphase.trace.slots import by_epoch
from allocphase.trace.span import lane_loads

SCENARIOS = Path(__file__).parents[3] / "scenarios"

Numbers = npt.NDArray[np.int64]


def made(name: str, **changes: object) -> Trace:
    found = scenario.load(SCENARIOS / f"{name}.toml")
    return scenario.generate(found.with_parameters(changes))


def threads_of(found: Trace) -> Numbers:
    """Who performs each op."""
    return np.repeat(np.arange(len(found.threads)), found.threads["op_count"].astype(np.int64))


def births_and_deaths(found: Trace) -> tuple[Numbers, Numbers]:
    """Positions of each object's malloc and of its free, for traces of nothing else."""
    order = by_epoch(found.ops).order
    kind = kind_of(found.ops)[order]
    keep = (kind == Kind.MALLOC) | (kind == Kind.FREE)
    pairs = order[keep].reshape(-1, 2)
    return pairs[:, 0], pairs[:, 1]


def ops_by_thread(found: Trace) -> list[npt.NDArray[np.void]]:
    cuts = np.cumsum(found.threads["op_count"].astype(np.int64))[:-1]
    return np.split(found.ops, cuts)


def share_freed_elsewhere(found: Trace) -> float:
    born, died = births_and_deaths(found)
    who = threads_of(found)
    return float(np.mean(who[born] != who[died]))


def share_freed_elsewhere_while_steady(found: Trace) -> float:
    """Of the frees in the steady part, whose objects may be older."""
    born, died = births_and_deaths(found)
    steady = found.part_of_ops()[died] == Part.STEADY
    who = threads_of(found)
    return float(np.mean(who[born[steady]] != who[died[steady]]))


def size_of(found: Trace) -> Numbers:
    size: Numbers = found.ops["size"][kind_of(found.ops) == Kind.MALLOC].astype(np.int64)
    return size


# ---- Larson -------------------------------------------------------------------------


def small_larson() -> Trace:
    return made("larson", slots=50, replacements=400, generations=3)


def test_a_larson_worker_inherits_the_objects_of_its_predecessor() -> None:
    found = small_larson()
    assert found.threads["predecessor"].tolist() == [NO_THREAD, 0, NO_THREAD, 1, 2, 3, 4, 5]
    assert found.threads["lane"].tolist() == [0, *([0, 1] * 3), 0]
    lives = ops_by_thread(found)
    for worker in (1, 2):
        slots = {frozenset(lives[worker + 2 * g]["slot"].tolist()) for g in range(3)}
        assert max(len(s) for s in slots) == 50
        assert len(frozenset.union(*slots)) == 50


def test_larsons_slots_are_filled_before_and_emptied_after_its_workers() -> None:
    found = small_larson()
    filled, *_, emptied = ops_by_thread(found)
    assert found.threads["build_ops"].tolist() == [100 + 4 * 2 * 100, 0, 0, 0, 0, 0, 0, 0]
    assert found.threads["drain_ops"].tolist() == [0, 0, 0, 0, 0, 0, 0, 100]
    assert set(kind_of(filled)[:100].tolist()) == {Kind.MALLOC}
    assert kind_of(filled)[100:].tolist() == [Kind.FREE, Kind.MALLOC] * 400
    assert set(kind_of(emptied).tolist()) == {Kind.FREE}
    assert set(filled["slot"].tolist()) == set(emptied["slot"].tolist())


def test_a_larson_worker_frees_then_allocates_in_the_same_place() -> None:
    life = ops_by_thread(small_larson())[2]
    assert kind_of(life).tolist() == [Kind.FREE, Kind.MALLOC] * 400
    assert (life["slot"][::2] == life["slot"][1::2]).all()


def test_larson_keeps_its_slots_full() -> None:
    found = made("larson")
    assert found.slot_count == 10_000
    assert size_of(found).min() == 8
    assert size_of(found).max() == 999
    assert found.peak_live_bytes == pytest.approx(10_000 * 503.5, rel=0.03)
    assert share_freed_elsewhere_while_steady(found) == pytest.approx(10_000 / 480_000, rel=0.01)


# ---- xmalloc --------------------------------------------------------------------------


def test_every_xmalloc_object_is_freed_by_the_other_thread() -> None:
    assert share_freed_elsewhere(made("xmalloc", batches=7, queued=3)) == 1.0


def test_a_queue_is_as_full_when_a_pass_ends_as_when_it_begins() -> None:
    """Rounded up to lcm(queued + 2, 2 queued + 3) = 28 batches, and 3 in the queue."""
    found = made("xmalloc", batches=20, queued=2, batch_objects=10)
    assert found.threads["op_count"].tolist() == [31 * 11, 31 * 11]
    assert found.threads["build_ops"].tolist() == [3 * 11, 0]
    assert found.threads["drain_ops"].tolist() == [0, 3 * 11]


def test_a_consumer_waits_for_its_whole_batch() -> None:
    found = made("xmalloc", batches=3, queued=2, batch_objects=10)
    producer, consumer = ops_by_thread(found)
    assert consumer["slot"][::11].tolist() == producer["slot"][10::11].tolist()
    assert (consumer["kind_flags"] >> 4 & WAIT).all()
    assert producer["size"][0] == 8 * 11  # the array of addresses comes first
    assert consumer["slot"][10] == producer["slot"][0]  # and goes last


def test_a_producer_is_at_most_the_queue_ahead() -> None:
    found = made("xmalloc", batches=9, queued=3, batch_objects=10)
    assert found.peak_live_bytes == (3 + 1) * (10 * 64 + 88)
    producer, consumer = ops_by_thread(found)
    for batch in range(9 - 4):
        starts, taken = producer[(batch + 4) * 11], consumer[batch * 11]
        assert starts["slot"] == taken["slot"]
        assert starts["epoch"] == taken["epoch"] + 1


def test_a_producer_waits_for_a_batch_to_be_taken_and_not_for_its_single_objects() -> None:
    """What the producer needs, but for its first op, was freed before the batch was taken."""
    found = made("xmalloc", batches=9, queued=2, batch_objects=10)
    producer, consumer = ops_by_thread(found)
    freed_at = {(op["slot"], op["epoch"]): at for at, op in enumerate(consumer)}
    for at, op in enumerate(producer):
        batch, member = divmod(at, 11)
        if op["epoch"] == 0 or member == 0:
            continue
        assert freed_at[op["slot"], op["epoch"] - 1] < (batch - 3) * 11


def test_several_pairs_have_a_producer_and_a_consumer_each() -> None:
    found = made("xmalloc", threads=4, batches=8, queued=2, batch_objects=5)
    kinds = [set(kind_of(life).tolist()) for life in ops_by_thread(found)]
    assert kinds == [{Kind.MALLOC}, {Kind.FREE}] * 2
    slots = [set(life["slot"].tolist()) for life in ops_by_thread(found)]
    assert slots[0] == slots[1] and slots[2] == slots[3]
    assert not slots[0] & slots[2]


def test_a_single_xmalloc_thread_makes_and_frees_the_same_batches() -> None:
    """The queue is as full as between two threads."""
    one, two = (made("xmalloc", threads=n, batches=8, batch_objects=5) for n in (1, 2))
    assert one.op_counts == two.op_counts
    assert one.peak_live_bytes == two.peak_live_bytes
    assert one.ops["size"].sum() == two.ops["size"].sum()
    assert not (one.ops["kind_flags"] >> 4).any()


@pytest.mark.parametrize("threads", [3, 63])
def test_a_producer_without_a_consumer_is_refused(threads: int) -> None:
    with pytest.raises(UsageError, match=f"threads: must be 1 or even, not {threads}$"):
        made("xmalloc", threads=threads)


def test_mixed_xmalloc_has_its_17_sizes_equally_often() -> None:
    size, count = np.unique(size_of(made("xmalloc-mixed")), return_counts=True)
    assert len(size) == 18  # and the array's
    assert size[:-1].max() == 2048
    assert count[:-1].min() > 0.95 * count[:-1].max()


# ---- alloc-test -------------------------------------------------------------------------


def test_alloc_test_has_half_its_sizes_in_8_bytes_a_quarter_in_9_to_16() -> None:
    size = size_of(made("alloc-test"))
    size = size[size <= 1024]  # without the tables
    classes = np.ceil(np.log2(size)).astype(int)
    shares = np.bincount(classes)[3:] / len(size)
    assert shares[:7] == pytest.approx([0.5**k for k in range(1, 8)], rel=0.1)
    assert (size.min(), size.max()) == (8, 1024)


def test_alloc_test_picks_follow_the_80_20_rule_nested_six_times() -> None:
    """0.16% of the slots (0.2^6 + 6 * 0.8 * 0.2^5) get 0.8^6 + 6 * 0.8^5 * 0.2 of the picks."""
    found = made("alloc-test", threads=1, slots=100_000, operations=400_000)
    picked = found.ops["slot"][kind_of(found.ops) != Kind.WRITE]
    busy = np.count_nonzero(picked < 160)
    assert busy / 400_000 == pytest.approx(0.8**6 + 6 * 0.8**5 * 0.2, abs=0.01)


def test_alloc_test_starts_half_full_and_shares_nothing() -> None:
    found = made("alloc-test", slots=20_000, operations=20_000)
    assert share_freed_elsewhere(found) == 0.0
    table, first = ops_by_thread(found)[0][0], ops_by_thread(found)[0][1:]
    assert table["size"] == 10_000 * 16
    filled = int(np.argmax(np.diff(first["slot"].astype(np.int64)) < 0)) + 1
    assert filled == pytest.approx(5000, rel=0.05)
    assert (kind_of(first)[:filled] == Kind.MALLOC).all()


def test_alloc_test_uses_an_object_once_more_before_it_is_freed() -> None:
    first = ops_by_thread(made("alloc-test", slots=2000, operations=2000))[0][:-1]
    freed = np.flatnonzero(kind_of(first) == Kind.FREE)
    used = first[freed - 1]
    assert len(freed) == np.count_nonzero(kind_of(first) == Kind.WRITE) > 0
    assert (used["slot"] == first["slot"][freed]).all()
    assert (kind_of(used) == Kind.WRITE).all()


# ---- glibc-simple -------------------------------------------------------------------------


def test_glibc_simple_runs_beside_a_thread_that_waits_for_its_end() -> None:
    found = made("glibc-simple", sizes=(16,), counts=(2, 3), allocations=6)
    idle, busy = ops_by_thread(found)
    assert kind_of(idle).tolist() == [Kind.MALLOC, Kind.FREE]
    assert idle["size"].tolist() == [3 * 8, 0]
    assert busy["slot"].tolist() == [0, 1, 0, 1] * 3 + [0, 1, 2, 0, 1, 2] * 2
    assert found.threads["build_ops"].tolist() == found.threads["drain_ops"].tolist() == [1, 0]


def test_several_glibc_simple_workers_do_the_same_in_blocks_of_their_own() -> None:
    found = made("glibc-simple", sizes=(16,), counts=(2, 3), allocations=6, threads=3)
    idle, *workers = ops_by_thread(found)
    assert idle["size"].tolist() == [3 * 3 * 8, 0]
    own = [life["slot"] - life["slot"].min() for life in workers]
    assert all(slots.tolist() == own[0].tolist() for slots in own)
    assert len(set(np.concatenate([life["slot"] for life in workers]).tolist())) == 3 * 3
    alone = made("glibc-simple", threads=3, idle_thread=False)
    assert len(alone.threads) == 3


# ---- glibc-thread -------------------------------------------------------------------------


def test_glibc_threads_do_the_same_each_in_places_of_its_own() -> None:
    found = made("glibc-thread", replacements=5000)
    one, two = ops_by_thread(found)
    assert (one["size"] == two["size"]).all()
    assert not set(one["slot"].tolist()) & set(two["slot"].tolist())
    assert share_freed_elsewhere(found) == 0.0


def test_glibc_thread_has_the_published_quantiles() -> None:
    p50, p90, p99 = np.quantile(size_of(made("glibc-thread")), [0.5, 0.9, 0.99])
    assert p50 in (7, 8)
    assert p90 == pytest.approx(40, abs=3)
    assert p99 == pytest.approx(404, rel=0.25)  # of the 8,000 sizes in the cycle, 80 lie above


# ---- False sharing --------------------------------------------------------------------------


def test_cache_scratch_workers_free_what_the_main_thread_allocated() -> None:
    found = made("cache-scratch", iterations=5)
    main, *workers = ops_by_thread(found)
    assert kind_of(main).tolist() == [Kind.MALLOC] * 2
    for worker in workers:
        steps = [Kind.FREE] + [Kind.MALLOC, Kind.WRITE, Kind.FREE] * 5
        assert kind_of(worker).tolist() == steps
        assert worker["size"][2] == 10_000


def test_cache_thrash_workers_share_nothing_but_cache_lines() -> None:
    found = made("cache-thrash", iterations=5)
    assert [len(life) for life in ops_by_thread(found)] == [15, 15]
    assert not (found.ops["kind_flags"] >> 4).any()


# ---- Blow-up ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["blow-up", "blow-up-idle"])
def test_blow_up_never_has_more_than_100_mib_live(name: str) -> None:
    found = made(name)
    assert found.peak_live_bytes == pytest.approx(100 << 20, rel=0.001)
    assert size_of(found).sum() == pytest.approx(4 * found.peak_live_bytes, rel=0.001)


def test_blow_ups_threads_follow_each_other_in_one_lane() -> None:
    found = made("blow-up", live_bytes=100_000)
    assert found.threads["predecessor"].tolist() == [NO_THREAD, 0, 1, 2]


def test_an_idle_thread_waits_for_the_last_to_end() -> None:
    found = made("blow-up-idle", live_bytes=100_000)
    assert found.threads["predecessor"].tolist() == [NO_THREAD] * 4
    lives = ops_by_thread(found)
    for before, after in pairwise(lives):
        last_of_turn = before[: len(lives[0]) - 1][-1]
        assert after[0]["slot"] == last_of_turn["slot"]  # starts when all before is free
        assert after[0]["kind_flags"] >> 4 & WAIT
    for early in lives[:-1]:
        assert early[-1]["slot"] in lives[-1]["slot"][-3:]
        assert early[-1]["kind_flags"] >> 4 & WAIT


# ---- mstress ------------------------------------------------------------------------------------


@st.composite
def histories(draw: st.DrawFn) -> npt.NDArray[np.void]:
    """Events as the family makes them: an allocation always finds its place empty."""
    rows, empty = [], list(range(10, 30))
    for _ in range(draw(st.integers(1, 40))):
        does = draw(st.sampled_from([ALLOCATE, DROP, SWAP]))
        place = empty.pop() if does == ALLOCATE and empty else draw(st.integers(10, 29))
        if does == ALLOCATE and place in empty:
            continue
        rows.append((0, 0, does, place, draw(st.integers(0, 9)), 1))
        empty = [slot for slot in empty if slot != place]
    return np.array(rows or [(0, 0, DROP, 10, 0, 1)], dtype=EVENT)


@given(histories())
def test_what_a_place_holds_is_what_a_walk_over_the_swaps_finds(
    events: npt.NDArray[np.void],
) -> None:
    number = np.cumsum(events["does"] == ALLOCATE) - 1
    held: dict[int, int] = {}
    expected = []
    for event, mine in zip(events, number.tolist(), strict=True):
        place, other = int(event["place"]), int(event["other"])
        expected.append(held.get(place, -1))
        if event["does"] == SWAP:
            held[place], held[other] = held.get(other, -1), held.get(place, -1)
        else:
            held[place] = mine if event["does"] == ALLOCATE else -1
    assert held_before(events, number).tolist() == expected


def test_mstress_allocates_as_many_objects_as_its_scale_says() -> None:
    found = made("mstress", rounds=2, scale=3)
    mallocs = [np.count_nonzero(kind_of(life) == Kind.MALLOC) for life in ops_by_thread(found)]
    assert mallocs == [0, 450 + 2, 900 + 2, 450 + 2, 900 + 2]  # objects, and two arrays
    assert found.threads["predecessor"].tolist() == [NO_THREAD] * 3 + [1, 2]


def test_mstress_sizes_are_words_in_powers_of_two_a_few_of_them_large() -> None:
    size = size_of(made("mstress"))
    arrays = (2500 * 8, 5000 * 8, 5000 * 8, 10_000 * 8)
    assert all(np.count_nonzero(size == array) >= 10 for array in arrays)
    size = size[~np.isin(size, arrays)]
    plain = size[size <= 512]
    assert set(np.unique(plain).tolist()) == {8 << log2 for log2 in range(7)}
    assert np.mean(size > 512) == pytest.approx(0.02, abs=0.003)
    assert size.max() <= 64 * 8 * 10_000
    assert np.count_nonzero(size > 64 * 8 * 1000) > 0


def test_mstress_objects_change_hands() -> None:
    found = made("mstress")
    who = threads_of(found)
    born, died = births_and_deaths(found)
    moved = who[born] != who[died]
    assert 0.005 < moved.mean() < 0.1
    assert (who[died][moved] == 0).any()  # the main thread frees what lies in the table
    assert (who[died][moved] > 0).any()


# ---- rptest -------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["rptest-even", "rptest-linear", "rptest-exponential"])
def test_rptest_hands_every_second_loops_batch_to_the_other_thread(name: str) -> None:
    found = made(name)
    who = threads_of(found)
    born, died = births_and_deaths(found)
    moved = who[born] != who[died]
    own_slots = found.ops["slot"][born] < 2000
    assert (moved == ~own_slots).all()
    assert moved.mean() == pytest.approx(1 / 3, abs=0.03)
    size = size_of(found)
    assert size.max() <= {"even": 1000, "linear": 8000}.get(name.removeprefix("rptest-"), 64_000)


def test_rptest_frees_and_replaces_in_strides() -> None:
    found = made("rptest-even", threads=1, loops=3, places=10, op_count=10)
    slots = found.ops["slot"].astype(np.int64)
    births = slots[kind_of(found.ops) == Kind.MALLOC]
    built = found.part_ops(Part.BUILD)
    assert sorted(births[:built].tolist()) == births[:built].tolist()
    walked = [slot for slot in births[built:].tolist() if slot < 10]
    assert (np.diff(walked) % 10 == 7).all()
    assert live_after_loops(found) == built
    assert found.threads["op_count"].tolist() == [len(found.ops)]


def live_after_loops(found: Trace) -> int:
    ops = found.ops[: len(found.ops) - found.part_ops(Part.DRAIN)]
    return int(np.sum(np.where(kind_of(ops) == Kind.MALLOC, 1, -1)))


def test_a_single_rptest_thread_does_what_each_of_several_does() -> None:
    """It hands its batches to itself, as late as to another."""
    one, two = (made("rptest-even", threads=n, loops=100) for n in (1, 2))
    handed = np.count_nonzero(one.ops["slot"] >= 1000)
    assert handed / len(one.ops) == pytest.approx(
        np.count_nonzero(two.ops["slot"] >= 2000) / len(two.ops), rel=0.05
    )
    assert len(two.ops) == pytest.approx(2 * len(one.ops), rel=0.05)


def test_rptest_batches_are_freed_some_loops_later() -> None:
    """The wait is long enough to be rare: the objects of four loops lie between."""
    found = made("rptest-even")
    who = threads_of(found)
    born, died = births_and_deaths(found)
    first = found.threads["first_op"].astype(np.int64)
    moved = who[born] != who[died]
    ahead = (died - first[who[died]])[moved] - (born - first[who[born]])[moved]
    assert np.median(ahead) > 200


# ---- Scaling ------------------------------------------------------------------------------------

THREADED = [
    path.stem
    for path in sorted(SCENARIOS.glob("*.toml"))
    if "threads" in scenario.load(path).parameters
]


def test_every_scenario_with_threads_has_a_number_of_them_to_sweep() -> None:
    several = {
        path.stem
        for path in SCENARIOS.glob("*.toml")
        if len(scenario.generate(scenario.load(path)).threads) > 1
    }
    assert several == set(THREADED)


@pytest.mark.parametrize("name", THREADED)
@pytest.mark.parametrize("threads", [1, 2, 4, 8])
def test_a_threaded_scenario_has_as_many_workers_as_its_parameter_says(
    name: str, threads: int
) -> None:
    """Who does a share of what is repeated; those of one lane follow each other."""
    small = {"replacements": 300, "operations": 2000, "batch_objects": 20, "iterations": 200,
             "loops": 20, "rounds": 2, "scale": 5, "live_bytes": 200_000, "allocations": 1600,
             "transfers": 20, "slots": 800}  # fmt: skip
    known = scenario.load(SCENARIOS / f"{name}.toml").parameters
    found = made(name, threads=threads, **{k: v for k, v in small.items() if k in known})
    trace.validate(found)
    loads = np.array(lane_loads(found))
    workers = np.count_nonzero(loads > loads.max() / 20)  # a main thread frees what is left
    assert workers == (1 if name == "blow-up" else threads)


# ---- Weaving ------------------------------------------------------------------------------------


def test_a_longer_part_is_woven_in_at_a_higher_pace() -> None:
    parts = [operations(Kind.MALLOC, np.arange(2)), operations(Kind.MALLOC, np.arange(10, 14))]
    ops, thread = weave(parts, [5, 6])
    assert ops["slot"].tolist() == [0, 10, 11, 1, 12, 13]
    assert thread.tolist() == [5, 6, 6, 5, 6, 6]


def test_posts_and_waits_come_in_pairs_in_every_threaded_scenario() -> None:
    for path in sorted(SCENARIOS.glob("*.toml")):
        found = scenario.generate(scenario.load(path))
        if len(found.threads) > 1:
            flags = found.ops["kind_flags"] >> 4
            assert np.count_nonzero(flags & WAIT) == np.count_nonzero(flags & POST)
            trace.validate(found)
