"""Plug-ins from source: what an object is made of, and when it is made again."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.allocator import source as source_module
from allocphase.allocator.shared_object import inspect_object
from allocphase.errors import UsageError
from allocphase.files import cache as cache_module
from tests.support.plugins import ROOT, compiled
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


def test_a_source_is_compiled_against_the_installed_header(tmp_path: Path, cache: Path) -> None:
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    built = compiled(source)
    assert built.parent == cache
    assert inspect_object(built).is_plugin


def test_an_unchanged_source_is_compiled_once_and_a_changed_one_again(
    tmp_path: Path, cache: Path
) -> None:
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    first = compiled(source)
    os.utime(first, (1, 1))
    assert compiled(source) == first
    assert first.stat().st_mtime == 1
    source.write_text(PLUGIN + "/* changed */")
    assert compiled(source) != first
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
        objects.append(compiled(source))
    assert objects[0].name == objects[1].name
    assert objects[0].read_bytes() == objects[1].read_bytes()
    assert os.fsencode(tmp_path) not in objects[0].read_bytes()


def test_a_source_that_does_not_compile_is_refused_in_the_compilers_words(
    tmp_path: Path, cache: Path
) -> None:
    source = tmp_path / "mine.c"
    source.write_text("int broken( { return 0; }\n")
    with pytest.raises(UsageError) as caught:
        compiled(source)
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
        compiled(source)
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
    built = compiled(source)
    assert inspect_object(built).is_plugin
    assert built.parent.parent == Path(tempfile.gettempdir())
    assert compiled(source) == built


def test_a_user_without_a_home_has_no_cache_and_can_compile(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def homeless() -> Path:
        raise RuntimeError("Could not determine home directory.")

    monkeypatch.delenv("XDG_CACHE_HOME")
    monkeypatch.setattr(Path, "home", homeless)
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    assert inspect_object(compiled(source)).is_plugin
    assert not cache.exists()


def test_without_any_folder_to_write_the_message_says_what_to_set(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def nowhere() -> Path:
        raise FileNotFoundError("No usable temporary directory found")

    cache.parent.write_text("no folder")
    monkeypatch.setattr(cache_module, "_own_folder", nowhere)
    source = tmp_path / "mine.c"
    source.write_text(PLUGIN)
    with pytest.raises(UsageError, match=r"mine\.c: no folder .* set XDG_CACHE_HOME"):
        compiled(source)


# ---- Headers and flags ---------------------------------------------------------------------


@pytest.mark.parametrize(
    "name",
    ["mine.h", "in a folder/mine.h", "a #1.h", "$(price) $$.h", "back\\slash.h", "a\\ b.h", "ü.h"],
)
def test_a_changed_header_is_another_object(tmp_path: Path, cache: Path, name: str) -> None:
    header, source = tmp_path / name, tmp_path / "mine.c"
    header.parent.mkdir(exist_ok=True)
    header.write_text('#include "inner.h"\n')
    inner = header.parent / "inner.h"
    inner.write_text("enum { VALUE = 1 };\n")
    source.write_text(f'#include "{name}"\n{PLUGIN}int value(void);\nint value(void)'
                      " { return VALUE; }\n")  # fmt: skip
    first = compiled(source)
    assert compiled(source) == first
    inner.write_text("enum { VALUE = 2 };\n")
    second = compiled(source)
    assert second != first
    assert second.read_bytes() != first.read_bytes()
    header.write_text("enum { VALUE = 2 };\n")
    assert compiled(source) not in (first, second)
    assert len(list(cache.iterdir())) == 3


def test_a_header_that_is_missing_is_told_in_the_compilers_words(
    tmp_path: Path, cache: Path
) -> None:
    source = tmp_path / "mine.c"
    source.write_text('#include "absent.h"\n')
    with pytest.raises(UsageError, match=r"mine\.c: does not compile: .*absent\.h"):
        compiled(source)
    assert not cache.exists()


def test_other_flags_are_another_object_and_come_behind_the_usual_ones(
    tmp_path: Path, cache: Path
) -> None:
    source = tmp_path / "mine.c"
    source.write_text(
        f"{PLUGIN}#ifdef __OPTIMIZE__\n#error optimised\n#endif\n"
        "#if SIZE != 8\n#error size\n#endif\n"
    )
    with pytest.raises(UsageError, match="optimised"):
        compiled(source, "-DSIZE=8")
    first = compiled(source, "-O0", "-DSIZE=8")
    assert compiled(source, "-O0", "-DSIZE=8") == first
    assert compiled(source, "-O0", "-DSIZE=8", "-DOTHER") != first
    assert compiled(source, "-O0", "-DSIZE=8 ") != first
    assert len(list(cache.iterdir())) == 3


def test_a_relative_folder_among_the_flags_is_of_where_it_was_named(
    tmp_path: Path, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for place in ("here", "there"):
        (tmp_path / place / "include").mkdir(parents=True)
    (tmp_path / "here" / "include" / "deep.h").write_text("\n")
    source = tmp_path / "there" / "mine.c"
    source.write_text(f"#include <deep.h>\n{PLUGIN}")
    monkeypatch.chdir(tmp_path / "here")
    assert compiled(source, "-Iinclude").parent == cache


@pytest.mark.usefixtures("cache")
def test_a_source_that_includes_a_pipe_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    os.mkfifo(tmp_path / "pipe.h")
    (tmp_path / "mine.c").write_text('#include "pipe.h"\n')
    monkeypatch.setattr(source_module, "COMPILE_S", 1.0)
    with (
        nothing_left("compile", monkeypatch),
        pytest.raises(UsageError, match=r"mine\.c: still being compiled after 1 s"),
    ):
        compiled(tmp_path / "mine.c")


@pytest.mark.usefixtures("cache")
def test_what_a_compiler_says_is_one_line_that_commands_no_terminal(tmp_path: Path) -> None:
    (tmp_path / "mine.c").write_bytes(b"#error \xff \x1b[31mred\n")
    with pytest.raises(UsageError, match="does not compile: ") as caught:
        compiled(tmp_path / "mine.c")
    assert str(caught.value).isprintable()
