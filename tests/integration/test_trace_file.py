"""The driver and trace files that are not what they should be: refused in one line, by name."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocphase.allocator import resolve
from allocphase.errors import AllocphaseError
from allocphase.probe.probe import TRACE_PROBES, Probe
from allocphase.trace.records import HEADER, OP, TAG, THREAD, Kind, Touch
from tests.support.driving import Driver
from tests.support.plugins import Plugins
from tests.support.strange import STRANGE
from tests.support.traces import Op, batch, free, malloc, tags, write_trace

# Tables of a trace file: (table, row, field, value).
Edit = tuple[str, int, str, int]

ALONE: list[Op] = [malloc(0), (Kind.REALLOC, 0, 70, 0, 0), malloc(1, 8), free(1), free(0)]
BROKEN_ALONE: dict[str, list[Edit]] = {
    "not a trace file": [("head", 0, "magic", 5)],
    "a trace of another version": [("head", 0, "version", 4)],
    "header has the wrong length": [("head", 0, "header_bytes", 64)],
    "holds no operation": [("head", 0, "op_count", 0)],
    "bad thread count": [("head", 0, "thread_count", 2**31)],
    "bad tag count": [("head", 0, "tag_count", 0)],
    "bad slot count": [("head", 0, "slot_count", 2**29)],
    "unknown kind of touch": [("head", 0, "touch", 5)],
    "touches what was recorded, and nothing was": [("head", 0, "touch", 4)],
    "is paced, and has no recorded gaps": [("head", 0, "paced", 1)],
    "parts are more than its operations": [("threads", 0, "build_ops", 99)],
    "does not end with the slots that it begins with": [("threads", 0, "drain_ops", 1)],
    "has threads_end without threads": [("head", 0, "threads_end", 1)],
    "too long a description": [("head", 0, "meta_bytes", 2**20 + 1)],
    "peak_live_op is no operation": [("head", 0, "peak_live_op", 5)],
    "a section lies outside": [("head", 0, "op_offset", 2**63)],
    "threads do not follow each other": [("threads", 0, "first_op", 1)],
    "a thread leaves the operations": [("threads", 0, "op_count", 99)],
    "operations belong to no thread": [("threads", 0, "op_count", 4)],
    "predecessor does not come before": [("threads", 0, "predecessor", 0)],
    "a thread has no such lane": [("threads", 0, "lane", 1)],
    "names a slot that is not there": [("ops", 2, "slot", 2)],
    "names a tag that is not there": [("ops", 2, "tag", 2)],
    "an operation of unknown kind": [("ops", 2, "kind_flags", 9)],
    "an alignment outside": [("ops", 2, "kind_flags", 3), ("ops", 2, "align_log2", 22)],
    "an alignment on an operation": [("ops", 2, "align_log2", 4)],
    "not numbered in order": [("ops", 1, "epoch", 2)],
    "into a slot that is in use": [("ops", 1, "kind_flags", Kind.MALLOC)],
    "an operation on an empty slot": [
        ("ops", 2, "kind_flags", Kind.FREE),
        ("ops", 2, "size", 0),
    ],
    "a free with a size": [("ops", 4, "size", 1)],
    "a realloc to nothing": [("ops", 1, "size", 0)],
    "a sync with a size or tag": [("ops", 1, "kind_flags", Kind.SYNC)],
    "a sync of a slot that is in use": [
        ("ops", 1, "kind_flags", Kind.SYNC),
        ("ops", 1, "size", 0),
    ],
    # Of the header's own bytes: 3 of the first operation's object, and 192 of the second's.
    "touches more than its object": [("head", 0, "touched_offset", 8)],
    "a write of a word to a smaller": [
        ("ops", 0, "size", 7),
        ("ops", 1, "kind_flags", Kind.WRITE),
    ],
    "the first tag is not the untagged": [("tags", 0, "domain", 1)],
    "hint is no frequency": [("tags", 1, "hint_hz", -1)],
    "another tag than its object": [("ops", 1, "tag", 1)],
    "a foreign free from the object's own": [
        ("ops", 1, "kind_flags", Kind.FREE_FOREIGN),
        ("ops", 1, "size", 0),
    ],
    "a realloc of an aligned": [("ops", 0, "kind_flags", 3), ("ops", 0, "align_log2", 4)],
    "an object is never freed": [
        ("ops", 4, "kind_flags", Kind.WRITE),
        ("threads", 0, "build_ops", 5),
    ],
}

# Thread 0: malloc of slot 0, free of slot 1. Thread 1: malloc of slot 1, free of slot 0.
TOGETHER = [malloc(0), malloc(1), free(0), free(1)]
THREADS = [0, 1, 1, 0]
WAITING_FREE, POSTING_MALLOC = Kind.FREE | 1 << 4, Kind.MALLOC | 2 << 4
BROKEN_TOGETHER: dict[str, list[Edit]] = {
    "hand-over flags are wrong": [("ops", 0, "kind_flags", Kind.MALLOC)],
    "not numbered in order": [("ops", 1, "kind_flags", Kind.FREE)],
    "waits for a slot for ever": [
        *(("ops", row, "kind_flags", WAITING_FREE) for row in (0, 2)),
        *(("ops", row, "size", 0) for row in (0, 2)),
        *(("ops", row, "kind_flags", POSTING_MALLOC) for row in (1, 3)),
        *(("ops", row, "slot", slot) for row, slot in enumerate((1, 0, 0, 1))),
        *(("ops", row, "epoch", epoch) for row, epoch in enumerate((1, 0, 1, 0))),
    ],
}


def edit(path: Path, edits: list[Edit]) -> None:
    content = bytearray(path.read_bytes())
    head: Any = np.frombuffer(content, HEADER, 1)
    tables = {
        "head": head,
        "threads": np.frombuffer(content, THREAD, int(head["thread_count"][0]), HEADER.itemsize),
        "ops": np.frombuffer(content, OP, int(head["op_count"][0]), int(head["op_offset"][0])),
        "tags": np.frombuffer(content, TAG, int(head["tag_count"][0]), int(head["tag_offset"][0])),
    }
    for table, row, field, value in edits:
        tables[table][field][row] = value
    path.write_bytes(content)


@pytest.mark.parametrize("words", BROKEN_ALONE)
def test_each_broken_invariant_is_refused_by_name(
    driver: Driver, tmp_path: Path, words: str
) -> None:
    path = write_trace(tmp_path / "t", ALONE, tag_table=tags((1, 1, 0.5)))
    driver.measure(Probe.VERIFY, path, resolve("libc")[0])
    edit(path, BROKEN_ALONE[words])
    with pytest.raises(AllocphaseError, match=words):
        driver.run(Probe.VERIFY, path, resolve("libc")[0])


@pytest.mark.parametrize("words", BROKEN_TOGETHER)
def test_each_broken_hand_over_is_refused_by_name(
    driver: Driver, tmp_path: Path, words: str
) -> None:
    path = write_trace(tmp_path / "t", TOGETHER, thread=THREADS)
    driver.measure(Probe.VERIFY, path, resolve("libc")[0])
    edit(path, BROKEN_TOGETHER[words])
    with pytest.raises(AllocphaseError, match=words):
        driver.run(Probe.VERIFY, path, resolve("libc")[0])


def mixed_ops() -> list[Op]:
    """Every kind but writes, whose size is a repetition that a flipped bit makes endless."""
    ops = [malloc(0, 24), (Kind.CALLOC, 1, 100, 0, 0), (Kind.ALIGNED_ALLOC, 2, 50, 6, 0)]
    ops += [(Kind.REALLOC, 0, 400, 0, 0), malloc(3, 4096), free(1), malloc(1, 8), free(3)]
    return ops + [free(slot) for slot in (2, 0, 1)]


@given(
    flips=st.lists(st.tuples(st.integers(0, 10_000), st.integers(0, 7)), min_size=1, max_size=4),
    probe=st.sampled_from(list(TRACE_PROBES)),
    threaded=st.booleans(),
)
@settings(
    max_examples=120,
    deadline=None,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
def test_a_damaged_trace_is_refused_or_replayed_but_never_crashes_the_driver(
    driver: Driver,
    plugins: Plugins,
    tmp_path: Path,
    flips: list[tuple[int, int]],
    probe: Probe,
    threaded: bool,
) -> None:
    ops = mixed_ops()
    thread = [i % 2 for i in range(len(ops))] if threaded else None
    path = tmp_path / "t"
    write_trace(path, ops, touch=Touch.FIRST, thread=thread, build_ops=3, drain_ops=3)
    content = bytearray(path.read_bytes())
    for place, bit in flips:
        content[place % len(content)] ^= 1 << bit
    path.write_bytes(content)
    arguments = ["--trace", str(path), "--probe", probe.value, "--plugin", str(plugins("broken"))]
    arguments += ["--pass-ns", "1", "--passes", "1"]
    done = driver.bare(arguments, timeout_s=10)
    assert done.returncode in (0, 2), done.stderr
    if done.returncode == 2:
        assert done.stderr.startswith(f"allocphase-driver: {path}: ")
        assert done.stderr.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "words"),
    [
        (b"", "is no regular file, or empty"),
        (b"short", "shorter than a trace header"),
        (b"x" * 300, "not a trace file"),
    ],
)
def test_a_file_that_is_no_trace_is_refused_in_one_line(
    driver: Driver, tmp_path: Path, content: bytes, words: str
) -> None:
    path = tmp_path / "no.trace"
    path.write_bytes(content)
    with pytest.raises(AllocphaseError) as caught:
        driver.run(Probe.VERIFY, path, resolve("libc")[0])
    assert f"{path}: {words}" in str(caught.value)


@pytest.mark.parametrize("kind", STRANGE)
def test_a_trace_that_is_no_file_is_refused_at_once(
    driver: Driver, plugins: Plugins, tmp_path: Path, kind: str
) -> None:
    """A subject may have put a pipe in its place, for the processes after it to wait for."""
    path = tmp_path / "no.trace"
    STRANGE[kind](path)
    arguments = ["--trace", str(path), "--probe", "verify", "--plugin", str(plugins("calls"))]
    done = driver.bare(arguments, timeout_s=10)
    assert done.returncode not in (0, 1)
    words = done.stderr.removeprefix(f"allocphase-driver: {path}: ")
    assert words.startswith(("cannot be opened", "is no regular file"))


def test_a_truncated_trace_is_refused(driver: Driver, tmp_path: Path) -> None:
    small = write_trace(tmp_path / "small.trace", batch(10))
    small.write_bytes(small.read_bytes()[:-16])
    with pytest.raises(AllocphaseError, match="a section lies outside the file"):
        driver.run(Probe.VERIFY, small, resolve("libc")[0])
