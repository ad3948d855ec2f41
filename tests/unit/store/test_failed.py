"""What is shown of the failures that a run has kept, wherever the run comes from."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

from allocphase.errors import DataError
from allocphase.store.failed import kept_failures
from tests.support.runs import process, write_run


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """Of one cell: verify has failed, syscalls twice, memory once, of which nothing is kept."""
    failed = {"status": "crashed", "message": "killed"}
    probes = {3: "verify", 5: "syscalls", 1: "syscalls"}
    processes = [
        process(probe, {}, id=number, kept=True, **failed) for number, probe in probes.items()
    ]
    processes.append(process("memory", {}, id=9, **failed))
    write_run(tmp_path, [(each, {}) for each in processes])
    for number in probes:
        folder = tmp_path / "failed" / str(number)
        folder.mkdir(parents=True)
        (folder / "repeat.txt").write_text(f"text {number}\n", encoding="utf-8")
    return tmp_path


def test_the_first_of_each_probe_is_shown_and_the_others_named(run: Path) -> None:
    found = kept_failures(run)
    assert [(each.text, each.others) for each in found.shown] == [
        ("text 3", ()),
        ("text 1", (f"{run}/failed/5/repeat.txt",)),
    ]
    assert (found.count, found.size_bytes) == (3, 3 * len("text n\n"))


def test_a_run_that_keeps_none_has_nothing_to_show(tmp_path: Path) -> None:
    write_run(tmp_path, [(process("memory", {}, status="crashed", message="killed"), {})])
    found = kept_failures(tmp_path)
    assert (found.shown, found.count, found.size_bytes) == ((), 0, 0)


def test_control_characters_do_not_get_to_the_terminal(run: Path) -> None:
    (run / "failed" / "3" / "repeat.txt").write_text("a\x1b[2Jb\r\n c\n", encoding="utf-8")
    assert kept_failures(run).shown[0].text == "a?[2Jb?\n c"


def test_what_is_no_longer_as_it_was_is_one_error(run: Path) -> None:
    path = run / "failed" / "3" / "repeat.txt"
    path.write_bytes(b"\xff")
    with pytest.raises(DataError, match=r"failed/3/repeat\.txt: 'utf-8'"):
        kept_failures(run)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(DataError, match=r"failed/3/repeat\.txt: is no regular file"):
        kept_failures(run)
    path.unlink()
    path.parent.rmdir()
    path.parent.symlink_to(run / "failed" / "1")
    with pytest.raises(DataError, match="failed/3: is a link"):
        kept_failures(run)


def test_what_was_deleted_is_not_missed(run: Path) -> None:
    shutil.rmtree(run / "failed" / "1")
    found = kept_failures(run)
    assert [each.text for each in found.shown] == ["text 3", "text 5"]
    shutil.rmtree(run / "failed")
    assert kept_failures(run).count == 0
