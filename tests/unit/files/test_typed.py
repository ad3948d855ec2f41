"""Documents as dataclasses: each annotation, each message with its place, and the way back."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.errors import UsageError
from allocphase.files.typed import (
    Check,
    Count,
    FieldError,
    Figure,
    Name,
    Number,
    Positive,
    at_most,
    figures,
    known,
    length,
    load_json,
    load_toml,
    plain,
    read,
)


class Colour(StrEnum):
    RED = "red"
    BLUE = "blue"


@dataclass(frozen=True, slots=True)
class Pair:
    """Knows of no documents: its fields are plain numbers."""

    low: float
    high: float


Key = Annotated[str, Check("a lower-case key", str.islower)]
Even = Check("of an even sum", lambda values: sum(values) % 2 == 0)
Odd = Check("a table of an odd size", lambda table: len(table) % 2 == 1)


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    name: Name
    count: Count = 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Document:
    """A field of every kind of annotation."""

    text: str
    flag: bool
    integer: int
    real: float
    anything: object
    name: Name
    number: Number
    positive: Positive
    count: Count
    figure: Figure
    small: Annotated[int, at_most(9)]
    colour: Colour
    word: Literal["yes", "no"]
    one_of_many: Annotated[str, known(("churn", "larson"))]
    pair: Annotated[Pair, figures(Pair)]
    nullable: str | None
    nullable_entry: Entry | None
    listing: tuple[Count, ...]
    three: Annotated[tuple[str, ...], length(3)]
    some: Annotated[tuple[Count, ...], length(least=1)]
    even: Annotated[tuple[int, ...], Even]
    row: tuple[str, Count]
    entries: Mapping[str, Count]
    keyed: Mapping[Key, Entry]
    odd: Annotated[Mapping[str, int], Odd]
    nested: tuple[Entry, ...]
    derived: str = field(init=False)
    listed_default: tuple[str, ...] = ()
    made_default: Mapping[str, str] = field(default_factory=dict)
    default: int = 5

    def __post_init__(self) -> None:
        object.__setattr__(self, "derived", self.text.upper())


VALUES: dict[str, Any] = {
    "text": "t",
    "flag": True,
    "integer": -3,
    "real": 1.5,
    "anything": [1, {"a": None}],
    "name": "phase1",
    "number": 2,
    "positive": 0.1,
    "count": 0,
    "figure": None,
    "small": 9,
    "colour": "blue",
    "word": "no",
    "one_of_many": "larson",
    "pair": {"low": 1, "high": None},
    "nullable": None,
    "nullable_entry": None,
    "listing": [],
    "three": ["a", "b", "c"],
    "some": [1],
    "even": [1, 3],
    "row": ["a", 1],
    "entries": {},
    "keyed": {"a": {"name": "n"}},
    "odd": {"a": 1},
    "nested": [{"name": "a"}, {"name": "b", "count": 2}],
}


def fault(**changes: object) -> str:
    """The message of the first fault in VALUES with these changes."""
    with pytest.raises(FieldError) as caught:
        read(Document, {**VALUES, **changes})
    return str(caught.value)


def test_a_document_has_its_types_and_its_defaults() -> None:
    found = read(Document, VALUES)
    assert (found.text, found.flag, found.integer, found.real) == ("t", True, -3, 1.5)
    assert found.anything == [1, {"a": None}]
    assert math.isnan(found.figure)
    assert found.colour is Colour.BLUE
    assert found.pair.low == 1
    assert math.isnan(found.pair.high)
    assert (found.nullable, found.nullable_entry) == (None, None)
    assert (found.three, found.row) == (("a", "b", "c"), ("a", 1))
    assert found.keyed == {"a": Entry(name="n")}
    assert found.nested == (Entry(name="a"), Entry(name="b", count=2))
    assert (found.listed_default, found.made_default, found.default) == ((), {}, 5)


def test_what_may_be_null_may_be_something() -> None:
    found = read(Document, {**VALUES, "nullable": "x", "nullable_entry": {"name": "n"}})
    assert (found.nullable, found.nullable_entry) == ("x", Entry(name="n"))


@pytest.mark.parametrize(
    ("key", "value", "message"),
    [
        ("text", 5, "text: must be a string, not 5"),
        ("flag", 1, "flag: must be true or false, not 1"),
        ("integer", True, "integer: must be an integer, not True"),
        ("integer", 1.0, "integer: must be an integer, not 1.0"),
        ("real", "1", "real: must be a number, not '1'"),
        ("real", None, "real: must be a number, not None"),
        ("name", "", "name: must be a string that can be printed, not ''"),
        ("name", "a\x1b[31m", "name: must be a string that can be printed, not 'a\\x1b[31m'"),
        ("number", False, "number: must be a number, not False"),
        ("positive", 0, "positive: must be a number from 1e-12 to 1e+18, not 0"),
        ("positive", 1e308, "positive: must be a number from 1e-12 to 1e+18, not 1e+308"),
        ("count", -1, "count: must be an integer of 0 or more, not -1"),
        ("figure", "nan", "figure: must be a number, not 'nan'"),
        ("figure", -1e31, "figure: must be a number of 1e+30 at most, not -1e+31"),
        ("pair", {"low": 1, "high": 1e31}, "pair.high: must be a number of 1e+30 at most"),
        ("small", 10, "small: must be an integer between 0 and 9, not 10"),
        ("colour", "green", "colour: must be one of red, blue, not 'green'"),
        ("word", ["no"], "word: must be one of yes, no, not ['no']"),
        ("one_of_many", 5, "one_of_many: must be a string, not 5"),
        (
            "one_of_many",
            "larsen",
            "one_of_many: name 'larsen' does not exist: did you mean 'larson'?",
        ),
        ("pair", {"low": 1}, "pair.high: missing"),
        ("pair", {"low": "1", "high": 2}, "pair.low: must be a number, not '1'"),
        ("nullable", 5, "nullable: must be a string, not 5"),
        ("nullable_entry", [], "nullable_entry: must be a table, not []"),
        ("listing", {}, "listing: must be a list, not {}"),
        ("listing", [1, None], "listing[1]: must be an integer of 0 or more, not None"),
        ("three", ["a"], "three: must be a list of 3, not ['a']"),
        ("three", "abc", "three: must be a list, not 'abc'"),
        ("some", [], "some: must have 1 or more"),
        ("even", [1, 2], "even: must be of an even sum, not (1, 2)"),
        ("even", [1, "2"], "even[1]: must be an integer, not '2'"),
        ("row", ["a"], "row: must be a list of 2, not ['a']"),
        ("row", ["a", "b"], "row[1]: must be an integer of 0 or more, not 'b'"),
        ("row", 5, "row: must be a list, not 5"),
        ("entries", [], "entries: must be a table, not []"),
        ("entries", {"a": -1}, "entries.a: must be an integer of 0 or more, not -1"),
        ("keyed", {"A": {"name": "n"}}, "keyed: must be a lower-case key, not 'A'"),
        ("keyed", {"a": {}}, "keyed.a.name: missing"),
        ("odd", {}, "odd: must be a table of an odd size, not {}"),
        ("odd", {"a": "1"}, "odd.a: must be an integer, not '1'"),
        ("nested", [{"name": "a"}, {}], "nested[1].name: missing"),
        ("nested", [{"name": "a", "count": -1}], "nested[0].count: must be an integer of"),
        ("nested", ["a"], "nested[0]: must be a table, not 'a'"),
        ("default", None, "default: must be an integer, not None"),
    ],
)
def test_the_first_fault_is_named_with_its_place(key: str, value: object, message: str) -> None:
    assert fault(**{key: value}).startswith(message)


@pytest.mark.parametrize("key", VALUES)
def test_what_must_be_there_is_missed_by_name(key: str) -> None:
    values = {name: value for name, value in VALUES.items() if name != key}
    with pytest.raises(FieldError) as caught:
        read(Document, values)
    assert str(caught.value) == f"{key}: missing"


def test_what_is_no_table_has_no_place() -> None:
    with pytest.raises(FieldError) as caught:
        read(Document, [])
    assert str(caught.value) == "must be a table, not []"


def test_a_long_value_is_quoted_in_part() -> None:
    assert len(fault(integer="x" * 10_000)) < 200


def test_keys_of_a_newer_file_are_left_alone() -> None:
    values = {**VALUES, "later": 1, "nested": [{"name": "a", "later": 2}]}
    assert read(Document, values).nested == (Entry(name="a"),)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"txt": "t"}, "key 'txt' does not exist: did you mean 'text'?"),
        ({"nested": [{"nme": "a"}]}, "nested[0]: key 'nme' does not exist: did you mean 'name'?"),
        (
            {"keyed": {"a": {"name": "n", "cuont": 1}}},
            "keyed.a: key 'cuont' does not exist: did you mean 'count'?",
        ),
        ({"nullable_entry": {"x": 1}}, "nullable_entry: key 'x' does not exist: there are"),
        ({"derived": "T"}, "key 'derived' does not exist: did you mean"),
    ],
)
def test_strict_reading_refuses_a_key_it_does_not_know_and_names_the_nearest(
    change: dict[str, Any], message: str
) -> None:
    with pytest.raises(FieldError) as caught:
        read(Document, {**VALUES, **change}, strict=True)
    assert str(caught.value).startswith(message)
    assert read(Document, VALUES, strict=True).text == "t"


def test_a_derived_field_is_written_in_its_place_and_never_read() -> None:
    found = read(Document, {**VALUES, "derived": "another"})
    assert found.derived == "T"
    keys = list(plain(found))
    assert keys[-1] == "derived"
    assert plain(found)["derived"] == "T"


def test_what_is_at_its_default_is_left_out_unless_defaults_are_wanted() -> None:
    found = read(Document, VALUES)
    assert plain(found) == {**VALUES, "nested": [{"name": "a"}, {"name": "b", "count": 2}]} | {
        "derived": "T"
    }
    whole = plain(found, defaults=True)
    assert (whole["listed_default"], whole["made_default"], whole["default"]) == ([], {}, 5)
    assert whole["nested"][0] == {"name": "a", "count": 0}
    changed = read(Document, {**VALUES, "default": 6, "made_default": {"a": "b"}})
    assert (plain(changed)["default"], plain(changed)["made_default"]) == (6, {"a": "b"})


def test_keys_are_written_in_the_order_of_the_fields() -> None:
    shuffled = dict(sorted(VALUES.items()))
    assert list(plain(read(Document, shuffled))) == [*VALUES, "derived"]


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf])
def test_what_is_not_finite_is_written_as_null(value: float) -> None:
    pair = Pair(value, 2.0)
    assert plain(pair) == {"low": None, "high": 2.0}
    assert plain([value, {"a": value}]) == [None, {"a": None}]


def test_enumerations_are_written_as_their_values_as_keys_too() -> None:
    written = plain({Colour.RED: Colour.BLUE})
    assert written == {"red": "blue"}
    assert {type(word) for pair in written.items() for word in pair} == {str}


names = st.text("abcxyz-.", min_size=1)
keys = st.text("abcxyz", min_size=1)
finite = st.floats(allow_nan=False, allow_infinity=False)
computed = st.floats(-1e30, 1e30)
counts = st.integers(0, 2**63)
made_entries = st.builds(Entry, name=names, count=counts)
documents = st.builds(
    Document,
    text=st.text(),
    flag=st.booleans(),
    integer=st.integers(-(2**63), 2**63),
    real=finite,
    anything=st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(keys, inner),
        max_leaves=5,
    ),
    name=names,
    number=finite | st.integers(-9, 9),
    positive=st.floats(1e-12, 1e18),
    count=counts,
    figure=computed,
    small=st.integers(0, 9),
    colour=st.sampled_from(Colour),
    word=st.sampled_from(("yes", "no")),
    one_of_many=st.sampled_from(("churn", "larson")),
    pair=st.builds(Pair, computed, computed),
    nullable=st.none() | st.text(),
    nullable_entry=st.none() | made_entries,
    listing=st.lists(counts).map(tuple),
    three=st.tuples(st.text(), st.text(), st.text()),
    some=st.lists(counts, min_size=1).map(tuple),
    even=st.lists(st.integers(-9, 9).map(lambda half: 2 * half)).map(tuple),
    row=st.tuples(st.text(), counts),
    entries=st.dictionaries(st.text(), counts),
    keyed=st.dictionaries(keys, made_entries),
    odd=st.fixed_dictionaries({"a": st.integers(-9, 9)}),
    nested=st.lists(made_entries).map(tuple),
    listed_default=st.lists(st.text()).map(tuple),
    made_default=st.dictionaries(keys, st.text()),
    default=st.integers(0, 9),
)


@given(documents, st.booleans())
def test_what_is_written_as_json_is_read_as_it_was(document: Document, defaults: bool) -> None:
    text = json.dumps(plain(document, defaults=defaults), allow_nan=False)
    assert read(Document, json.loads(text)) == document


# ---- Files -------------------------------------------------------------------------------


def test_a_json_file_is_read_by_its_schema(tmp_path: Path) -> None:
    path = tmp_path / "entry.json"
    path.write_text('{"schema": 3, "name": "a"}', encoding="utf-8")
    assert load_json(Entry, path, schema=3) == Entry(name="a")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "schema: this version reads schema 3"),
        ('{"name": "a"}', "schema: this version reads schema 3"),
        ('{"schema": 4, "name": 5}', "schema: this version reads schema 3"),
        ('{"schema": 3}', "name: missing"),
        ('{"schema": 3, "name": 5}', "name: must be a string that can be printed, not 5"),
        ("{", "not readable as JSON: "),
    ],
)
def test_a_json_file_that_is_none_such_is_named_with_the_key(
    tmp_path: Path, text: str, message: str
) -> None:
    path = tmp_path / "entry.json"
    path.write_text(text, encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_json(Entry, path, schema=3)
    assert str(caught.value).startswith(f"{path}: {message}")


def test_what_a_missing_json_file_means_the_caller_knows(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        load_json(Entry, tmp_path / "none.json", schema=3)


def test_a_toml_file_is_read_strictly(tmp_path: Path) -> None:
    path = tmp_path / "entry.toml"
    path.write_text('name = "a"\ncount = 2\n', encoding="utf-8")
    assert load_toml(Entry, path) == Entry(name="a", count=2)
    path.write_text('name = "a"\ncuont = 2\n', encoding="utf-8")
    with pytest.raises(UsageError) as caught:
        load_toml(Entry, path)
    assert str(caught.value) == f"{path}: key 'cuont' does not exist: did you mean 'count'?"
