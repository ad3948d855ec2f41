"""Specifications of allocators, and the collection they name."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.allocator import collected, resolve
from allocphase.allocator.collection import load
from allocphase.errors import UsageError
from tests.support.plugins import Plugins

GOOD = """
title = "Mine"
summary = "An allocator."
kind = "plugin"

[config]
pool_bytes = 4096
strict = true
share = 0.5
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of one allocator, `mine`, in place of the package's."""
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "allocator.toml").write_text(GOOD)
    monkeypatch.setattr(resources, "collection_folders", lambda _: [tmp_path])
    return tmp_path


# ---- Names and settings ------------------------------------------------------------------


def test_a_name_is_its_folder_in_the_collection() -> None:
    (found,) = resolve("phase21")
    assert (found.name, found.kind, found.correct) == ("phase21", "plugin", True)
    assert found.config == {"pool_bytes": "16777216"}
    assert found.path is not None
    assert found.path.name == "phase21.so"


def test_the_collection_is_sorted_and_holds_what_is_missing_too(folder: Path) -> None:
    (folder / "absent").mkdir()
    text = 'title = "A"\nsummary = "a"\nkind = "preload"\n[preload]\nlibraries = ["libno.so.9"]\n'
    (folder / "absent" / "allocator.toml").write_text(text + 'package = "libno9"\n')
    found = collected()
    assert list(found) == ["absent", "mine"]
    assert found["absent"].missing == "not installed: apt-get install libno9"
    assert found["absent"].path is None
    assert found["mine"].missing is not None
    assert "not built" in found["mine"].missing


@pytest.mark.parametrize(
    ("places", "missing"),
    [
        ("", "apt-get install the package that provides it"),
        ('python_package = "nobodys"\n', "pip install nobodys"),
        (
            'python_package = "nobodys"\npackage = "libno9"\n',
            "pip install nobodys, or apt-get install libno9",
        ),
    ],
)
def test_what_is_missing_says_every_way_to_get_it(folder: Path, places: str, missing: str) -> None:
    (folder / "absent").mkdir()
    text = 'title = "A"\nsummary = "a"\nkind = "preload"\n[preload]\nlibraries = ["libno.so.9"]\n'
    (folder / "absent" / "allocator.toml").write_text(text + places)
    assert collected()["absent"].missing == f"not installed: {missing}"


def test_the_null_allocator_is_the_only_one_that_is_not_correct() -> None:
    assert [name for name, found in collected().items() if not found.correct] == ["null"]


def test_a_setting_changes_the_configuration_and_the_name() -> None:
    (found,) = resolve("phase21?pool_bytes=1048576")
    assert found.name == "phase21?pool_bytes=1048576"
    assert found.config == {"pool_bytes": "1048576"}


def test_several_values_are_a_sweep_in_their_order() -> None:
    found = resolve("phase2?objects_per_slab=64,1,8")
    assert [each.config["objects_per_slab"] for each in found] == ["64", "1", "8"]
    assert len({each.name for each in found}) == 3


@pytest.mark.usefixtures("folder")
def test_several_settings_give_every_combination() -> None:
    found = resolve("mine?pool_bytes=1,2&strict=true,false")
    assert [each.name.partition("?")[2] for each in found] == [
        "pool_bytes=1&strict=true",
        "pool_bytes=1&strict=false",
        "pool_bytes=2&strict=true",
        "pool_bytes=2&strict=false",
    ]
    assert {each.config["share"] for each in found} == {"0.5"}


@pytest.mark.usefixtures("folder")
def test_settings_are_handed_on_as_toml_writes_them() -> None:
    assert resolve("mine")[0].config == {"pool_bytes": "4096", "strict": "true", "share": "0.5"}


def test_two_configurations_of_one_object_have_one_digest() -> None:
    plain, swept = resolve("phase21")[0], resolve("phase21?pool_bytes=4096")[0]
    assert plain.sha256() == swept.sha256() != resolve("phase2")[0].sha256()
    assert resolve("libc")[0].sha256() is None


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        ("jemaloc", "allocator 'jemaloc' does not exist: did you mean 'jemalloc'?"),
        ("qqq", "allocator 'qqq' does not exist: there are "),
        ("", "allocator '': there is no name: it is written NAME[=FILE]|FOLDER[?KEY=VALUE"),
        (
            "=x.so",
            "allocator '=x.so': there is no name: it is written NAME[=FILE]|FOLDER[?KEY=VALUE",
        ),
        ("phase21?pool_bytes", "'phase21?pool_bytes': 'pool_bytes' has no value"),
        (
            "phase21?=5",
            "'phase21?=5': '=5' has no key: it is written NAME[=FILE]|FOLDER[?KEY=VALUE",
        ),
        ("phase21?pool_bytes=", "'pool_bytes' has no value, or an empty one"),
        ("phase21?pool_bytes=1,", "'pool_bytes' has no value, or an empty one"),
        (
            "phase21?pool_byte=5",
            "allocator phase21: setting 'pool_byte' does not exist: did you mean 'pool_bytes'?",
        ),
        (
            "libc?arena=5",
            "allocator libc: setting 'arena' does not exist: did you mean 'arena_max', or env.",
        ),
        ("mine=nowhere.so", "allocator mine: nowhere.so: no such file"),
    ],
)
def test_a_bad_specification_is_one_line_with_advice(spec: str, message: str) -> None:
    with pytest.raises(UsageError) as caught:
        resolve(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


# ---- Objects from elsewhere --------------------------------------------------------------


def test_an_object_of_the_users_own_is_a_plug_in_or_a_preload(plugins: Plugins) -> None:
    (ours,) = resolve(f"mine={plugins('calls')}?mmaps=3")
    assert (ours.name, ours.kind, ours.config) == ("mine?mmaps=3", "plugin", {"mmaps": "3"})
    (preload,) = resolve(f"theirs={plugins('half')}")
    assert (preload.kind, preload.path) == ("preload", plugins("half"))


def test_a_source_of_the_users_own_is_compiled(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    source = tmp_path / "mine.c"
    source.write_text(
        "#include <allocphase.h>\n"
        "const struct allocphase_allocator *allocphase_plugin(void) { return NULL; }\n"
    )
    (found,) = resolve(f"mine={source}")
    assert found.kind == "plugin"
    assert found.path is not None
    assert found.path.suffix == ".so"


# ---- Folders from elsewhere --------------------------------------------------------------


SOURCE = """\
#include <allocphase.h>
const struct allocphase_allocator *allocphase_plugin(void) { return NULL; }
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder `mine` with an allocator.toml and its source, in the folder that one is in."""
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "allocator.toml").write_text(GOOD)
    (folder / "mine.c").write_text(SOURCE)
    return folder


@pytest.mark.parametrize("way", ["./mine", "other=./mine", "other={}", "{}/"])
def test_a_folder_with_an_allocator_toml_is_an_allocator(mine: Path, way: str) -> None:
    (found,) = resolve(way.format(mine) + "?pool_bytes=1")
    name = "other" if way.startswith("other") else "mine"
    assert (found.name, found.title, found.kind) == (f"{name}?pool_bytes=1", "Mine", "plugin")
    assert found.config == {"pool_bytes": "1", "strict": "true", "share": "0.5"}
    assert found.missing is None
    assert found.path is not None
    assert found.path.is_relative_to(mine.parent / "cache")
    assert found.source is not None
    assert found.source.path == mine / "mine.c"


def test_a_folders_settings_are_known_and_may_have_several_values(mine: Path) -> None:
    assert [each.name for each in resolve(f"{mine}?pool_bytes=1,2")] == [
        "mine?pool_bytes=1",
        "mine?pool_bytes=2",
    ]
    with pytest.raises(UsageError, match=r"setting 'pool_byte' .* did you mean 'pool_bytes'"):
        resolve(f"{mine}?pool_byte=1")


def test_the_object_of_a_folder_may_be_named_and_is_found_from_there(
    mine: Path, plugins: Plugins
) -> None:
    (mine / "build").mkdir()
    shutil.copy(plugins("calls"), mine / "build" / "it.so")
    (mine / "allocator.toml").write_text('object = "build/it.so"\n' + GOOD)
    (found,) = resolve(str(mine))
    assert found.path == mine / "build" / "it.so"


def test_a_built_object_of_the_folders_name_is_taken(mine: Path, plugins: Plugins) -> None:
    shutil.copy(plugins("calls"), mine / "mine.so")
    (mine / "mine.c").unlink()
    assert resolve(str(mine))[0].path == mine / "mine.so"


def test_a_preload_of_a_folder_lies_in_it(mine: Path, plugins: Plugins) -> None:
    shutil.copy(plugins("half"), mine / "libhalf.so")
    (mine / "allocator.toml").write_text(
        'title = "Half"\nsummary = "h"\nkind = "preload"\n'
        '[preload]\nlibraries = ["libhalf.so"]\nenvironment = { HALF = "1" }\n'
    )
    (found,) = resolve("./mine")
    assert (found.kind, found.path) == ("preload", mine / "libhalf.so")
    assert found.environment == {"HALF": "1"}


@pytest.mark.parametrize(
    ("spec", "text", "message"),
    [
        ("./nowhere", None, "nowhere: no such folder"),
        (".", None, ": .: no allocator.toml in it"),
        ("x=.", None, "allocator x: .: no allocator.toml in it"),
        ("./mine/mine.c", None, "mine/mine.c: no folder: a file wants a name, mine=mine/mine.c"),
        ("./mine/allocator.toml", None, "name the folder that it lies in: mine"),
        ("mine", None, "tcmalloc-full, and ./mine, the folder here"),
        (
            "./mine",
            "titel = 1\n" + GOOD,
            "mine/allocator.toml: key 'titel' does not exist: did you mean 'title'?",
        ),
        ("./mine", 'objekt = "x.so"\n' + GOOD, "did you mean 'object'?"),
        ("./mine", 'object = "x.so"\n' + GOOD, "mine/x.so: no such file"),
        (
            "./mine",
            'title = "M"\nsummary = "m"\nkind = "libc"\nobject = "x.so"\n',
            "object: is for",
        ),
        ("./mine", GOOD.replace('"plugin"', '"plug"'), "mine/allocator.toml: kind: must be"),
    ],
)
def test_a_folder_that_is_none_is_told_with_file_and_key(
    mine: Path, spec: str, text: str | None, message: str
) -> None:
    if text is not None:
        (mine / "allocator.toml").write_text(text)
    with pytest.raises(UsageError) as caught:
        resolve(spec)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ([], "object: missing, and neither mine.so nor mine.c is there"),
        (["mine.so", "mine.c"], "object: missing: mine.so and mine.c are there, say which"),
    ],
)
def test_it_is_never_guessed_which_object_is_meant(
    mine: Path, plugins: Plugins, files: list[str], message: str
) -> None:
    (mine / "mine.c").unlink()
    for name in files:
        shutil.copy(plugins("calls"), mine / name)
    with pytest.raises(UsageError, match=message):
        resolve("./mine")


def test_an_object_of_a_folder_must_be_what_its_toml_says(mine: Path, plugins: Plugins) -> None:
    (mine / "mine.c").unlink()
    shutil.copy(plugins("half"), mine / "mine.so")
    with pytest.raises(UsageError, match=r"allocator.toml: kind: .*mine.so is no plug-in"):
        resolve("./mine")


# ---- Broken folders ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ('title = "Mine"', "", "title: missing"),
        ('title = "Mine"', "title = 5", "title: must be a string, not 5"),
        ('"plugin"', '"plug-in"', "kind: must be one of plugin, preload, libc, not 'plug-in'"),
        ("title =", "titel =", "key 'titel' does not exist: did you mean 'title'?"),
        ("pool_bytes = 4096", "pool_bytes = ", "Invalid value"),
        ('"plugin"', '"preload"', "config: is for kind 'plugin' only"),
        (
            '"plugin"\n\n[config]',
            '"preload"\n[preload]\nlibrary = []',
            "preload: key 'library' does not exist: did you mean 'libraries'?",
        ),
        ('"plugin"\n\n[config]', '"preload"\n[preload]\nlibraries = []\n[x]', "key 'x' does"),
        (
            GOOD[GOOD.index('"plugin"') :],
            '"preload"\npreload.libraries = []\n',
            "preload.libraries: must have 1 or more",
        ),
        (
            GOOD[GOOD.index('"plugin"') :],
            '"preload"\npreload = {libraries = ["a"], environment = {A = []}}\n',
            "preload.environment.A: must be a string, a number, true or false, not []",
        ),
        (GOOD[GOOD.index('"plugin"') :], '"preload"\n', "preload.libraries: missing"),
        (
            "[config]",
            "[preload]\nlibraries = ['a']\n[config]",
            "preload: is for kind 'preload' only",
        ),
    ],
)
def test_a_broken_allocator_toml_names_the_file_the_key_and_the_reason(
    folder: Path, old: str, new: str, message: str
) -> None:
    path = folder / "mine" / "allocator.toml"
    path.write_text(GOOD.replace(old, new))
    with pytest.raises(UsageError) as caught:
        resolve("mine")
    assert str(caught.value).startswith(f"{path}: ")
    assert message in str(caught.value)


def test_a_text_that_is_no_utf8_is_a_broken_toml(folder: Path) -> None:
    (folder / "mine" / "allocator.toml").write_bytes(b'title = "\xff"')
    with pytest.raises(UsageError, match=r"allocator\.toml: "):
        collected()


def test_another_package_may_not_take_a_name(
    folder: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path_factory.mktemp("other")
    (other / "mine").mkdir()
    (other / "mine" / "allocator.toml").write_text(GOOD)
    monkeypatch.setattr(resources, "folders", lambda _: [folder])
    monkeypatch.setattr(resources, "collection_folders", lambda _: [folder, other])
    with pytest.raises(UsageError, match="an allocator of this name is in"):
        resolve("mine")


@pytest.mark.parametrize("key", ["object", "library"])
def test_a_name_that_no_file_can_have_is_not_there(tmp_path: Path, key: str) -> None:
    """Found by fuzzing: a name of more than 255 bytes is an error of the file system's."""
    name = "x" * 300 + ".so"
    lines = {
        "object": f'kind = "plugin"\nobject = "{name}"\n',
        "library": f'kind = "preload"\n[preload]\nlibraries = ["{name}"]\npackage = "p"\n',
    }
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "allocator.toml").write_text(f'title = "T"\nsummary = "S"\n{lines[key]}')
    assert load(folder / "allocator.toml").missing
