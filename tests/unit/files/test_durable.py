"""Files that are whole or absent, lines that are there or not, errors that name the path."""

from __future__ import annotations

import errno
import os
import shutil
from pathlib import Path
from typing import BinaryIO

import pytest

from allocphase.errors import AllocphaseError
from allocphase.files.durable import (
    append_line,
    drop_torn_end,
    keep_file,
    keep_tree,
    require_room,
    write_whole,
)


def test_a_file_that_cannot_be_written_to_its_end_is_not_there(tmp_path: Path) -> None:
    def half(file: BinaryIO) -> None:
        file.write(b"half")
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write_whole(tmp_path / "file", half)
    assert list(tmp_path.iterdir()) == []


def test_a_file_that_is_there_already_is_replaced_at_once(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_text("old")

    def new(file: BinaryIO) -> None:
        file.write(b"new")
        file.flush()
        assert path.read_text() == "old"

    write_whole(path, new)
    assert path.read_text() == "new"
    assert list(tmp_path.iterdir()) == [path]


def test_a_full_disk_is_one_error_that_names_the_file(tmp_path: Path) -> None:
    def full(_: BinaryIO) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    path = tmp_path / "file"
    with pytest.raises(AllocphaseError, match=f"^{path}: No space left on device$"):
        write_whole(path, full)


def test_lines_are_appended_in_order(tmp_path: Path) -> None:
    path = tmp_path / "journal"
    for line in (b"one", b"two"):
        append_line(path, line)
    assert path.read_bytes() == b"one\ntwo\n"


def test_a_line_is_written_by_one_call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    written: list[bytes] = []
    write = os.write

    def watched(file: int, content: bytes) -> int:
        written.append(content)
        return write(file, content)

    monkeypatch.setattr(os, "write", watched)
    append_line(tmp_path / "journal", b"x" * 100_000)
    assert written == [b"x" * 100_000 + b"\n"]


@pytest.mark.parametrize("room", [0, 1, 5])
def test_a_line_that_does_not_fit_leaves_the_journal_as_it_was(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, room: int
) -> None:
    path = tmp_path / "journal"
    append_line(path, b"one")
    write, calls = os.write, [room]

    def nearly_full(file: int, content: bytes) -> int:
        if not calls or calls[0] == 0:
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        return write(file, content[: calls.pop()])

    monkeypatch.setattr(os, "write", nearly_full)
    with pytest.raises(AllocphaseError, match=f"^{path}: No space left on device$"):
        append_line(path, b"too long")
    assert path.read_bytes() == b"one\n"


def test_a_short_write_is_gone_on_with(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    write = os.write
    monkeypatch.setattr(os, "write", lambda file, content: write(file, content[:3]))
    append_line(tmp_path / "journal", b"longer than three")
    assert (tmp_path / "journal").read_bytes() == b"longer than three\n"


@pytest.mark.parametrize(
    ("content", "kept"),
    [(b"", b""), (b"torn", b""), (b"one\n", b"one\n"), (b"one\nto", b"one\n"), (b"\n", b"\n")],
)
def test_only_what_follows_the_last_newline_is_dropped(
    tmp_path: Path, content: bytes, kept: bytes
) -> None:
    path = tmp_path / "journal"
    path.write_bytes(content)
    drop_torn_end(path)
    assert path.read_bytes() == kept


def test_a_journal_that_is_not_there_has_no_torn_end(tmp_path: Path) -> None:
    drop_torn_end(tmp_path / "journal")
    assert list(tmp_path.iterdir()) == []


def test_room_that_a_disk_does_not_have_is_one_error_and_takes_none(tmp_path: Path) -> None:
    require_room(tmp_path, 1 << 20)
    with pytest.raises(AllocphaseError, match=f"^{tmp_path}: (No space left|File too large)"):
        require_room(tmp_path, 1 << 60)
    assert list(tmp_path.iterdir()) == []


# ---- A file under a second name ------------------------------------------------------------


def test_a_file_that_is_kept_is_the_same_one_and_outlives_its_first_name(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.write_bytes(b"content")
    keep_file(first, second)
    assert first.samefile(second)
    first.unlink()
    assert second.read_bytes() == b"content"
    assert [path.name for path in tmp_path.iterdir()] == ["second"]


def test_a_folder_is_kept_with_its_links_and_without_what_waits_for_ever(tmp_path: Path) -> None:
    source = tmp_path / "source"
    (source / "in" / "empty").mkdir(parents=True)
    (source / "in" / "file").write_bytes(b"content")
    (source / "link").symlink_to("in")
    os.mkfifo(source / "pipe")
    keep_tree(source, tmp_path / "kept")
    shutil.rmtree(source)
    kept = tmp_path / "kept"
    found = sorted(str(path.relative_to(kept)) for path in kept.rglob("*"))
    assert found == ["in", "in/empty", "in/file", "link"]
    assert (kept / "in" / "file").read_bytes() == b"content"
    assert str((kept / "link").readlink()) == "in"


def test_where_there_are_no_second_names_it_is_copied(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def none(*_: object, **__: object) -> None:
        raise OSError(errno.EPERM, "Operation not permitted")

    monkeypatch.setattr(os, "link", none)
    (tmp_path / "first").write_bytes(b"content")
    keep_file(tmp_path / "first", tmp_path / "second")
    assert (tmp_path / "second").read_bytes() == b"content"
    assert not (tmp_path / "first").samefile(tmp_path / "second")


def test_a_link_is_not_kept_and_nothing_is_kept_in_the_place_of_one(tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"content")
    (tmp_path / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere").write_bytes(b"secret")
    with pytest.raises(AllocphaseError, match="link: is a link"):
        keep_file(tmp_path / "link", tmp_path / "copy")
    with pytest.raises(AllocphaseError, match="link: is a link"):
        keep_file(tmp_path / "file", tmp_path / "link")
    assert (tmp_path / "elsewhere").read_bytes() == b"secret"
    assert not (tmp_path / "copy").exists()
