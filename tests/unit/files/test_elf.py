"""Digests over what is loaded of an object: what may change them, and what may not."""

from __future__ import annotations

import hashlib
import shutil
import struct
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.files.elf import ElfHead, elf_head, loaded_sha256
from tests.support.plugins import Plugins

SOURCE = "int answer(void) { return 42; }\n"


def compiled(folder: Path, *flags: str, source: str = SOURCE) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "one.c").write_text(source)
    target = folder / "one.so"
    command = ["cc", "-O2", "-shared", "-fPIC", "-Wl,--build-id=sha1", *flags]
    subprocess.run([*command, "-o", str(target), str(folder / "one.c")], check=True)
    return target


@pytest.mark.parametrize("how", [["-g"], ["-s"], ["-R", ".comment"]])
@pytest.mark.parametrize("what", ["plug-in", "driver"])
def test_stripping_changes_no_digest(
    plugins: Plugins,
    needs: Callable[..., None],
    tmp_path: Path,
    how: list[str],
    what: str,
) -> None:
    strip = shutil.which("strip")
    needs(strip, "strip", install="apt-get install binutils")
    path = plugins("calls") if what == "plug-in" else resources.find("driver/allocphase-driver")
    stripped = tmp_path / "stripped"
    subprocess.run([str(strip), *how, "-o", str(stripped), str(path)], check=True)
    assert loaded_sha256(stripped) == loaded_sha256(path)


@pytest.mark.usefixtures("plugins")
def test_debug_information_of_two_folders_and_the_build_id_made_of_it_change_no_digest(
    tmp_path: Path,
) -> None:
    plain = compiled(tmp_path / "plain")
    one, other = compiled(tmp_path / "one", "-g3"), compiled(tmp_path / "another folder", "-g3")
    assert one.read_bytes() != other.read_bytes()
    assert loaded_sha256(one) == loaded_sha256(other) == loaded_sha256(plain)


@pytest.mark.usefixtures("plugins")
@pytest.mark.parametrize(
    ("flags", "source"),
    [
        ([], SOURCE.replace("42", "43")),
        ([], SOURCE + "int more;\n"),
        (["-Wl,-z,now"], SOURCE),
        (["-Wl,-z,execstack"], SOURCE),
    ],
)
def test_other_code_data_and_ways_to_load_it_change_the_digest(
    tmp_path: Path, flags: list[str], source: str
) -> None:
    plain = compiled(tmp_path / "plain")
    assert loaded_sha256(compiled(tmp_path / "other", *flags, source=source)) != loaded_sha256(
        plain
    )


def test_every_loaded_byte_counts(plugins: Plugins, tmp_path: Path) -> None:
    """Of the code: one in the middle of the segment that runs."""
    content = bytearray(plugins("calls").read_bytes())
    table, count = struct.unpack_from("<32xQ16xH", content)
    segments = [struct.unpack_from("<IIQQQQ", content, table + 56 * i) for i in range(count)]
    (offset, length) = next((s[2], s[5]) for s in segments if s[0] == 1 and s[1] & 1)
    content[offset + length // 2] ^= 1
    path = tmp_path / "changed.so"
    path.write_bytes(content)
    assert loaded_sha256(path) != loaded_sha256(plugins("calls"))


def broken(content: bytes) -> list[bytes]:
    """Files with an ELF header that no loader takes."""
    elsewhere = bytearray(content)
    struct.pack_into("<Q", elsewhere, 32, 2**60)
    other_entries = bytearray(content)
    struct.pack_into("<H", other_entries, 54, 32)
    none = bytearray(content)
    struct.pack_into("<H", none, 56, 0)
    wide = bytearray(content)
    for index in range(struct.unpack_from("<H", content, 56)[0]):
        struct.pack_into("<Q", wide, 64 + 56 * index + 32, 2**62)
    return [content[:30], content[:1000], *map(bytes, (elsewhere, other_entries, none, wide))]


def test_a_file_that_is_no_object_has_the_digest_of_all_its_bytes(
    plugins: Plugins, tmp_path: Path
) -> None:
    big = b"\x7fELF\x02\x02" + bytes(100)
    for content in (b"", b"old", big, *broken(plugins("calls").read_bytes())):
        path = tmp_path / "file"
        path.write_bytes(content)
        assert loaded_sha256(path) == hashlib.sha256(content).hexdigest()


def table_of(content: bytes, *, offset: int | None = None, count: int | None = None) -> bytearray:
    """The object with another place, or number of entries, of its segments in its header."""
    changed = bytearray(content)
    if offset is not None:
        struct.pack_into("<Q", changed, 32, offset)
    if count is not None:
        struct.pack_into("<H", changed, 56, count)
    return changed


@pytest.mark.parametrize("offset", [1 << 62, 1 << 63, (1 << 64) - 1])
def test_segments_that_lie_nowhere_make_it_a_file_like_any_other(
    plugins: Plugins, tmp_path: Path, offset: int
) -> None:
    content = table_of(plugins("empty").read_bytes(), offset=offset)
    path = tmp_path / "hostile.so"
    path.write_bytes(content)
    assert loaded_sha256(path) == hashlib.sha256(content).hexdigest()


@pytest.mark.parametrize("kind", [1, 4])
def test_segments_that_claim_the_whole_file_each_are_not_read_each(
    plugins: Plugins, tmp_path: Path, kind: int
) -> None:
    """65,535 times 4 MB would be 270 GB."""
    segment = struct.pack("<IIQQQQQQ", kind, 4, 0, 0, 0, 4 << 20, 4 << 20, 4096)
    start = len(plugins("empty").read_bytes())
    content = table_of(plugins("empty").read_bytes(), offset=start, count=65_535)
    content += segment * 65_535 + bytes(1 << 20)
    path = tmp_path / "hostile.so"
    path.write_bytes(content)
    assert loaded_sha256(path) == hashlib.sha256(content).hexdigest()


# ---- What a file says first ------------------------------------------------------------------


def test_the_head_of_a_program_names_its_loader_and_that_of_an_object_none(
    plugins: Plugins,
) -> None:
    program = elf_head(resources.find("driver/allocphase-driver"))
    assert program is not None
    assert program.interpreter is not None
    assert program.interpreter.is_file()
    assert elf_head(plugins("calls")) == ElfHead(64, program.machine)


@pytest.mark.parametrize(
    "content", [b"", b"#!/bin/sh\n", b"\x7fELF", b"\x7fELF\x02\x01" + bytes(40)]
)
def test_what_is_no_elf_file_or_ends_too_early_has_no_head(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "file").write_bytes(content)
    assert elf_head(tmp_path / "file") is None


def test_a_table_of_segments_that_is_not_there_names_no_loader(tmp_path: Path) -> None:
    head = bytearray(resources.find("driver/allocphase-driver").read_bytes()[:4096])
    struct.pack_into("<Q", head, 32, 1 << 60)
    (tmp_path / "file").write_bytes(head)
    found = elf_head(tmp_path / "file")
    assert found is not None
    assert found.interpreter is None
