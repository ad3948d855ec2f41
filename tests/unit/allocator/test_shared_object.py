"""Shared objects: what is one, and where libraries lie."""

from __future__ import annotations

import platform
import struct
import tracemalloc
from pathlib import Path

import pytest

from allocphase.allocator.shared_object import inspect_object, search_library
from allocphase.errors import UsageError
from tests.support.plugins import Plugins, compiled


def forged(source: Path, target: Path, offset: int, value: int) -> Path:
    """A copy of an object with one 16-bit field of its ELF header changed."""
    content = bytearray(source.read_bytes())
    struct.pack_into("<H", content, offset, value)
    target.write_bytes(content)
    return target


def test_a_plug_in_and_a_preload_are_told_apart(plugins: Plugins) -> None:
    assert inspect_object(plugins("calls")).is_plugin
    assert not inspect_object(plugins("half")).is_plugin


@pytest.mark.parametrize(
    ("source", "words"),
    [
        (
            "const void *allocphase_plugn(void) { return 0; }",
            "no plug-in: it exports allocphase_plugn: did you mean allocphase_plugin?",
        ),
        (
            "const void *alloc_phase_plugin(void) { return 0; }",
            "no plug-in: it exports alloc_phase_plugin: did you mean allocphase_plugin?",
        ),
        (
            "const void *_Z17allocphase_pluginv(void) { return 0; }",
            "no plug-in: it exports _Z17allocphase_pluginv: did you mean allocphase_plugin?"
            ' (C++ wants extern "C")',
        ),
        (
            '__attribute__((visibility("hidden"))) const void *allocphase_plugin(void)'
            " { return 0; }",
            "no plug-in: allocphase_plugin is static or hidden, not exported",
        ),
    ],
)
def test_a_plug_in_s_symbol_that_is_misspelt_or_hidden_is_named(
    tmp_path: Path, source: str, words: str
) -> None:
    (tmp_path / "mine.c").write_text(source)
    with pytest.raises(UsageError) as caught:
        inspect_object(compiled(tmp_path / "mine.c"))
    assert str(caught.value).endswith(f".so: {words}")


@pytest.mark.parametrize(
    "source",
    [
        "const void *allocphase_plugn(void) { return 0; } void *malloc(unsigned long n)"
        " { return (void *)n; }",
        "int unrelated(void) { return 0; }",
    ],
)
def test_what_has_a_malloc_or_nothing_alike_may_be_a_preload(tmp_path: Path, source: str) -> None:
    (tmp_path / "mine.c").write_text(source)
    assert not inspect_object(compiled(tmp_path / "mine.c")).is_plugin


def test_an_object_without_section_headers_is_told_by_its_text(
    plugins: Plugins, tmp_path: Path
) -> None:
    for name, is_plugin in (("calls", True), ("half", False)):
        path = forged(plugins(name), tmp_path / f"{name}.so", 60, 0)
        assert inspect_object(path).is_plugin == is_plugin


@pytest.mark.parametrize("content", [b"", b"\x7fELF", b"#!/bin/sh\n" * 20])
def test_a_file_without_an_elf_header_is_no_shared_object(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "lib.so"
    path.write_bytes(content)
    with pytest.raises(UsageError, match=r"lib\.so: not a shared object \(no ELF header\)"):
        inspect_object(path)


def test_an_object_of_another_machine_is_refused_by_name(plugins: Plugins, tmp_path: Path) -> None:
    other = {"x86_64": 183, "aarch64": 62}[platform.machine()]
    path = forged(plugins("calls"), tmp_path / "other.so", 18, other)
    message = rf"other\.so: an object of another machine than {platform.machine()}"
    with pytest.raises(UsageError, match=message):
        inspect_object(path)


def test_an_object_of_the_other_byte_order_is_of_another_machine(
    plugins: Plugins, tmp_path: Path
) -> None:
    path = tmp_path / "big.so"
    content = bytearray(plugins("calls").read_bytes())
    content[5] = 2
    path.write_bytes(content)
    with pytest.raises(UsageError, match="another machine"):
        inspect_object(path)


def test_an_object_file_is_no_shared_object(plugins: Plugins, tmp_path: Path) -> None:
    path = forged(plugins("calls"), tmp_path / "plain.o", 16, 1)  # ET_REL
    with pytest.raises(UsageError, match="an ELF file, but no shared object"):
        inspect_object(path)


# ---- Libraries ---------------------------------------------------------------------------


def test_a_library_is_found_by_an_absolute_pattern_and_the_newest_is_taken(tmp_path: Path) -> None:
    for version in (13, 14, 12):
        (tmp_path / f"llvm-{version}").mkdir()
        (tmp_path / f"llvm-{version}" / f"lib-{platform.machine()}.so").touch()
    found = search_library([f"{tmp_path}/llvm-*/lib-{{machine}}.so"])
    assert found == (tmp_path / "llvm-14" / f"lib-{platform.machine()}.so").resolve()


def test_the_newest_version_is_the_one_of_the_highest_number(tmp_path: Path) -> None:
    for version in (9, 10, 2):
        (tmp_path / f"libours.so.{version}").touch()
    assert search_library([f"{tmp_path}/libours.so.*"]) == (tmp_path / "libours.so.10").resolve()


def test_a_library_is_found_by_its_name_in_the_users_own_folders(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "libours.so.2").touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", f"/nowhere::{tmp_path}")
    assert search_library(["libabsent.so", "libours.so.2"]) == (tmp_path / "libours.so.2").resolve()


@pytest.fixture
def distribution(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The library of an installed Python distribution, `ours-malloc`, as pip leaves it."""
    site = tmp_path / "site-packages"
    information = site / "ours_malloc-1.0.dist-info"
    information.mkdir(parents=True)
    (information / "METADATA").write_text(
        "Metadata-Version: 2.1\nName: ours-malloc\nVersion: 1.0\n"
    )
    record = "prefix/lib/libours.so.2,,\nprefix/lib/libgone.so.1,,\n"
    (information / "RECORD").write_text(record + "ours_malloc-1.0.dist-info/METADATA,,\n")
    library = site / "prefix" / "lib" / "libours.so.2"
    library.parent.mkdir(parents=True)
    library.touch()
    monkeypatch.syspath_prepend(str(site))
    return library.resolve()


def test_a_library_is_found_in_a_python_distribution_before_the_system_s(
    distribution: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "system").mkdir()
    for name in ("libours.so.2", "libgone.so.1"):
        (tmp_path / "system" / name).touch()
    monkeypatch.setenv("LD_LIBRARY_PATH", str(tmp_path / "system"))
    assert search_library(["libours.so.2"], distribution="ours-malloc") == distribution
    system = (tmp_path / "system" / "libgone.so.1").resolve()
    assert search_library(["libgone.so.1"], distribution="ours-malloc") == system


def test_a_python_distribution_that_is_not_installed_has_none(distribution: Path) -> None:
    assert distribution.is_file()
    assert search_library(["libours.so.2"], distribution="nobody-has-this") is None


def test_a_library_that_is_not_there_is_not_found() -> None:
    assert search_library(["libnobody-has-this.so.99", "/nowhere/*.so"]) is None


def with_sections(content: bytes, tables: int, symbols: int, text: bytes) -> bytes:
    """An object whose section headers are `tables` tables of the same symbols, exported functions
    whose names begin one letter further in `text` each.
    """
    at = len(content)
    entries = b"".join(struct.pack("<IBBHQQ", i, 0x12, 0, 1, 0, 0) for i in range(symbols))
    strings_at = at + len(entries)
    headers_at = strings_at + len(text)
    strings = struct.pack("<IIQQQQIIQQ", 0, 3, 0, 0, strings_at, len(text), 0, 0, 1, 0)
    table = struct.pack("<IIQQQQIIQQ", 0, 11, 0, 0, at, len(entries), 0, 0, 8, 24)
    changed = bytearray(content)
    struct.pack_into("<Q", changed, 40, headers_at)
    struct.pack_into("<H", changed, 60, tables + 1)
    return bytes(changed) + entries + text + strings + table * tables


def test_names_within_names_and_tables_within_tables_take_no_more_than_the_file(
    plugins: Plugins, tmp_path: Path
) -> None:
    """Names of 40,000 symbols of up to 40,000 letters were 800 MB, and 60,000 tables of them hours.

    What such an object exports nobody asks any further.
    """
    path = tmp_path / "hostile.so"
    content = plugins("half").read_bytes()
    path.write_bytes(with_sections(content, tables=1, symbols=40_000, text=b"x" * 40_000 + b"\0"))
    tracemalloc.start()
    assert not inspect_object(path).is_plugin
    _, peak_bytes = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak_bytes < 50 << 20
    path.write_bytes(with_sections(content, tables=60_000, symbols=1000, text=b"x\0" * 500))
    assert not inspect_object(path).is_plugin


@pytest.mark.parametrize("letter", [b"\n", b"\x1b", b"\x07"])
def test_a_symbol_s_name_commands_no_terminal(
    plugins: Plugins, tmp_path: Path, letter: bytes
) -> None:
    content = plugins("calls").read_bytes()
    path = tmp_path / "hostile.so"
    path.write_bytes(content.replace(b"allocphase_plugin\0", b"allocphase_p%sugin\0" % letter))
    with pytest.raises(UsageError, match="no plug-in: it exports allocphase_p") as caught:
        inspect_object(path)
    assert str(caught.value).isprintable()
