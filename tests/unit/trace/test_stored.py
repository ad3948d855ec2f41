"""Traces as they lie on disk: packed or not, read in pieces, and refused when damaged."""

from __future__ import annotations

import io
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from allocphase import trace
from allocphase.errors import DataError, UsageError
from allocphase.trace import packed
from allocphase.trace.packed import PackedFile, pack
from allocphase.trace.provenance import Provenance, read_provenance, written_provenance
from allocphase.trace.records import Kind, Touch, TraceError
from allocphase.trace.stored import (
    opened_trace,
    packed_copy,
    replayed_digest,
    summary,
    unpacked_copy,
)
from tests.conftest import Needs
from tests.support.traces import Op, batch, sync, write_trace

THREADED: list[Op] = [*batch(40), sync(0), sync(0)]
WHO = [*[0, 1] * 40, 0, 1]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """Of two threads, with everything that a trace may have beside its operations."""
    return write_trace(
        tmp_path / "x.trace",
        THREADED,
        thread=WHO,
        build_ops=len(THREADED),
        threads_end=True,
        gaps_ns=range(len(THREADED)),
        touched=[64 * (kind == Kind.MALLOC) for kind, *_ in THREADED],
        meta=written_provenance(Provenance(origin="made up", command=("some", "program"))),
    )


@pytest.fixture
def small_frames(monkeypatch: pytest.MonkeyPatch) -> None:
    """So that a small trace has many."""
    monkeypatch.setattr(packed, "FRAME_BYTES", 100)


@pytest.mark.usefixtures("small_frames")
def test_a_packed_trace_is_the_same_trace(path: Path, tmp_path: Path) -> None:
    packed_copy(path, tmp_path / "y.trace.zst")
    unpacked_copy(tmp_path / "y.trace.zst", tmp_path / "z.trace")
    assert (tmp_path / "z.trace").read_bytes() == path.read_bytes()
    assert (tmp_path / "y.trace.zst").read_bytes() != path.read_bytes()
    made, found = trace.read(path), trace.read(tmp_path / "y.trace.zst")
    assert (found.ops == made.ops).all()
    assert summary(tmp_path / "y.trace.zst") == summary(path)


def test_a_trace_is_written_packed_under_a_packed_one_s_name(path: Path, tmp_path: Path) -> None:
    made = trace.read(path)
    trace.write(made, tmp_path / "y.trace.zst")
    assert packed.is_packed((tmp_path / "y.trace.zst").read_bytes())
    assert trace.read(tmp_path / "y.trace.zst").digest == made.digest


def test_zstd_unpacks_it(path: Path, tmp_path: Path, needs: Needs) -> None:
    zstd = shutil.which("zstd")
    needs(zstd, "zstd", install="apt-get install zstd")
    packed_copy(path, tmp_path / "y.trace.zst")
    command = [str(zstd), "-dc", str(tmp_path / "y.trace.zst")]
    done = subprocess.run(command, capture_output=True, check=True)
    assert done.stdout == path.read_bytes()


@pytest.mark.usefixtures("small_frames")
@given(
    content=st.binary(max_size=2000),
    steps=st.lists(st.tuples(st.integers(0, 2100), st.integers(0, 500)), max_size=20),
)
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_what_was_packed_is_read_from_anywhere_as_a_file_is(
    content: bytes, steps: list[tuple[int, int]]
) -> None:
    file, plain = io.BytesIO(), io.BytesIO(content)
    pack([content[:700], content[700:]], file)
    found = PackedFile(file)
    assert found.seek(0, io.SEEK_END) == len(content)
    for place, count in steps:
        assert found.seek(place) == plain.seek(place)
        assert found.read(count) == plain.read(count)


@pytest.mark.usefixtures("small_frames")
@given(data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
def test_a_damaged_packed_trace_is_refused_in_one_line_that_names_it(
    path: Path, tmp_path: Path, data: st.DataObject
) -> None:
    damaged = tmp_path / "y.trace.zst"
    packed_copy(path, damaged)
    content = bytearray(damaged.read_bytes())
    if data.draw(st.booleans()):
        content = content[: data.draw(st.integers(0, len(content) - 1))]
    else:
        content[data.draw(st.integers(0, len(content) - 1))] ^= data.draw(st.integers(1, 255))
    damaged.write_bytes(content)
    try:
        trace.read(damaged)
    except UsageError as error:
        assert str(error).startswith(f"{damaged}: ")
        assert "\n" not in str(error)


def test_without_its_table_it_says_what_to_do() -> None:
    file = io.BytesIO()
    pack([b"content"], file)
    with pytest.raises(DataError, match="no seek table: unpack it with zstd -d"):
        PackedFile(io.BytesIO(file.getvalue()[:-1] + b"\0"))


def test_blocks_have_all_operations_of_each_thread_in_order(path: Path) -> None:
    made = trace.read(path)
    with opened_trace(path) as stored:
        blocks = list(stored.blocks(size=7))
    assert (np.concatenate([block.ops for block in blocks]) == made.ops).all()
    assert next(block.first for block in blocks if block.thread == 1) == 41
    for name in ("gaps", "touched"):
        columns = [getattr(block, name) for block in blocks]
        assert np.concatenate(columns).tolist() == getattr(made, name).tolist()


def test_another_touch_makes_another_digest(path: Path, tmp_path: Path) -> None:
    digest = unpacked_copy(path, tmp_path / "y.trace", touch=Touch.PAGES)
    found = trace.read(tmp_path / "y.trace")
    assert found.touch is Touch.PAGES
    assert (
        found.digest
        == digest
        == replayed_digest(path, touch=Touch.PAGES, paced=False)
        != trace.read(path).digest
    )
    assert replayed_digest(path, touch=Touch.NONE, paced=False) == trace.read(path).digest


def test_a_copy_of_a_damaged_trace_is_refused(path: Path, tmp_path: Path) -> None:
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(TraceError, match=r"x\.trace: has digest"):
        unpacked_copy(path, tmp_path / "y.trace")
    assert not (tmp_path / "y.trace").exists()


def test_a_provenance_is_read_as_it_was_written() -> None:
    said = Provenance(
        origin="recorded", command=("a b", "ü"), calls={"malloc": 3}, never_freed=7, duration_ns=10
    )
    assert read_provenance(written_provenance(said)) == said
    assert read_provenance(b"") is None


def test_a_command_line_of_any_length_has_room() -> None:
    said = Provenance(origin="recorded", command=tuple("ü" * 5000 for _ in range(5000)))
    assert len(written_provenance(said)) < 1 << 20


def test_a_name_of_any_length_has_room() -> None:
    said = Provenance(origin="x" * 3_000_000, allocator="y" * 3_000_000)
    assert len(written_provenance(said)) < 1 << 20


def test_notes_beyond_what_a_trace_carries_are_refused() -> None:
    said = Provenance(origin="recorded", notes={"x" * 2_000_000: 1})
    with pytest.raises(TraceError, match=r"its description takes 2,000,\d+ bytes of 1,048,576"):
        written_provenance(said)


@pytest.mark.parametrize("meta", [b"{", b"[]", b"\xff", b'{"origin": 5}', b"[" * 100_000])
def test_a_description_by_others_is_refused(meta: bytes) -> None:
    with pytest.raises(TraceError, match="its description: "):
        read_provenance(meta)
