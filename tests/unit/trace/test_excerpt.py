"""The operations before one, in words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from allocphase.trace import excerpt as module
from allocphase.trace.excerpt import excerpt
from allocphase.trace.records import HEADER, OP, THREAD, Kind, TraceError
from allocphase.trace.wording import operation_text
from tests.support.traces import Op, batch, free, malloc, write_trace

OPS: list[Op] = [
    malloc(0, 100),
    (Kind.ALIGNED_ALLOC, 1, 40, 12, 0),
    (Kind.REALLOC, 0, 8, 0, 0),
    (Kind.WRITE, 0, 3, 0, 0),
    free(0),
    malloc(0, 7),
    free(1),
    free(0),
]


@pytest.mark.parametrize("block", [1 << 20, 3, 1])
def test_each_kind_says_what_it_does_to_which_block(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, block: int
) -> None:
    """Whatever is read of the trace at once."""
    monkeypatch.setattr(module, "_BLOCK", block)
    path = write_trace(tmp_path / "t", OPS)
    assert excerpt(path, thread=0, op=7) == [
        "operation 0 of thread 0: malloc, 100 bytes, slot 0",
        "operation 1 of thread 0: aligned_alloc, 40 bytes at a multiple of 4096, slot 1",
        "operation 2 of thread 0: realloc, 8 bytes, slot 0"
        " (100 bytes since operation 0 of thread 0)",
        "operation 3 of thread 0: write, 3 times, slot 0 (8 bytes since operation 2 of thread 0)",
        "operation 4 of thread 0: free, 0 bytes, slot 0 (8 bytes since operation 2 of thread 0)",
        "operation 5 of thread 0: malloc, 7 bytes, slot 0",
        "operation 6 of thread 0: free, 0 bytes, slot 1 (40 bytes since operation 1 of thread 0)",
        "operation 7 of thread 0: free, 0 bytes, slot 0 (7 bytes since operation 5 of thread 0)",
    ]


def test_ten_are_shown_and_the_last_is_the_one_that_was_asked_for(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", batch(20))
    lines = excerpt(path, thread=0, op=25)
    assert [line.split()[1] for line in lines] == [str(op) for op in range(16, 26)]
    assert len(excerpt(path, thread=0, op=0)) == 1


def test_of_several_threads_only_its_own_are_shown_and_a_block_is_from_wherever_it_came(
    tmp_path: Path,
) -> None:
    ops = [malloc(0, 10), malloc(1, 20), malloc(2, 30), free(0), free(2), free(1)]
    path = write_trace(tmp_path / "t", ops, thread=[0, 1, 0, 1, 1, 1])
    assert excerpt(path, thread=1, op=2) == [
        "operation 0 of thread 1: malloc, 20 bytes, slot 1",
        "operation 1 of thread 1: free, 0 bytes, slot 0 (10 bytes since operation 0 of thread 0)",
        "operation 2 of thread 1: free, 0 bytes, slot 2 (30 bytes since operation 1 of thread 0)",
    ]


@pytest.mark.parametrize(("thread", "op"), [(0, 40), (0, 1 << 63), (1, 0), (4095, 0)])
def test_what_the_trace_does_not_have_is_no_line_of_it(
    tmp_path: Path, thread: int, op: int
) -> None:
    path = write_trace(tmp_path / "t", batch(20))
    with pytest.raises(TraceError, match=f"has no operation {op} of thread {thread}"):
        excerpt(path, thread=thread, op=op)


def test_a_trace_that_was_written_over_is_refused(tmp_path: Path) -> None:
    path = write_trace(tmp_path / "t", batch(20))
    content = bytearray(path.read_bytes())
    content[-OP.itemsize :] = b"\xff" * OP.itemsize
    path.write_bytes(content)
    with pytest.raises(TraceError, match="of a kind that does not exist"):
        excerpt(path, thread=0, op=39)
    threads = np.frombuffer(content, THREAD, 1, HEADER.itemsize)
    threads["op_count"] = threads["first_op"] = 1 << 63
    path.write_bytes(content)
    with pytest.raises(TraceError, match="has a thread that lies beyond its operations"):
        excerpt(path, thread=0, op=39)
    path.write_bytes(content[: HEADER.itemsize + 8])
    with pytest.raises(TraceError):
        excerpt(path, thread=0, op=39)


@pytest.mark.parametrize(
    ("kind", "size", "align_log2", "text"),
    [
        (Kind.MALLOC, 1, 0, "malloc, 1 byte, slot 5"),
        (Kind.WRITE, 1, 0, "write, 1 time, slot 5"),
        (Kind.ALIGNED_ALLOC, 2, 4, "aligned_alloc, 2 bytes at a multiple of 16, slot 5"),
    ],
)
def test_an_operation_in_words(kind: Kind, size: int, align_log2: int, text: str) -> None:
    assert operation_text(kind, size, 5, align_log2=align_log2) == text
