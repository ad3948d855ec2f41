"""Text that reports make: doubts in few lines, figures, escapes."""

from __future__ import annotations

import json
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.analysis.warning_kinds import CellWarning, Kind
from allocphase.report.content.doubts import Doubt, doubts
from allocphase.report.content.values import format_rate, format_share, operations_text
from allocphase.report.figures.catalogue import slug
from allocphase.report.page.payload import as_json, packed
from tests.support.cells import cell_of
from tests.support.manifests import scenario_entry


def test_equal_warnings_are_said_once_with_the_range_of_their_numbers() -> None:
    cells = [
        cell_of("a", {}, CellWarning(Kind.SKIPPED, (900,)), CellWarning(Kind.LOCKED)),
        cell_of("b", {}, CellWarning(Kind.SKIPPED, (1200,))),
        cell_of("c", {}, CellWarning(Kind.SKIPPED, (900,))),
        cell_of("d", {}, CellWarning(Kind.EMULATED, words="calloc")),
        cell_of("e", {}, CellWarning(Kind.EMULATED, words="realloc")),
    ]
    found = doubts(cells)
    assert [doubt.allocators for doubt in found] == [("a", "b", "c"), ("a",), ("d",), ("e",)]
    assert found[0].text.startswith("900 to 1,200 frees from a foreign domain were skipped")
    assert found[1] == Doubt(Kind.LOCKED.value, ("a",))


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "-"),
        (0.0, "0"),
        (1.0, "1.00"),
        (0.56, "0.56"),
        (0.00075, "0.00075"),
        (2e-6, "<0.00001"),
    ],
)
def test_a_rate_keeps_two_digits_and_never_becomes_zero_by_rounding(
    value: float | None, text: str
) -> None:
    assert format_rate(value) == text


@pytest.mark.parametrize(
    ("value", "text"), [(None, "-"), (-0.01, "-0.01"), (19.4, "19.4"), (1234.5, "1,234")]
)
def test_a_share_has_three_digits(value: float | None, text: str) -> None:
    assert format_share(value) == text


@pytest.mark.parametrize(
    ("counts", "text"),
    [
        ({}, ""),
        ({"malloc": 1000, "write": 0, "free_foreign": 0}, ""),
        ({"write": 17_000}, ", 17,000 of them writes"),
        ({"free_foreign": 1163}, ", 1,163 of them foreign frees"),
        ({"free_foreign": 5, "write": 9}, ", 9 of them writes and 5 of them foreign frees"),
    ],
)
def test_operations_that_are_no_calls_are_told_apart(counts: dict[str, int], text: str) -> None:
    scenario = scenario_entry("some", 49_163, operation_counts=counts)
    assert operations_text(scenario) == f"49,163 operations{text}"


def test_a_paced_scenario_says_how_much_work_lies_between_its_calls() -> None:
    scenario = scenario_entry("some", 9, operation_counts={"write": 2}, work_ns=1500)
    assert operations_text(scenario) == (
        "9 operations, 2 of them writes, paced: 1,500 ns of work between calls"
    )


@given(st.dictionaries(st.text(), st.text()))
def test_json_in_a_script_element_cannot_end_it_and_reads_back(values: dict[str, str]) -> None:
    text = str(as_json(values))
    assert "<" not in text
    assert json.loads(text) == values


def test_arrays_are_packed_little_endian() -> None:
    assert packed(np.array([1, 2]), "u2") == "u2:AQACAA=="


@given(st.lists(st.text(min_size=1), unique=True, max_size=8))
def test_names_of_files_are_plain_and_distinct(names: list[str]) -> None:
    slugs = [slug(name, index) for index, name in enumerate(names)]
    assert all(re.fullmatch(r"[A-Za-z0-9._-]*", text) for text in slugs)
    assert len(set(slugs)) == len(slugs)
