"""The verify probe: each kind of incorrect allocator is found, and the operation named."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from allocphase.allocator import resolve
from allocphase.driver import Probe
from allocphase.layout import Kind
from tests.support.driving import Driver
from tests.support.plugins import Plugins, plugin
from tests.support.traces import Op, free, malloc, tags, write_trace

OPS: list[Op] = [
    malloc(0, 100),
    malloc(1, 64),
    (Kind.CALLOC, 2, 48, 0, 0),
    (Kind.REALLOC, 0, 300, 0, 0),
    (Kind.ALIGNED_ALLOC, 3, 40, 8, 0),
    malloc(4, 5),
    (Kind.REALLOC, 1, 10, 0, 0),
    malloc(5, 32, tag=1),
    (Kind.FREE_FOREIGN, 5, 0, 0, 2),
    (Kind.WRITE, 3, 3, 0, 0),
    free(5, tag=1),
    free(2),
    free(0),
    free(4),
    free(3),
    free(1),
]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    table = tags((7, 1, 0.0), (7, 2, 0.0))
    return write_trace(tmp_path / "verify.trace", OPS, tag_table=table)


def test_a_correct_allocator_passes_with_its_own_check_called(
    driver: Driver, plugins: Plugins, path: Path
) -> None:
    outcome = driver.measure(Probe.VERIFY, path, plugin(plugins("broken")), check_every=4)
    assert outcome.result["verify"] == {"operations": 16, "own_checks": 5}  # the last at the end
    assert outcome.result["allocator_stats"] == {"checks": 5}
    assert outcome.result["skipped_operations"] == 0


@pytest.mark.parametrize(
    ("fault", "at", "message"),
    [
        (
            "overlap",
            1,
            "block overlaps a live one at operation 1 of thread 0 (malloc, 64 bytes, slot 1)",
        ),
        (
            "misalign",
            1,
            "misaligned block at operation 1 of thread 0 (malloc, 64 bytes, slot 1)",
        ),
        (
            "half-aligned",
            0,
            "misaligned block at operation 4 of thread 0 (aligned_alloc, 40 bytes, slot 3)",
        ),
        (
            "dirty-calloc",
            0,
            "calloc's block is not zero at operation 2 of thread 0 (calloc, 48 bytes, slot 2)",
        ),
        (
            "lost-prefix",
            4,
            "realloc did not keep the content at operation 6 of thread 0"
            " (realloc, 10 bytes, slot 1)",
        ),
        (
            "scribble",
            2,
            "the object's content has changed at operation 6 of thread 0"
            " (realloc, 10 bytes, slot 1)",
        ),
        (
            "small-usable",
            3,
            "usable_size is smaller than what was asked for at operation 3 of thread 0"
            " (realloc, 300 bytes, slot 0)",
        ),
        (
            "check",
            0,
            "the allocator's own check fails: widgets do not add up at operation 15 of thread 0"
            " (free, 0 bytes, slot 1)",
        ),
        (
            "refuses-own",
            0,
            "the block's own domain was refused at operation 10 of thread 0"
            " (free, 0 bytes, slot 5)",
        ),
        (
            "frees-foreign",
            0,
            "freed by a foreign domain at operation 8 of thread 0 (free_foreign, 0 bytes, slot 5)",
        ),
    ],
)
def test_a_fault_is_found_and_its_operation_named(
    driver: Driver, plugins: Plugins, path: Path, fault: str, at: int, message: str
) -> None:
    outcome = driver.run(Probe.VERIFY, path, plugin(plugins("broken"), fault=fault, at=str(at)))
    assert (outcome.status, outcome.message) == ("corrupt", message)


def test_a_failing_check_is_named_at_the_operation_after_which_it_failed(
    driver: Driver, plugins: Plugins, path: Path
) -> None:
    subject = plugin(plugins("broken"), fault="check", at="3")
    outcome = driver.run(Probe.VERIFY, path, subject, check_every=1)
    assert outcome.message.startswith(
        "the allocator's own check fails: widgets do not add up at operation 3 of thread 0"
    )


def test_a_fault_of_one_thread_names_that_thread(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    ops = [malloc(0), malloc(1), (Kind.CALLOC, 2, 30, 0, 0), free(0), free(1), free(2)]
    path = write_trace(tmp_path / "t", ops, thread=[0, 0, 1, 0, 0, 1])
    outcome = driver.run(Probe.VERIFY, path, plugin(plugins("broken"), fault="dirty-calloc"))
    assert outcome.message == (
        "calloc's block is not zero at operation 0 of thread 1 (calloc, 30 bytes, slot 2)"
    )


def test_an_allocator_without_tags_skips_foreign_frees_and_says_how_many(
    driver: Driver, plugins: Plugins, path: Path
) -> None:
    outcome = driver.measure(Probe.VERIFY, path, plugin(plugins("libc")))
    assert outcome.result["skipped_operations"] == 1


@pytest.mark.parametrize("subject", ["calls", "libc", "table"])
def test_what_the_driver_emulates_is_correct(
    driver: Driver, plugins: Plugins, path: Path, subject: str
) -> None:
    driver.measure(Probe.VERIFY, path, plugin(plugins(subject)))


def test_a_preload_of_five_functions_is_not_asked_libc_s_usable_size(
    driver: Driver, plugins: Plugins, path: Path
) -> None:
    driver.measure(Probe.VERIFY, path, replace(plugin(plugins("five")), kind="preload"))


def test_the_null_allocator_is_caught(driver: Driver, tmp_path: Path) -> None:
    path = write_trace(
        tmp_path / "t",
        [op for s in range(400) for op in [malloc(s, 512)]] + [free(s) for s in range(400)],
    )
    outcome = driver.run(Probe.VERIFY, path, resolve("null")[0])
    assert outcome.status == "corrupt"
    assert "overlaps a live one" in outcome.message
