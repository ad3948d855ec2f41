"""A folder goes with all that was put into it."""

from __future__ import annotations

import os
from pathlib import Path

from allocphase.files.removal import passing_folder, remove_tree


def test_a_folder_goes_with_files_links_pipes_and_folders(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    (kept / "file").write_text("x")
    with passing_folder(beside=tmp_path) as folder:
        (folder / "a" / "b").mkdir(parents=True)
        (folder / "a" / "b" / "file").write_text("x")
        (folder / "a" / "file").write_text("x")
        os.mkfifo(folder / "pipe")
        (folder / "link").symlink_to(kept)
        (folder / "a" / "link").symlink_to(kept)
        (folder / "a" / "b").chmod(0)
        (folder / "a").chmod(0o500)
    assert list(tmp_path.iterdir()) == [kept]
    assert (kept / "file").read_text() == "x"


def test_no_depth_is_too_deep(tmp_path: Path) -> None:
    """Beyond what a recursion or a path can reach."""
    root = tmp_path / "root"
    root.mkdir()
    here = os.open(root, os.O_RDONLY)
    for _ in range(3000):
        os.mkdir("deep", dir_fd=here)
        below = os.open("deep", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    remove_tree(root)
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_gone_already_is_no_error(tmp_path: Path) -> None:
    with passing_folder(beside=tmp_path) as folder:
        folder.rmdir()
    assert list(tmp_path.iterdir()) == []
