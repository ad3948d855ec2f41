"""The grammar NAME[=FILE]|FOLDER[?KEY=VALUE,VALUE&KEY=VALUE]."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from allocphase.errors import UsageError
from allocphase.spec import (
    ENVIRONMENT_PREFIX,
    Setting,
    Spec,
    base_name,
    found_arm,
    items,
    listed,
    written,
)

ALLOCATOR = "it is written NAME[=FILE]|FOLDER[?KEY=VALUE,VALUE&KEY=VALUE]"
SCENARIO = "it is written NAME[?KEY=VALUE,VALUE&KEY=VALUE]"

# What a name, a key, a value and a file may be made of: all but the signs of the grammar.
plain = st.text(st.characters(exclude_characters="?=&,", categories=["L", "N", "P", "S"]))
words = plain.filter(bool)
names = words.filter(lambda word: "/" not in word and word not in (".", ".."))
settings = st.dictionaries(words, st.lists(words, min_size=1, unique=True), max_size=3)


def with_single_variables(values: dict[str, list[str]]) -> dict[str, list[str]]:
    """A variable of an allocator's process has one value, which keeps its commas."""
    return {
        key: [",".join(found)] if key.startswith(ENVIRONMENT_PREFIX) else found
        for key, found in values.items()
    }


def spec_of(name: str, file: str | None, values: dict[str, list[str]]) -> Spec:
    return Spec(name, file, tuple(Setting(key, tuple(found)) for key, found in values.items()))


@given(names, st.none() | words, settings.map(with_single_variables))
@example("libc", None, {"env.": ["0,1"]})
def test_what_is_written_reads_as_what_it_was(
    name: str, file: str | None, values: dict[str, list[str]]
) -> None:
    spec = spec_of(name, file, values)
    assert Spec.of_allocator(str(spec)) == spec


@given(words, settings)
def test_a_scenario_reads_as_what_it_was_too(name: str, values: dict[str, list[str]]) -> None:
    spec = spec_of(name, None, values)
    assert Spec.of_scenario(str(spec)) == spec


def test_a_specification_has_a_name_a_file_and_settings() -> None:
    found = Spec.of_allocator("mine=./a=b.so?chunk=64&pool=1,2")
    assert (found.name, found.file) == ("mine", "./a=b.so")
    assert found.settings == (Setting("chunk", ("64",)), Setting("pool", ("1", "2")))
    assert Spec.of_allocator("libc") == Spec.of_allocator("libc?") == Spec("libc")


def test_a_value_may_have_an_equals_sign_and_a_question_mark() -> None:
    assert Spec.of_allocator("a?b=c=d?e").settings == (Setting("b", ("c=d?e",)),)


def test_a_variable_has_one_value_with_all_its_commas() -> None:
    text = "jemalloc?env.MALLOC_CONF=narenas:1,zero:true&narenas=1,4"
    found = Spec.of_allocator(text)
    assert found.points() == [
        {"env.MALLOC_CONF": "narenas:1,zero:true", "narenas": count} for count in ("1", "4")
    ]
    assert str(found) == text
    assert Spec.of_allocator(written("jemalloc", found.points()[0])).points() == found.points()[:1]


@pytest.mark.parametrize(
    ("text", "name", "file"),
    [
        ("./mine", "mine", "./mine"),
        ("../a/b.d/", "b.d", "../a/b.d/"),
        ("/opt/mine", "mine", "/opt/mine"),
    ],
)
def test_a_folder_alone_has_the_name_of_its_last_part(text: str, name: str, file: str) -> None:
    found = Spec.of_allocator(f"{text}?chunk=64,8")
    assert (found.name, found.file, found.named) == (name, file, False)
    assert found.settings == (Setting("chunk", ("64", "8")),)
    assert str(found) == f"{text}?chunk=64,8"
    assert found.label == f"{name}?chunk=64,8"
    named = Spec.of_allocator(f"other={text}")
    assert (named.name, named.file, named.named) == ("other", file, True)


def test_this_folder_and_the_one_above_have_their_own_names(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "below").mkdir()
    monkeypatch.chdir(tmp_path / "below")
    assert Spec.of_allocator(".").name == "below"
    assert Spec.of_allocator("..").name == tmp_path.name
    assert Spec.of_allocator("../below/..").name == tmp_path.name


def test_a_scenario_s_path_may_have_an_equals_sign() -> None:
    found = Spec.of_scenario("/a=b/web.toml?live=3")
    assert (found.name, found.file, found.is_path) == ("/a=b/web.toml", None, True)
    assert not Spec.of_scenario("larson*").is_path


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("", "there is no name"),
        ("=x.so", "there is no name"),
        ("?a=1", "there is no name"),
        ("mine=", "there is no file after the ="),
        ("/", "it cannot be called '', give it a name"),
        ("mine=?a=1", "there is no file after the ="),
        ("a?b", "'b' has no value, or an empty one"),
        ("a?b=", "'b' has no value, or an empty one"),
        ("a?b=1,", "'b' has no value, or an empty one"),
        ("a?b=1,,2", "'b' has no value, or an empty one"),
        ("a?=5", "'=5' has no key"),
        ("a?b=1&", "'' has no key"),
        ("a?&b=1", "'' has no key"),
        ("a?b=1&b=2", "'b' is set twice"),
        ("a?b=1,2,1", "'b' has a value twice"),
        ("a\nb", "it cannot be printed"),
        ("a?b=\x07", "it cannot be printed"),
    ],
)
def test_a_bad_specification_is_told_with_what_is_wrong_and_how_it_is_written(
    text: str, reason: str
) -> None:
    with pytest.raises(UsageError) as caught:
        Spec.of_allocator(text)
    assert str(caught.value) == f"allocator {text!r}: {reason}: {ALLOCATOR}"


@pytest.mark.parametrize(
    ("text", "reason"),
    [("", "there is no name"), ("?a=1", "there is no name"), ("a?=5", "'=5' has no key")],
)
def test_a_bad_specification_of_a_scenario_has_its_own_form(text: str, reason: str) -> None:
    with pytest.raises(UsageError) as caught:
        Spec.of_scenario(text, where="mine.toml: ")
    assert str(caught.value) == f"mine.toml: scenario {text!r}: {reason}: {SCENARIO}"


def test_more_combinations_than_a_run_has_cells_are_refused_before_they_are_made() -> None:
    """Forty settings of two values: 2^40 points."""
    text = "a?" + "&".join(f"k{index}=1,2" for index in range(40))
    with pytest.raises(UsageError, match="more than 10000 combinations"):
        Spec.of_allocator(text).points()
    many = "a?" + "&".join(f"k{index}=1" for index in range(30_000))
    assert Spec.of_allocator(many).points() == [{f"k{index}": "1" for index in range(30_000)}]


def test_points_are_every_combination_in_the_order_that_is_written() -> None:
    assert Spec.of_allocator("a?b=1,2&c=3,4").points() == [
        {"b": "1", "c": "3"},
        {"b": "1", "c": "4"},
        {"b": "2", "c": "3"},
        {"b": "2", "c": "4"},
    ]
    assert Spec.of_allocator("a").points() == [{}]


def test_another_value_takes_the_place_of_the_one_before() -> None:
    spec = Spec.of_scenario("a?b=1&c=2")
    assert str(spec.with_setting("b", "3")) == "a?b=3&c=2"
    assert str(spec.with_setting("d", "3")) == "a?b=1&c=2&d=3"
    assert str(Spec("a").with_setting("d", "3")) == "a?d=3"


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("phase2?objects_per_slab=8", "phase2?objects_per_slab=8"),
        ("mine=./libmine.so?chunk=64", "mine?chunk=64"),
        ("a/b=mine.so", "a/b"),
    ],
)
def test_a_run_calls_an_allocator_by_its_name_without_the_file(text: str, label: str) -> None:
    assert Spec.of_allocator(text).label == label


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("larson", "larson"),
        ("mixes/web.toml?live=3", "web?live=3"),
        ("web.toml", "web"),
        ("mixes/web", "web"),
    ],
)
def test_a_run_calls_a_scenario_by_its_file_s_name(text: str, label: str) -> None:
    assert Spec.of_scenario(text).label == label


def test_a_name_in_a_run_is_written_and_taken_apart() -> None:
    assert written("a", {"b": "1", "c": "2"}) == "a?b=1&c=2"
    assert written("a", {}) == base_name("a") == "a"
    assert base_name("a?b=1&c=2") == "a"


@given(st.lists(st.integers() | st.floats(-1e12, 1e12), min_size=1))
def test_a_list_is_one_value_whose_items_come_back(found: list[float]) -> None:
    assert items(listed(found)) == [str(item) for item in found]
    assert Setting.read(f"a={listed(found)}", where="", form="").values == (listed(found),)


def test_a_list_is_joined_by_plus_signs() -> None:
    assert listed((16, 64)) == "16+64"
    assert items("16+64") == ["16", "64"]


ARMS = {
    "phase21": {},
    "phase21?pool_bytes=1048576": {"pool_bytes": "1048576"},
    "mine": {"a": "1", "b": "2"},
}


@pytest.mark.parametrize(
    ("name", "arm"),
    [
        ("phase21?pool_bytes=1048576", "phase21?pool_bytes=1048576"),
        ("phase21?pool_bytes=4096", None),
        ("mine", "mine"),
        ("mine?a=1", "mine"),
        ("mine?b=2&a=1", "mine"),
        ("mine?a=2", None),
        ("mine?c=1", None),
        ("other", None),
    ],
)
def test_an_arm_that_kept_its_name_is_found_by_its_settings(name: str, arm: str | None) -> None:
    assert found_arm(name, ARMS) == arm
