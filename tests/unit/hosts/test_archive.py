"""A host's results come back as they were, or not at all."""

from __future__ import annotations

import io
import tarfile
from pathlib import Path

import pytest
import zstandard

from allocphase.errors import DataError
from allocphase.hosts.archive import digest_of_file, pack, unpack


@pytest.fixture
def results(tmp_path: Path) -> Path:
    folder = tmp_path / "20261128-run"
    (folder / "samples").mkdir(parents=True)
    (folder / "run.json").write_text("{}", encoding="utf-8")
    (folder / "samples" / "0.npz").write_bytes(bytes(range(256)) * 40)
    (folder / "link").symlink_to("/etc/passwd")
    return folder


def contents(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def test_files_come_back_and_links_do_not(results: Path, tmp_path: Path) -> None:
    archive = tmp_path / "a"
    digest, size_bytes = pack({"": results, "confirm": results}, archive)
    assert (digest_of_file(archive), archive.stat().st_size) == (digest, size_bytes)
    unpack(archive, tmp_path / "hosts" / "epyc", sha256=digest)
    names = ["confirm/run.json", "confirm/samples/0.npz", "run.json", "samples/0.npz"]
    found = contents(tmp_path / "hosts" / "epyc")
    assert sorted(found) == names
    assert found["samples/0.npz"] == (results / "samples" / "0.npz").read_bytes()


def test_the_same_folder_is_the_same_archive(results: Path, tmp_path: Path) -> None:
    first = pack({"": results}, tmp_path / "a")
    (results / "run.json").touch()
    assert pack({"": results}, tmp_path / "b") == first


def test_another_archive_than_the_host_sent_is_refused_and_nothing_is_lost(
    results: Path, tmp_path: Path
) -> None:
    archive, there = tmp_path / "a", tmp_path / "there"
    digest, _ = pack({"": results}, archive)
    unpack(archive, there, sha256=digest)
    archive.write_bytes(archive.read_bytes()[:-1])
    with pytest.raises(DataError, match="its digest differs"):
        unpack(archive, there, sha256=digest)
    assert (there / "run.json").is_file()


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("../out", tarfile.REGTYPE),
        ("/etc/out", tarfile.REGTYPE),
        ("a", tarfile.SYMTYPE),
        ("a", tarfile.FIFOTYPE),
    ],
)
def test_what_would_leave_its_folder_or_is_no_file_is_refused(
    tmp_path: Path, name: str, kind: bytes
) -> None:
    packed = io.BytesIO()
    with tarfile.open(fileobj=packed, mode="w") as archive:
        entry = tarfile.TarInfo(name)
        entry.type, entry.linkname = kind, "/etc/passwd"
        archive.addfile(entry)
    path = tmp_path / "a"
    path.write_bytes(zstandard.ZstdCompressor().compress(packed.getvalue()))
    with pytest.raises(DataError, match="none of its files"):
        unpack(path, tmp_path / "there", sha256=digest_of_file(path))
    assert sorted(one.name for one in tmp_path.iterdir()) == ["a"]


def test_what_is_no_archive_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a"
    path.write_bytes(b"no archive at all")
    with pytest.raises(DataError, match="no archive of a host"):
        unpack(path, tmp_path / "there", sha256=digest_of_file(path))
