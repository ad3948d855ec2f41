"""The memory probe on an allocator whose every page is known."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase import scenario, trace
from allocphase.allocator import Allocator
from allocphase.probe.probe import Probe
from allocphase.probe.result import Faults, Memory
from allocphase.trace.records import Kind, Touch
from tests.support.driving import Driver
from tests.support.plugins import Plugins, plugin
from tests.support.traces import Op, batch, free, malloc, write_trace

PAGE = os.sysconf("SC_PAGE_SIZE")


def test_the_peak_is_what_the_allocator_touched_within_a_percent(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(1000))
    subject = plugin(plugins("pages"), pages="5", touch="1", release="1")
    memory = driver.measure(Probe.MEMORY, path, subject).result.part(Memory)
    assert memory.peak_rss_bytes == pytest.approx(5000 * PAGE, rel=0.01)
    assert memory.peak_mapped_bytes == pytest.approx(5000 * PAGE, rel=0.01)
    assert memory.rss_after_free_bytes < 0.01 * 5000 * PAGE
    assert memory.peak_live_bytes == 1000 * 64


def test_what_free_keeps_is_still_there_afterwards(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(1000))
    subject = plugin(plugins("pages"), pages="5", touch="1")
    memory = driver.measure(Probe.MEMORY, path, subject).result.part(Memory)
    assert memory.rss_after_free_bytes == pytest.approx(5000 * PAGE, rel=0.01)


def test_what_fini_gives_back_is_gone_after_the_teardown_and_the_rest_is_not(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(1000))
    subject = plugin(plugins("pages"), pages="5", touch="1", pool_pages="3000")
    memory = driver.measure(Probe.MEMORY, path, subject).result.part(Memory)
    for what in ("rss", "mapped"):
        assert getattr(memory, f"{what}_after_free_bytes") == pytest.approx(8000 * PAGE, rel=0.01)
        assert getattr(memory, f"{what}_after_teardown_bytes") == pytest.approx(
            5000 * PAGE, rel=0.01
        )


def test_the_process_s_own_malloc_has_no_teardown(
    driver: Driver, installed: Callable[[str], Allocator], tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(1000))
    memory = driver.measure(Probe.MEMORY, path, installed("libc")).result.part(Memory)
    assert memory.rss_after_teardown_bytes is None
    assert memory.mapped_after_teardown_bytes is None


def test_what_is_mapped_and_never_touched_is_mapped_and_not_resident(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(1000))
    memory = driver.measure(Probe.MEMORY, path, plugin(plugins("pages"), pages="5")).result.part(
        Memory
    )
    assert memory.peak_mapped_bytes == pytest.approx(5000 * PAGE, rel=0.01)
    assert memory.peak_rss_bytes < 0.01 * 5000 * PAGE


def test_what_cannot_be_touched_is_not_mapped_and_what_is_read_of_a_file_is_not_resident(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(bytes(5000 * PAGE))
    path = write_trace(tmp_path / "t", batch(1000))
    outside = {"reserve_bytes": str(1 << 32), "file": str(tmp_path / "file")}
    subject = plugin(plugins("pages"), pages="5", touch="1", **outside)
    memory = driver.measure(Probe.MEMORY, path, subject).result.part(Memory)
    assert memory.rss_source == "smaps_rollup"
    assert memory.peak_mapped_bytes == pytest.approx(5000 * PAGE, rel=0.01)
    assert memory.peak_rss_bytes == pytest.approx(5000 * PAGE, rel=0.01)


@pytest.mark.parametrize("pages", [1, 3, 16])
def test_each_fault_belongs_to_the_call_that_took_it(
    driver: Driver, plugins: Plugins, tmp_path: Path, pages: int
) -> None:
    path = write_trace(tmp_path / "t", batch(200), touch=Touch.FIRST)
    subject = plugin(plugins("pages"), pages=str(pages), touch="1", release="1")
    outcome = driver.measure(Probe.FAULTS, path, subject)
    assert outcome.arrays["faults"].tolist() == [(op, pages, 0) for op in range(200)]
    faults = outcome.result.part(Faults)
    assert (faults.call_faults, faults.touch_faults) == (200 * pages, 0)
    warm = [(400 * index + op, pages, 0) for index in range(50) for op in range(200)]
    assert outcome.arrays["warm_faults"].tolist() == warm
    assert (faults.warm_replays, faults.warm_call_faults) == (50, 50 * 200 * pages)
    total = driver.measure(Probe.MEMORY, path, subject).result.part(Memory).page_faults
    assert total == 200 * pages


@pytest.mark.parametrize(
    ("touch", "faults"), [(Touch.NONE, 0), (Touch.FIRST, 1), (Touch.PAGES, 4), (Touch.ALL, 4)]
)
def test_a_fault_of_the_programs_own_touch_is_not_blamed_on_the_call(
    driver: Driver, plugins: Plugins, tmp_path: Path, touch: Touch, faults: int
) -> None:
    path = write_trace(tmp_path / "t", batch(200, 3 * PAGE + 1), touch=touch)
    subject = plugin(plugins("pages"), pages="4")
    outcome = driver.measure(Probe.FAULTS, path, subject)
    expected = [(op, 0, faults) for op in range(200)] if faults else []
    assert outcome.arrays["faults"].tolist() == expected
    assert outcome.result.part(Faults).touch_faults == 200 * faults
    assert outcome.result.part(Faults).call_faults == 0
    total = driver.measure(Probe.MEMORY, path, subject).result.part(Memory).page_faults
    assert total == 200 * faults


def test_checkpoints_follow_the_live_bytes_of_the_trace(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """100, +300, realloc to 500, -100, calloc +50; a write changes nothing."""
    ops = [malloc(0, 100), malloc(1, 300), (Kind.REALLOC, 1, 500, 0, 0), (Kind.WRITE, 0, 9, 0, 0)]
    ops += [free(0), (Kind.CALLOC, 2, 50, 0, 0), free(1), free(2)]
    path = write_trace(tmp_path / "t", ops)
    outcome = driver.measure(
        Probe.FOOTPRINT, path, plugin(plugins("pages"), pages="1", touch="1"), checkpoints=8
    )
    points = outcome.arrays["checkpoints"]
    assert points["op"].tolist() == [0, 1, 2, 3, 4, 5, 6, 7, 8]
    assert points["live_bytes"].tolist() == [0, 100, 400, 600, 600, 500, 550, 50, 0]


def test_the_peak_of_live_bytes_has_a_checkpoint_of_its_own(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Two checkpoints would fall on operations 11 and 22; the peak stands after 7."""
    ops = [op for slot in range(3) for op in (malloc(slot, 8), free(slot))]
    ops += [malloc(3, 4000), free(3)]
    ops += [op for slot in range(4, 11) for op in (malloc(slot, 8), free(slot))]
    path = write_trace(tmp_path / "t", ops)
    subject = plugin(plugins("pages"), pages="1", touch="1", release="1")
    outcome = driver.measure(Probe.FOOTPRINT, path, subject, checkpoints=2)
    points = outcome.arrays["checkpoints"]
    assert points["op"].tolist() == [0, 7, 11, 22]
    assert points["live_bytes"].tolist() == [0, 4000, 8, 0]


def test_threads_that_come_and_go_cost_no_memory_of_their_own(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """Neither their stacks nor what libc allocates for them is the allocator's."""
    path = tmp_path / "t"
    spec = "larson?slots=50&replacements=300&generations=3"
    trace.write(scenario.generate(scenario.resolve(spec)[0]), path)
    subject = plugin(plugins("pages"), pages="1", touch="1", release="1")
    memory = driver.measure(Probe.MEMORY, path, subject).result.part(Memory)
    assert memory.peak_mapped_bytes > 50 * PAGE
    assert memory.mapped_after_free_bytes == 0
    assert memory.mapped_after_teardown_bytes == 0


def test_faults_of_threads_are_exact_and_named_by_thread(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    ops = batch(1000)
    path = write_trace(tmp_path / "t", ops, thread=[slot % 2 for _, slot, *_ in ops])
    subject = plugin(plugins("pages"), pages="5", touch="1", release="1")
    memory = driver.measure(Probe.MEMORY, path, subject).result.part(Memory)
    assert memory.peak_rss_bytes <= 1.02 * 5000 * PAGE
    assert memory.page_faults == 5000
    outcome = driver.measure(Probe.FAULTS, path, subject)
    faults = {op: calls for op, calls, _ in outcome.arrays["faults"].tolist()}
    assert faults == {1000 * thread + op: 5 for op in range(500) for thread in range(2)}


def test_the_live_peak_of_threads_is_that_of_the_generator_s_order_each_time(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """What is live at the only two checkpoints depends on how far the threads are then."""
    ops = batch(400)
    path = write_trace(tmp_path / "t", ops, thread=[slot % 2 for _, slot, *_ in ops])
    subject = plugin(plugins("pages"), pages="1")
    for _ in range(3):
        memory = driver.measure(Probe.MEMORY, path, subject).result.part(Memory)
        assert memory.peak_live_bytes == trace.read(path).peak_live_bytes == 400 * 64
        assert 200 * 64 <= memory.run_peak_live_bytes <= 400 * 64


def growing(blocks: int, *, step: float = 1.1) -> list[Op]:
    """One buffer that grows from 1 MiB to 64 MiB and more, and is freed."""
    sizes = [int((1 << 20) * step**i) for i in range(blocks)]
    return [malloc(0, sizes[0]), *((Kind.REALLOC, 0, size, 0, 0) for size in sizes[1:]), free(0)]


def test_a_realloc_that_copies_has_old_and_new_block_in_its_peak(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """No reading between operations sees it; one that moves page tables has no such peak.

    Of the new block there is as much as was copied: the rest is touched when the old one is gone.
    """
    ops = growing(45)
    last, before = ops[-2][2], ops[-3][2]
    path = write_trace(tmp_path / "t", ops, touch=Touch.ALL)
    copying = plugin(plugins("mover"), way="copy")
    peak = driver.measure(Probe.MEMORY, path, copying).result.part(Memory).peak_rss_bytes
    assert peak == pytest.approx(2 * before, rel=0.05)
    moving = plugin(plugins("mover"), way="remap")
    peak = driver.measure(Probe.MEMORY, path, moving).result.part(Memory).peak_rss_bytes
    assert peak == pytest.approx(last, rel=0.05)


def test_totals_do_not_depend_on_the_number_of_checkpoints(
    driver: Driver, installed: Callable[[str], Allocator], tmp_path: Path
) -> None:
    """What is given back by the clock is given back in the same operations."""
    path = tmp_path / "t"
    trace.write(scenario.generate(scenario.resolve("fleet")[0]), path)
    subject = installed("mimalloc")
    few, many = (
        driver.measure(Probe.MEMORY, path, subject, checkpoints=n, fixed_addresses=1).result.part(
            Memory
        )
        for n in (1, 4000)
    )
    for name in ("page_faults", "peak_rss_bytes", "rss_after_free_bytes"):
        found, expected = getattr(many, name), getattr(few, name)
        # To a few pages: on a busy machine the clock strikes at another operation.
        assert found == pytest.approx(expected, rel=0.01), name


def test_what_a_preload_has_before_main_is_told(
    driver: Driver, installed: Callable[[str], Allocator], tmp_path: Path
) -> None:
    """Debian's tcmalloc has some 4 MB by then, libc nothing; neither is in the growth."""
    path = write_trace(tmp_path / "t", batch(1000))
    base = {
        name: driver.measure(Probe.MEMORY, path, installed(name)).result.part(Memory).base_rss_bytes
        for name in ("libc", "tcmalloc")
    }
    assert base["tcmalloc"] - base["libc"] > 1 << 20


def test_what_was_freed_lazily_is_resident_and_told_apart(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(20, 1 << 20), touch=Touch.ALL)
    lazy = driver.measure(Probe.MEMORY, path, plugin(plugins("mover"), gives="lazily"))
    at_once = driver.measure(Probe.MEMORY, path, plugin(plugins("mover"), gives="at once"))
    assert lazy.result.part(Memory).rss_after_free_bytes == pytest.approx(20 << 20, rel=0.05)
    assert lazy.result.part(Memory).lazily_freed_bytes == pytest.approx(20 << 20, rel=0.05)
    assert at_once.result.part(Memory).rss_after_free_bytes < 1 << 20
    assert at_once.result.part(Memory).lazily_freed_bytes == 0
