"""The settings that a search tries."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from allocphase import resources
from allocphase.commands import listing
from allocphase.errors import UsageError
from allocphase.tune import Space, space_of

MINE = """
title = "Mine"
summary = "An allocator."
kind = "preload"
[preload]
libraries = ["mine.so"]
[settings]
variable = "MINE_{KEY}"
named = "{key}"
[settings.keys]
pages = { type = "integer", default = "4", tune = [1, 16], meaning = "pages" }
lazy = { type = "boolean", default = "false", tune = [true], meaning = "laziness" }
gone = { type = "boolean", default = "false", tune = [true], meaning = "of another version" }
rate = { type = "number", default = "1.5", meaning = "a rate" }
"""


@pytest.fixture
def mine(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A collection of one preload, `mine`, whose object knows of some keys; its allocator.toml."""
    folder = tmp_path / "mine"
    folder.mkdir()
    (folder / "allocator.toml").write_text(MINE)
    (folder / "mine.so").write_bytes(b"\x7fELF pages\0lazy\0rate\0")
    monkeypatch.setattr(resources, "collection_folders", lambda _: [tmp_path])
    return folder / "allocator.toml"


def settings(space: Space) -> list[str]:
    return [arm.name.partition("?")[2] for arm in space.arms]


@pytest.mark.usefixtures("mine")
def test_values_that_are_named_are_every_combination_and_the_default_is_bare() -> None:
    found = space_of("mine?pages=1,2&rate=0.5,2")
    assert found.default.name == "mine"
    assert dict(found.default.environment) == {}
    wanted = ["pages=1&rate=0.5", "pages=1&rate=2", "pages=2&rate=0.5", "pages=2&rate=2"]
    assert settings(found) == wanted
    assert dict(found.arms[0].environment) == {"MINE_PAGES": "1", "MINE_RATE": "0.5"}


@pytest.mark.usefixtures("mine")
def test_a_bare_name_tries_what_its_file_suggests_each_beside_leaving_it_alone() -> None:
    found = space_of("mine")
    wanted = ["lazy=true", "pages=1", "pages=1&lazy=true", "pages=16", "pages=16&lazy=true"]
    assert settings(found) == wanted
    assert found.notes == ("mine: this build knows nothing of gone",)


@pytest.mark.usefixtures("mine")
def test_the_list_of_allocators_shows_what_would_be_tried() -> None:
    shown = " ".join(listing.allocators([space_of("mine").default], verbose=True).split())
    assert "pages: pages; an integer, default 4; tune tries 1, 16" in shown
    assert "rate: a rate; a number, default 1.5" in shown
    assert shown.endswith("default 1.5")


def test_a_value_that_the_allocator_cannot_read_is_refused_with_its_key(mine: Path) -> None:
    mine.write_text(MINE.replace("tune = [1, 16]", 'tune = [1, "many"]'))
    with pytest.raises(UsageError, match=re.escape("settings.keys.pages.tune[1]")):
        space_of("mine")


def test_where_nothing_is_suggested_the_error_says_how_to_name_values(mine: Path) -> None:
    mine.write_text(re.sub(r"tune = \[.*?\], ", "", MINE))
    with pytest.raises(UsageError, match=re.escape("as in -a 'mine?pages=VALUE,VALUE'")):
        space_of("mine")


def test_a_plug_in_s_own_defaults_are_no_arm() -> None:
    assert settings(space_of("phase2?objects_per_slab=1,8")) == ["objects_per_slab=8"]
    with pytest.raises(UsageError, match="that is the default: there is nothing to search"):
        space_of("phase2?objects_per_slab=1")


def test_a_plug_in_without_values_says_which_settings_it_has() -> None:
    with pytest.raises(UsageError, match=re.escape("-a 'phase2?objects_per_slab=VALUE,VALUE'")):
        space_of("phase2")


def test_the_floor_and_what_is_unknown_are_refused() -> None:
    with pytest.raises(UsageError, match="is the floor"):
        space_of("null?a=1,2")
    with pytest.raises(UsageError, match="did you mean 'phase2'"):
        space_of("phase2x?objects_per_slab=8")


def test_more_than_can_be_searched_is_refused_with_the_number() -> None:
    values = ",".join(str(n) for n in range(2, 602))
    with pytest.raises(UsageError, match="600 settings, at most 512 can be searched"):
        space_of(f"phase2?objects_per_slab={values}")
