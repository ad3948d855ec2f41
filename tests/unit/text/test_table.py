"""Tables: one model for the terminal and for Markdown."""

from __future__ import annotations

import io

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.text.console import terminal
from allocphase.text.table import Cell, Column, Table, folded, markdown_lines, rich_table

TABLE = Table(
    [Column("", figure=False, width=10), Column("a|b"), Column("sees")],
    [
        [Cell("syscalls.mprotect"), Cell("1"), Cell("5%")],
        [Cell("time", strong=True), Cell("12"), Cell("-")],
    ],
)


def printed(table: Table) -> list[str]:
    stream = io.StringIO()
    terminal(stream).print(rich_table(table))
    return [line.rstrip() for line in stream.getvalue().splitlines()]


def test_a_terminal_folds_names_at_their_dots_and_aligns_figures() -> None:
    assert printed(TABLE) == [
        "           a|b sees",
        "syscalls.    1   5%",
        "mprotect",
        "time        12    -",
    ]


def test_markdown_escapes_every_text_and_tells_what_must_be_seen() -> None:
    assert list(markdown_lines(TABLE)) == [
        "|  | a\\|b | sees |",
        "| --- | ---: | ---: |",
        "| syscalls.mprotect | 1 | 5% |",
        "| **time** | 12 | - |",
    ]


def test_a_table_without_a_column_has_the_others() -> None:
    assert printed(TABLE.without("sees"))[1:3] == ["syscalls.    1", "mprotect"]


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("not confirmed", 12, ["not", "confirmed"]),
        ("page_faults_in_calls", 15, ["page_faults_in_", "calls"]),
        ("short", 12, ["short"]),
        ("phase-report?allocations=6685", 16, ["phase-report?", "allocations=6685"]),
        ("anything at all", None, ["anything at all"]),
    ],
)
def test_a_name_is_folded_between_its_words(text: str, width: int | None, lines: list[str]) -> None:
    assert folded(text, width).split("\n") == lines


@given(st.text(alphabet="ab ._-?=", max_size=60), st.integers(4, 20))
def test_folding_loses_no_letter(text: str, width: int) -> None:
    assert "".join(folded(text, width).split()) == "".join(text.split())
