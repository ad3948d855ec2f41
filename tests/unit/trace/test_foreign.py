"""Traces of other tools: what is in them, what they got wrong, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pytest

from allocphase import trace
from allocphase.errors import UsageError
from allocphase.recorder.imported import import_trace
from allocphase.trace.foreign import FORMATS
from allocphase.trace.provenance import Provenance, read_provenance
from allocphase.trace.records import Kind, Part, Trace, gaps_ns, kind_of
from tests.support.foreign import LOGALLOC, MEMORY_REPLAY, MUNGED, REP, SAMPLES, workload


def imported(folder: Path, content: bytes) -> tuple[Trace, Provenance]:
    (folder / "x").write_bytes(content)
    list(import_trace(folder / "x", folder / "x.trace"))
    found = trace.read(folder / "x.trace")
    said = read_provenance(found.meta)
    assert said is not None
    return found, said


def calls_of(made: Trace, thread: int = 0) -> list[tuple[str, int]]:
    first = int(made.threads["first_op"][thread])
    ops = made.ops[first : first + int(made.threads["op_count"][thread])]
    return [
        (Kind(kind).name.lower(), int(size))
        for kind, size in zip(kind_of(ops), ops["size"], strict=True)
    ]


def test_a_rep_of_malloclab(tmp_path: Path) -> None:
    made, said = imported(tmp_path, REP)
    assert calls_of(made) == [
        *(("malloc", 512), ("malloc", 128), ("realloc", 640), ("malloc", 128), ("free", 0)),
        *(("realloc", 768), ("free", 0), ("free", 0)),
    ]
    assert said.origin == "imported from malloclab's .rep, x"
    assert said.calls == {"malloc": 3, "realloc": 2, "free": 3}


def test_a_log_of_firefox_is_that_of_its_first_process(tmp_path: Path) -> None:
    made, said = imported(tmp_path, LOGALLOC)
    assert calls_of(made, 0) == [("malloc", 32), ("realloc", 64), ("aligned_alloc", 240)]
    assert calls_of(made, 1) == [("calloc", 296), ("free", 0)]
    assert calls_of(made, 2) == [("free", 0), ("free", 0)]
    assert made.part_ops(Part.DRAIN) == said.never_freed == 2
    assert said.threads == 2
    assert said.notes == {"lines of other processes, left out": 1, "frees of NULL": 1}


def test_a_log_that_was_munged_is_read_too(tmp_path: Path) -> None:
    made, _ = imported(tmp_path, MUNGED)
    assert calls_of(made) == [
        *(("malloc", 32), ("realloc", 64), ("aligned_alloc", 10), ("free", 0), ("free", 0)),
    ]


def test_android_s_times_are_gaps(tmp_path: Path) -> None:
    made, said = imported(tmp_path, MEMORY_REPLAY)
    assert calls_of(made, 0) == [("malloc", 16), ("aligned_alloc", 89), ("realloc", 80)]
    assert calls_of(made, 1) == [("calloc", 1500), ("free", 0)]
    assert made.gaps is not None
    assert gaps_ns(made.gaps).tolist() == [0, 1000, 100, 0, 2000, 0, 0]
    assert said.notes == {"frees of blocks never seen, left out": 1}


def test_a_workload_of_glibc_has_the_order_of_its_pairs(tmp_path: Path) -> None:
    made, _ = imported(tmp_path, workload())
    assert calls_of(made, 0) == [("malloc", 1000), ("free", 0), ("realloc", 3000)]
    assert calls_of(made, 1) == [("aligned_alloc", 300), ("calloc", 40)]


def test_a_block_that_is_allocated_while_it_lives_is_two(tmp_path: Path) -> None:
    """Its free was logged too late: it is not known which block that is of."""
    text = b"1: malloc 0x10 8\n2: malloc 0x10 16\n1: free 0x10\n"
    made, said = imported(tmp_path, text)
    assert made.op_counts["malloc"] == made.op_counts["free"] == 2
    assert said.notes == {"blocks allocated while they lived: the older one is freed at the end": 1}


@pytest.mark.parametrize(
    ("content", "reason"),
    [
        (b"1\n2\n3\n4\nb 5 6\n", "line 5: 'b 5 6': a request is written a ID BYTES"),
        (b"1\n2\n3\n4\na 5 -6\n", "line 5: '-6' is no number"),
        (b"1\n2\n3\n4\n", "has no call that can be replayed"),
        (b"1\n2\n3\n4\na 0 4294967296\n", "line 5: a block of 4,294,967,296 bytes: a trace has"),
        (b"1 1 malloc(32)=#1\n1 1 maloc(3)=#2\n", "line 2: function 'maloc' does not exist"),
        (b"1 1 malloc(32)=#1\n1 1 free(1)\n", "line 2: '1' is no block"),
        (b"1 1 malloc(32)=#1\nsomething\n", "line 2: 'something': it is written PID TID"),
        (b"1 1 memalign(48,32)=#1\n", "line 1: an alignment of 48: a trace has powers of two"),
        (b"1: malloc 0x10 8 5\n", "line 1: malloc: has 3 words behind it, not 2 and times"),
        (b"1: malloc 0x10\n", "line 1: malloc: has 1 words behind it"),
        (workload()[:-1], "ends in the middle"),
        (bytes([8, 1, 11, 5, 1, 7, 1, 1]), "waits for ever"),
        (bytes([8, 1, 11, 5, 1, 77]), "byte 5: code 77 is not known"),
        (b"\x7fELF", "is of no format that is known: an event file of `allocphase record`"),
        (b"", "is of no format that is known"),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(
    tmp_path: Path, content: bytes, reason: str
) -> None:
    with pytest.raises(UsageError) as caught:
        imported(tmp_path, content)
    assert str(caught.value).startswith(f"{tmp_path / 'x'}: ")
    assert reason in str(caught.value)
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "x.trace").exists()


@pytest.mark.parametrize("name", SAMPLES)
def test_each_sample_is_of_one_format(name: str, tmp_path: Path) -> None:
    assert sum(one.begins(SAMPLES[name][:256]) for one in FORMATS) == 1
    imported(tmp_path, SAMPLES[name])
