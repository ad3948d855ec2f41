"""Files that are not files: no reader waits for one or fills its memory, no writer goes through."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest

from allocphase import trace
from allocphase.allocator.shared_object import inspect_object
from allocphase.errors import AllocphaseError, UsageError
from allocphase.files.archive import read_archive
from allocphase.files.documents import read_json, read_toml
from allocphase.files.durable import (
    append_line,
    append_text,
    copy_whole,
    drop_torn_end,
    require_writable,
    write_text,
)
from allocphase.files.elf import loaded_sha256
from allocphase.files.regular import read_regular
from allocphase.machine.kernel_file import read_text
from allocphase.probe.arrays import save_arrays
from tests.support.strange import STRANGE, in_time

Act = Callable[[Path], object]

READERS: dict[str, Act] = {
    "bytes": lambda path: read_regular(path, 1000),
    "bytes of what a person names": lambda path: read_regular(path, 1000, follow=True),
    "JSON": read_json,
    "TOML": read_toml,
    "arrays": lambda path: read_archive(path, known={}, max_bytes=1000),
    "an object": inspect_object,
    "an object's digest": loaded_sha256,
    "a trace": trace.read,
    "a journal's end": drop_torn_end,
}
WRITERS: dict[str, Act] = {
    "a text": lambda path: write_text(path, "new"),
    "arrays": lambda path: save_arrays(path, {"call_ticks": np.zeros(3, dtype="<u4")}),
    "a line": lambda path: append_line(path, b"new"),
    "a paragraph": lambda path: append_text(path, "new"),
    "a check": require_writable,
}


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("reader", READERS)
def test_no_reader_waits_for_what_is_no_file_or_reads_without_end(
    tmp_path: Path, reader: str, kind: str
) -> None:
    path = tmp_path / "some.toml"
    STRANGE[kind](path)
    with in_time(), pytest.raises((AllocphaseError, OSError), match=str(path)):
        READERS[reader](path)


@pytest.mark.parametrize("kind", STRANGE)
@pytest.mark.parametrize("writer", WRITERS)
def test_no_writer_writes_into_what_is_no_file_or_takes_its_place(
    tmp_path: Path, writer: str, kind: str
) -> None:
    path = tmp_path / "target"
    STRANGE[kind](path)
    before = path.lstat()
    with in_time(), pytest.raises(AllocphaseError, match=f"^{path}: "):
        WRITERS[writer](path)
    assert (path.lstat().st_ino, path.lstat().st_mode) == (before.st_ino, before.st_mode)


@pytest.mark.parametrize("writer", WRITERS)
@pytest.mark.parametrize("there", ["a file", "nothing"])
def test_no_writer_writes_through_a_link(tmp_path: Path, writer: str, there: str) -> None:
    other, path = tmp_path / "elsewhere", tmp_path / "target"
    if there == "a file":
        other.write_text("hers")
    path.symlink_to(other)
    with pytest.raises(AllocphaseError, match="is a link, and none is followed here"):
        WRITERS[writer](path)
    assert path.is_symlink()
    assert (other.read_text() if other.exists() else "nothing") in ("hers", "nothing")
    assert sorted(each.name for each in tmp_path.iterdir()) in (
        ["elsewhere", "target"],
        ["target"],
    )


@pytest.mark.parametrize("kind", ["a file", "a link", "pipe", "socket"])
def test_what_lies_under_the_name_beside_is_not_written_through(tmp_path: Path, kind: str) -> None:
    """A kill leaves a part there; a subject could leave a link."""
    other, beside = tmp_path / "elsewhere", tmp_path / "target.partial"
    other.write_text("hers")
    if kind == "a file":
        beside.write_text("left by a kill, and longer")
    elif kind == "a link":
        beside.symlink_to(other)
    else:
        STRANGE[kind](beside)
    with in_time():
        write_text(tmp_path / "target", "new")
    assert (tmp_path / "target").read_text() == "new"
    assert other.read_text() == "hers"
    assert not beside.exists()


def test_a_file_with_another_name_elsewhere_is_replaced_and_not_changed(tmp_path: Path) -> None:
    other, path = tmp_path / "elsewhere", tmp_path / "target"
    other.write_text("hers")
    path.hardlink_to(other)
    write_text(path, "new")
    assert (other.read_text(), path.read_text()) == ("hers", "new")


def test_a_name_of_any_length_that_a_file_may_have_is_written(tmp_path: Path) -> None:
    for name in ("x" * 255, "\N{GREEK SMALL LETTER MU}" * 127):
        write_text(tmp_path / name, "new")
        assert (tmp_path / name).read_text() == "new"


def test_what_a_person_names_may_be_a_link_and_what_allocphase_writes_is_none(
    tmp_path: Path,
) -> None:
    """A scenario or an object may be kept elsewhere; other links are somebody else's."""
    path = tmp_path / "link"
    path.symlink_to(tmp_path / "file")
    (tmp_path / "file").write_text("a = 1")
    assert read_toml(path) == {"a": 1}
    assert loaded_sha256(path) == loaded_sha256(tmp_path / "file")
    copy_whole(path, tmp_path / "copy")
    assert (tmp_path / "copy").read_text() == "a = 1"
    with pytest.raises(UsageError, match="is a link, and none is followed here"):
        read_json(path)


def test_no_more_is_read_than_there_is_room_for(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"12345")
    assert read_regular(path, 5) == b"12345"
    assert read_regular(path, 5, start=2) == b"345"
    with pytest.raises(OSError, match="longer than 4 bytes, the most that is read"):
        read_regular(path, 4)
    with path.open("r+b") as file:
        file.truncate(1 << 40)  # sparse: nothing is written
    for reader in ("JSON", "TOML", "arrays", "an object", "an object's digest"):
        with in_time(), pytest.raises((AllocphaseError, OSError), match="longer than"):
            READERS[reader](path)


def test_the_kernel_s_files_are_read_though_they_claim_to_be_empty() -> None:
    assert Path("/proc/self/stat").stat().st_size == 0
    assert (read_text(Path("/proc/self/stat")) or "").startswith(f"{os.getpid()} ")
    assert read_text(Path("/proc/self/none")) is None


@pytest.mark.parametrize(
    ("target", "reason"),
    [
        ("none/target", "No such file or directory"),
        ("file/target", "Not a directory"),
        ("x" * 300, "File name too long"),
        (".", "Is a directory"),
        ("a\0b", "null byte"),
    ],
)
def test_a_target_that_cannot_be_written_is_found_without_writing_it(
    tmp_path: Path, target: str, reason: str
) -> None:
    (tmp_path / "file").write_text("hers")
    require_writable(tmp_path / "file")
    require_writable(tmp_path / "new")
    with pytest.raises(UsageError, match=f"{target[:100]}.*: cannot be written: .*{reason}"):
        require_writable(tmp_path / target)
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
    assert (tmp_path / "file").read_text() == "hers"
