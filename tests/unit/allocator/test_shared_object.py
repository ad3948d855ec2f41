"""Shared objects: what is one, where libraries lie, and plug-ins from source."""

from __future__ import annotations

import os
import platform
import struct
import tempfile
import tracemalloc
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.allocator import shared_object
from allocphase.allocator.shared_object import compile_plugin, inspect_object, search_library
from allocphase.errors import UsageError
from tests.support.plugins import ROOT, Plugins
from tests.support.processes import nothing_left

PLUGIN = """
#include <allocphase.h>
static const struct allocphase_allocator table = {.abi_version = ALLOCPHASE_ABI_VERSION};
const struct allocphase_allocator *allocphase_plugin(void) { return &table; }
"""


@pytest.fixture
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache for compiled plug-ins."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.delenv("CC", raising=False)
    return tmp_path / "cache" / "allocphase"


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
        inspect_object(compile_plugin(tmp_path / "mine.c"))
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
    assert not inspect_object(compile_plugin(tmp_path / "mine.c")).is_plugin


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


def test_a_library_that_is_not_there_is_not_found() -> None:
    assert search_library(["libnobody-has-this.so.99", "/nowhere/*.so"]) is None


# ---- Plug-ins from source ----------------------------------------------------------------


def test_a_source_is_compiled_against_the_installed_header(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    built = compile_plugin(source)
    assert built.parent == cache
    assert inspect_object(built).is_plugin


def test_an_unchanged_source_is_compiled_once_and_a_changed_one_again(
    tmp_path: Path, cache: Path
) -> None:
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    first = compile_plugin(source)
    os.utime(first, (1, 1))
    assert compile_plugin(source) == first
    assert first.stat().st_mtime == 1
    source.write_text(PLUGIN + "/* changed */")
    assert compile_plugin(source) != first
    assert len(list(cache.iterdir())) == 2  # and no scratch folder


def test_a_source_gives_the_same_object_wherever_it_lies_and_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("CC", raising=False)
    objects = []
    for place in ("one", "another one"):
        folder = tmp_path / place
        folder.mkdir()
        (folder / "mine.h").write_text("static const char *const place = __FILE__;\n")
        source = folder / "mine.c"
        source.write_text('#include "mine.h"\n' + PLUGIN + "const char *here(void);\n")
        with source.open("a") as file:
            file.write("const char *here(void) { return place ? place : __FILE__; }\n")
        monkeypatch.setenv("XDG_CACHE_HOME", str(folder / "cache"))
        monkeypatch.chdir(folder)
        objects.append(compile_plugin(source))
    assert objects[0].name == objects[1].name
    assert objects[0].read_bytes() == objects[1].read_bytes()
    assert os.fsencode(tmp_path) not in objects[0].read_bytes()


def test_a_source_that_does_not_compile_is_refused_in_the_compilers_words(
    tmp_path: Path, cache: Path
) -> None:
    source = tmp_path / "mine.c"
    source.write_text("int broken( { return 0; }\n")
    with pytest.raises(UsageError) as caught:
        compile_plugin(source)
    assert str(caught.value).startswith(f"{source}: does not compile: ")
    assert "error" in str(caught.value)
    assert "\n" not in str(caught.value)
    assert list(cache.iterdir()) == []


def test_without_a_compiler_the_message_says_what_to_set(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    monkeypatch.setenv("CC", "no-such-compiler")
    with pytest.raises(
        UsageError, match="no C compiler 'no-such-compiler': install one, or set CC"
    ):
        compile_plugin(source)
    assert not list(cache.glob("*.so"))


def test_the_installed_header_is_the_one_of_the_checkout() -> None:
    installed = resources.find("driver/allocphase.h")
    assert installed.read_bytes() == (ROOT / "driver" / "allocphase.h").read_bytes()


def test_a_cache_that_cannot_be_written_gives_way_to_a_temporary_folder(
    tmp_path: Path, cache: Path
) -> None:
    cache.parent.write_text("no folder")
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    built = compile_plugin(source)
    assert inspect_object(built).is_plugin
    assert built.parent.parent == Path(tempfile.gettempdir())
    assert compile_plugin(source) == built


def test_a_user_without_a_home_has_no_cache_and_can_compile(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    assert inspect_object(compile_plugin(source)).is_plugin
    assert not cache.exists()


def test_without_any_folder_to_write_the_message_says_what_to_set(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> Path:
        raise FileNotFoundError("No usable temporary directory found")

    cache.parent.write_text("no folder")
    monkeypatch.setattr(shared_object, "_own_folder", nowhere)
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    with pytest.raises(UsageError, match=r"mine\.c: no folder .* set XDG_CACHE_HOME"):
        compile_plugin(source)


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


@pytest.mark.usefixtures("cache")
def test_a_source_that_includes_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.h")
    (tmp_path / "mine.c").write_text('#include "pipe.h"\n')
    monkeypatch.setattr(shared_object, "COMPILE_S", 1.0)
    with (
        nothing_left("compile", monkeypatch),
        pytest.raises(UsageError, match=r"mine\.c: still being compiled after 1 s"),
    ):
        compile_plugin(tmp_path / "mine.c")


@pytest.mark.usefixtures("cache")
def test_what_a_compiler_says_is_one_line_that_commands_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_bytes(b"#error \xff \x1b[31mred\n")
    with pytest.raises(UsageError, match="does not compile: ") as caught:
        compile_plugin(tmp_path / "mine.c")
    assert str(caught.value).isprintable()
