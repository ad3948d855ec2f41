"""Settings that an allocator reads from its environment, and the environment of a process."""

from __future__ import annotations

import re
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.allocator import Allocator, collected, resolve
from allocphase.allocator.collection import loader
from allocphase.allocator.environment import (
    allocator_variables,
    environment_of,
    without_allocator_variables,
)
from allocphase.allocator.settings import SettingsForm
from allocphase.errors import UsageError

COLLECTED = {name: found for name, found in collected().items() if found.settings_form}
FORMS = """
title = "Mine"
summary = "An allocator."
kind = "preload"
[preload]
libraries = ["mine.so"]
[preload.environment]
MINE = "first=1"
[settings]
variable = "MINE"
pair = "{key}={value}"
separator = " "
named = "{key}"
[settings.keys]
pages = { type = "integer", default = "4", meaning = "pages" }
lazy = { type = "boolean", default = "false", meaning = "laziness" }
rate = { type = "number", default = "1.5", meaning = "a rate" }
room = { type = "size", default = "1GiB", meaning = "room" }
mode = { type = "text", choices = ["a", "b"], default = "a", meaning = "a mode" }
place = { type = "text", default = "none", meaning = "a place" }
few = { type = "integer", least = 1, most = 3, default = "1", meaning = "a few" }
some = { type = "integer", least = 1, default = "1", meaning = "some" }
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of one preload, `mine`, whose object knows of some keys."""
    mine = tmp_path / "mine"
    mine.mkdir()
    (mine / "allocator.toml").write_text(FORMS)
    (mine / "mine.so").write_bytes(b"\x7fELF pages\0 the_place\0")
    monkeypatch.setattr(resources, "collection_folders", lambda _: [tmp_path])
    return tmp_path


def form(name: str) -> SettingsForm:
    found = COLLECTED[name].settings_form
    assert found is not None
    return found


def one(spec: str) -> Allocator:
    (found,) = resolve(spec)
    return found


# ---- From keys to variables --------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "variables"),
    [
        (
            "jemalloc?narenas=1&background_thread=true",
            {"MALLOC_CONF": "narenas:1,background_thread:true"},
        ),
        (
            "libc?arena_max=1&tcache_count=0",
            {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1:glibc.malloc.tcache_count=0"},
        ),
        ("mimalloc?purge_delay=0", {"MIMALLOC_PURGE_DELAY": "0"}),
        ("tcmalloc?release_rate=0.5", {"TCMALLOC_RELEASE_RATE": "0.5"}),
        (
            "scudo?release_to_os_interval_ms=-1",
            {"SCUDO_OPTIONS": "GWP_ASAN_Enabled=false:release_to_os_interval_ms=-1"},
        ),
        ("phase2?env.ANY=a=b,c:d", {"ANY": "a=b,c:d"}),
        (
            "jemalloc?env.MALLOC_CONF=zero:true,junk:false&narenas=1",
            {"MALLOC_CONF": "zero:true,junk:false,narenas:1"},
        ),
        ("scudo?env.SCUDO_OPTIONS=zero_contents=true", {"SCUDO_OPTIONS": "zero_contents=true"}),
    ],
)
def test_settings_are_the_variables_that_the_allocator_reads(
    spec: str, variables: dict[str, str]
) -> None:
    found = one(spec)
    assert found.name == spec
    assert found.environment == variables


def test_several_values_are_an_arm_each_and_its_name_says_which() -> None:
    found = resolve("libc?arena_max=1,2,8")
    assert [each.name for each in found] == [f"libc?arena_max={n}" for n in (1, 2, 8)]
    assert [each.config for each in found] == [{"arena_max": str(n)} for n in (1, 2, 8)]
    assert len({each.environment["GLIBC_TUNABLES"] for each in found}) == 3


@pytest.mark.usefixtures("folder")
def test_settings_come_behind_those_of_the_description() -> None:
    assert one("mine?pages=8").environment == {"MINE": "first=1 pages=8"}


@pytest.mark.usefixtures("folder")
def test_a_file_under_a_name_of_the_collection_takes_its_settings() -> None:
    library = loader()  # a shared object
    found = one(f"mine={library}?pages=8")
    assert found.environment == {"MINE": "pages=8"}
    with pytest.raises(UsageError, match=r"no settings of it are known, so not 'pages': env\."):
        resolve(f"other={library}?pages=8")
    assert one(f"other={library}?env.A=1").environment == {"A": "1"}


# ---- What is refused ---------------------------------------------------------------------


@pytest.mark.parametrize(
    ("spec", "message"),
    [
        (
            "jemalloc?narena=1",
            "jemalloc: setting 'narena' does not exist: did you mean 'narenas', or "
            "env.VARIABLE=VALUE, which passes any variable?",
        ),
        ("mine?q=1", "there are few, lazy, mode, pages, place, rate, room, some, and env.VARIABLE"),
        ("mine?pages=many", "allocator mine: setting pages must be an integer, not 'many'"),
        ("mine?lazy=1", "setting lazy must be true or false, not '1'"),
        ("mine?rate=fast", "setting rate must be a number, not 'fast'"),
        ("mine?room=4X", "setting room must be a number of bytes, or of KiB, MiB or GiB as in"),
        ("mine?mode=c", "setting mode must be one of a, b, not 'c'"),
        ("mine?few=4", "setting few must be an integer from 1 to 3, not '4'"),
        ("mine?some=0", "setting some must be an integer from 1, not '0'"),
        ("libc?env.1A=1", "setting 'env.1A': '1A' is no variable's name"),
        ("libc?env.LD_PRELOAD=x", "LD_PRELOAD is set by allocphase itself"),
        ("libc?env.ALLOCPHASE_PADDING=x", "ALLOCPHASE_PADDING is set by allocphase itself"),
    ],
)
def test_a_setting_that_cannot_be_read_is_one_line_with_advice(
    spec: str, message: str, request: pytest.FixtureRequest
) -> None:
    if spec.startswith("mine"):
        request.getfixturevalue("folder")
    with pytest.raises(UsageError) as caught:
        resolve(spec)
    assert message in str(caught.value)


@pytest.mark.usefixtures("folder")
@pytest.mark.parametrize(
    "setting",
    [
        *("pages=-1", "pages=0x10", "rate=.5", "rate=1e3", "room=64MiB", "room=5", "place=/x"),
        *("few=0x3", "some=100"),
    ],
)
def test_what_an_allocator_can_read_is_taken(setting: str) -> None:
    assert one(f"mine?{setting}").environment["MINE"].endswith(setting)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (('variable = "MINE"', 'variable = "A B"'), "settings.variable: must be the name of a var"),
        (('separator = " "', ""), "settings.variable: wants {KEY} in it, or else pair and separ"),
        (('type = "integer"', 'type = "int"'), "settings.keys.pages.type: must be one of integer"),
        (
            ('type = "number"', 'type = "text", most = 1'),
            "settings.keys.rate.type: only an integer",
        ),
        (('kind = "preload"', 'kind = "plugin"'), "settings: is for kinds 'preload' and 'libc'"),
    ],
)
def test_a_broken_table_of_settings_is_one_line_with_the_key(
    folder: Path, change: tuple[str, str], message: str
) -> None:
    path = folder / "mine" / "allocator.toml"
    text = path.read_text().replace(*change)
    if "plugin" in change[1]:
        text = re.sub(r"\[preload\].*(?=\[settings\]\n)", "", text, flags=re.DOTALL)
    path.write_text(text)
    with pytest.raises(UsageError) as caught:
        resolve("mine")
    assert f"{path}: {message}" in str(caught.value)


# ---- What the object knows ---------------------------------------------------------------


@pytest.mark.usefixtures("folder")
def test_a_key_that_the_object_does_not_name_is_known_to_be_ignored() -> None:
    assert one("mine?pages=8&place=/x&lazy=true").ignored_settings() == ("lazy",)
    assert one("mine").ignored_settings() == ()


def test_libc_s_keys_are_looked_for_in_the_loader_that_reads_them() -> None:
    found = one("libc?arena_max=1")
    assert found.ignored_settings() == ()
    assert replace(found, config={"arena_least": "1"}).ignored_settings() == ("arena_least",)


def test_of_libc_s_keys_those_are_ignored_that_the_loader_does_not_list() -> None:
    path = loader()
    assert path is not None
    text = subprocess.run([path, "--list-tunables"], capture_output=True, text=True, check=True)
    listed = set(re.findall(r"^glibc\.malloc\.(\w+):", text.stdout, re.MULTILINE))
    every = replace(one("libc"), config=dict.fromkeys(form("libc").keys, "1"))
    assert set(every.ignored_settings()) == set(form("libc").keys) - listed
    assert {"arena_max", "tcache_count", "mmap_threshold", "trim_threshold"} <= listed


# ---- What the environment of a process is --------------------------------------------------


def test_variables_of_allocators_are_told_from_others() -> None:
    of_allocators = dict.fromkeys(
        [
            *("MALLOC_CONF", "JE_MALLOC_CONF", "_RJEM_MALLOC_CONF", "MALLOC_ARENA_MAX"),
            *("MALLOC_PERTURB_", "GLIBC_TUNABLES", "MIMALLOC_VERBOSE", "mimalloc_verbose"),
            *("TCMALLOC_RELEASE_RATE", "HEAPPROFILE", "SCUDO_OPTIONS", "TBB_MALLOC_USE_HUGE_PAGES"),
        ],
        "1",
    )
    others = dict.fromkeys(["PATH", "PYTHONMALLOC", "LD_LIBRARY_PATH", "MALLOCX", "A_MIMALLOC_"])
    everything = {**of_allocators, **dict.fromkeys(others, "1")}
    assert allocator_variables(everything) == of_allocators
    assert set(without_allocator_variables(everything)) == set(others)


def test_a_preload_comes_before_what_the_user_preloads(tmp_path: Path) -> None:
    found = replace(one("libc"), kind="preload", path=tmp_path / "a.so")
    inherited = {"LD_PRELOAD": "/b.so:/c.so", "HOME": "/h"}
    assert environment_of(found, inherited) == {
        "HOME": "/h",
        "LD_PRELOAD": f"{tmp_path}/a.so:/b.so:/c.so",
    }
    assert inherited == {"LD_PRELOAD": "/b.so:/c.so", "HOME": "/h"}


@pytest.mark.parametrize("name", ["a b.so", "a:b.so"])
def test_a_path_that_cannot_be_preloaded_is_refused(tmp_path: Path, name: str) -> None:
    found = replace(one("libc"), kind="preload", path=tmp_path / name)
    with pytest.raises(UsageError, match=r"cannot be preloaded: name a link to it"):
        environment_of(found, {})


def test_libc_without_settings_changes_nothing() -> None:
    inherited = {"LD_PRELOAD": "/b.so", "MALLOC_ARENA_MAX": "1"}
    assert environment_of(one("libc"), inherited) == inherited


def test_settings_are_joined_to_what_is_inherited_and_hold_over_it() -> None:
    found = environment_of(one("libc?arena_max=4"), {"GLIBC_TUNABLES": "glibc.malloc.arena_max=1"})
    assert found["GLIBC_TUNABLES"] == "glibc.malloc.arena_max=1:glibc.malloc.arena_max=4"


def test_a_plugin_is_named_to_the_library_that_makes_it_malloc(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(resources, "malloc_preload", lambda: tmp_path / "shim.so")
    found = one("phase2?objects_per_slab=8")
    made = environment_of(found, {"LD_PRELOAD": "/b.so", "GLIBC_TUNABLES": "glibc.a.b=1"})
    assert made == {
        "LD_PRELOAD": f"{tmp_path}/shim.so:/b.so",
        "ALLOCPHASE_PLUGIN": str(found.path),
        "ALLOCPHASE_PLUGIN_SETTINGS": "objects_per_slab=8",
        "GLIBC_TUNABLES": "glibc.a.b=1:glibc.rtld.optional_static_tls=65536",
    }


def test_what_is_kept_of_the_shell_lies_below_the_settings() -> None:
    kept = one("jemalloc?narenas=1").keeping({"MALLOC_CONF": "zero:true", "TCMALLOC_X": "1"})
    assert kept.environment == {"MALLOC_CONF": "zero:true,narenas:1", "TCMALLOC_X": "1"}
    assert one("phase2").keeping({"A": "1"}).environment == {"A": "1"}
