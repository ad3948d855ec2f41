"""The verify probe: each kind of incorrect allocator is found, and the operation named."""

from __future__ import annotations

import functools
import os
from dataclasses import replace
from fnmatch import fnmatchcase
from pathlib import Path

import pytest

from allocphase import scenario, trace
from allocphase.allocator import resolve
from allocphase.probe.probe import Probe
from allocphase.probe.result import Verify
from allocphase.process.driver import Outcome
from allocphase.trace.records import Kind
from tests.support.driving import Driver
from tests.support.plugins import ROOT, Plugins, plugin
from tests.support.traces import Op, batch, free, malloc, tags, write_trace

FAULTY = ROOT / "tests" / "faulty"

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
    verify = outcome.result.part(Verify)
    checks = 48 // 4 + 3 + 1  # in each replay, after each of them, and at the end
    assert (verify.operations, verify.replays, verify.own_checks) == (48, 3, checks)
    assert outcome.result.allocator_stats == {"checks": checks}
    assert outcome.result.skipped_operations == 0


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
    assert outcome.result.skipped_operations == 1


@pytest.mark.parametrize("subject", ["calls", "libc", "table"])
def test_what_the_driver_emulates_is_correct(
    driver: Driver, plugins: Plugins, path: Path, subject: str
) -> None:
    driver.measure(Probe.VERIFY, path, plugin(plugins(subject)))


# ---- What no operation of the trace repaints ------------------------------------------------


def test_damage_is_seen_at_a_write_that_only_adds_to_the_first_word(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    ops = [malloc(0), malloc(1), (Kind.WRITE, 1, 3, 0, 0), (Kind.WRITE, 0, 3, 0, 0)]
    path = write_trace(tmp_path / "t", [*ops, free(0), free(1)])
    driver.measure(Probe.VERIFY, path, plugin(plugins("subtle", folder=FAULTY)))
    subject = plugin(plugins("subtle", folder=FAULTY), fault="previous-object")
    assert driver.run(Probe.VERIFY, path, subject).message == (
        "the object's content has changed at operation 3 of thread 0 (write, 3 times, slot 0)"
    )


def test_a_refused_free_must_leave_the_object_as_it_was(
    driver: Driver, plugins: Plugins, path: Path
) -> None:
    subject = plugin(plugins("subtle", folder=FAULTY), fault="foreign-destroys")
    assert driver.run(Probe.VERIFY, path, subject).message == (
        "the object's content has changed at operation 8 of thread 0"
        " (free_foreign, 0 bytes, slot 5)"
    )


# ---- Replays --------------------------------------------------------------------------------


def test_a_fault_that_comes_with_emptiness_is_named_with_its_replay(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(3))
    subject = plugin(plugins("subtle", folder=FAULTY), fault="second-replay")
    assert driver.run(Probe.VERIFY, path, subject).message == (
        "block overlaps a live one at operation 1 of thread 0 (malloc, 64 bytes, slot 1)"
        " in replay 2"
    )


def test_a_crash_is_named_with_its_replay(driver: Driver, plugins: Plugins, tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", batch(2))
    subject = plugin(plugins("crash", folder=FAULTY), fault="malloc")
    assert driver.run(Probe.VERIFY, path, subject).message == (
        "killed by SIGSEGV at operation 0 of thread 0 (malloc, 64 bytes, slot 0) in replay 2."
    )


@pytest.mark.parametrize(("allocations", "replays"), [(499_999, 3), (500_000, 2)])
def test_a_long_trace_is_replayed_twice_and_others_three_times(
    driver: Driver, tmp_path: Path, allocations: int, replays: int
) -> None:
    found = scenario.resolve(f"phase-report?allocations={allocations}")[0]
    trace.write(scenario.generate(found), tmp_path / "t")
    verify = driver.measure(Probe.VERIFY, tmp_path / "t", resolve("libc")[0]).result.part(Verify)
    assert verify.replays == replays
    assert verify.operations == replays * 2 * allocations


def test_threads_are_replayed_as_often(driver: Driver, plugins: Plugins, tmp_path: Path) -> None:
    ops = [malloc(0), malloc(1), free(0), free(1)]
    path = write_trace(tmp_path / "t", ops, thread=[0, 1, 1, 0])
    outcome = driver.measure(Probe.VERIFY, path, plugin(plugins("broken"), fault="none"))
    assert outcome.result.part(Verify).operations == 3 * 4
    subject = plugin(plugins("broken"), fault="overlap", at="3")
    assert driver.run(Probe.VERIFY, path, subject).message.endswith(" in replay 2")


# ---- The calls that no trace makes ----------------------------------------------------------


def conformance_calls(outcome: Outcome) -> int:
    assert outcome.result.part(Verify).conformance == ()
    calls: int = outcome.result.part(Verify).conformance_calls
    return calls


def test_what_an_allocator_lacks_is_not_asked_of_it(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    """libc has all but tags; `table` has malloc and free, and no threads."""
    path = write_trace(tmp_path / "t", batch(3))
    libc = conformance_calls(driver.measure(Probe.VERIFY, path, resolve("libc")[0]))
    least = conformance_calls(driver.measure(Probe.VERIFY, path, plugin(plugins("table"))))
    again = conformance_calls(driver.measure(Probe.VERIFY, path, plugin(plugins("table"))))
    assert 50 < least == again < 200
    assert libc > 1000


def test_an_allocator_behind_a_lock_is_asked_about_threads(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    alone = write_trace(tmp_path / "alone", batch(2))
    threads = write_trace(tmp_path / "threads", batch(2), thread=[0, 1, 0, 1])
    without, with_threads = (
        conformance_calls(driver.measure(Probe.VERIFY, path, plugin(plugins("table"))))
        for path in (alone, threads)
    )
    assert with_threads > without + 100


@pytest.mark.parametrize(
    ("op", "status"), [(malloc(1), "ok"), ((Kind.ALIGNED_ALLOC, 1, 64, 5, 0), "corrupt")]
)
def test_a_finding_is_the_cell_s_status_only_where_the_trace_uses_the_function(
    driver: Driver, plugins: Plugins, tmp_path: Path, op: Op, status: str
) -> None:
    path = write_trace(tmp_path / "t", [malloc(0), op, free(0), free(1)])
    subject = plugin(plugins("subtle", folder=FAULTY), fault="aligned-page")
    outcome = driver.run(Probe.VERIFY, path, subject)
    assert outcome.status == status
    if status == "ok":
        found = ["misaligned block (aligned_alloc, 4096 bytes)"]
        assert outcome.result.part(Verify).conformance == tuple(found)
    else:
        assert outcome.message == (
            "misaligned block in the conformance calls (aligned_alloc, 4096 bytes)"
        )


def test_the_allocator_s_own_check_is_made_after_these_calls_too(
    driver: Driver, plugins: Plugins, path: Path
) -> None:
    subject = plugin(plugins("broken"), fault="check", at=str(3 * 8))  # what the replays allocate
    outcome = driver.run(Probe.VERIFY, path, subject)
    assert (outcome.status, outcome.message) == (
        "corrupt",
        "the allocator's own check fails: widgets do not add up after the conformance calls",
    )


def test_a_preload_of_five_functions_is_not_asked_libc_s_usable_size(
    driver: Driver, plugins: Plugins, path: Path
) -> None:
    subject = replace(plugin(plugins("five")), kind="preload")
    assert conformance_calls(driver.measure(Probe.VERIFY, path, subject)) > 1000


@pytest.mark.parametrize("oddity", ["none", "null-empty", "never-reuses", "bounded"])
def test_what_is_odd_and_right_passes(
    driver: Driver, plugins: Plugins, path: Path, oddity: str
) -> None:
    subject = plugin(plugins("subtle", folder=FAULTY), fault=oddity)
    assert conformance_calls(driver.measure(Probe.VERIFY, path, subject)) > 200


def test_the_null_allocator_is_caught(driver: Driver, tmp_path: Path) -> None:
    path = write_trace(
        tmp_path / "t",
        [op for s in range(400) for op in [malloc(s, 512)]] + [free(s) for s in range(400)],
    )
    outcome = driver.run(Probe.VERIFY, path, resolve("null")[0])
    assert outcome.status == "corrupt"
    assert "overlaps a live one" in outcome.message


# ---- A look at everything, every so many operations --------------------------------------


@pytest.mark.parametrize(
    ("every", "message"),
    [
        (
            0,
            "the object's content has changed at operation 20 of thread 0 (free, 0 bytes, slot 0)",
        ),
        (
            1,
            "the live object in slot 0 has changed at byte 0 of 64, seen after operation 1"
            " of thread 0 (malloc, 64 bytes, slot 1)",
        ),
        (
            8,
            "the live object in slot * has changed at byte 0 of 64, seen within 8 operations, after"
            " operation 7 of thread 0 (malloc, 64 bytes, slot 7)",
        ),
    ],
)
def test_damage_is_found_at_the_operation_that_does_it_where_everything_is_looked_at(
    driver: Driver, plugins: Plugins, tmp_path: Path, every: int, message: str
) -> None:
    path = write_trace(tmp_path / "t", batch(20))
    subject = plugin(plugins("subtle", folder=FAULTY), fault="previous-object")
    run = functools.partial(driver.run, Probe.VERIFY, path, subject)
    outcome = run(check_every=every) if every else run()
    assert outcome.status == "corrupt"
    assert fnmatchcase(outcome.message, message), outcome.message


def test_damage_in_a_later_replay_is_found_there_and_the_byte_is_told(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    path = write_trace(tmp_path / "t", batch(10, 100))
    subject = plugin(plugins("neighbour", folder=FAULTY), at="13")
    assert driver.run(Probe.VERIFY, path, subject, check_every=1).message == (
        "the live object in slot 2 has changed at byte 99 of 100, seen after operation 3"
        " of thread 0 (malloc, 100 bytes, slot 3) in replay 2"
    )
    assert driver.run(Probe.VERIFY, path, subject).message == (
        "the object's content has changed at operation 12 of thread 0 (free, 0 bytes, slot 2)"
        " in replay 2"
    )


def test_a_look_at_everything_finds_nothing_wrong_with_what_other_threads_write(
    driver: Driver, plugins: Plugins, tmp_path: Path
) -> None:
    ops: list[Op] = []
    for slot in range(60):
        ops += [malloc(slot, 200), (Kind.REALLOC, slot, 300, 0, 0)]
        ops += [(Kind.WRITE, slot, 100_000, 0, 0)] * 5
    ops += [free(slot) for slot in range(60)]
    path = write_trace(tmp_path / "t", ops, thread=[slot % 3 for _, slot, *_ in ops])
    cpus = sorted(os.sched_getaffinity(0))
    subject = plugin(plugins("libc"))
    verify = driver.measure(Probe.VERIFY, path, subject, cpus=cpus, check_every=1).result.verify
    assert verify is not None
    assert verify.operations == 3 * len(ops)
