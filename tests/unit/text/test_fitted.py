"""Tables within a width: names are folded between words, figures never cut."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from rich.console import Console
from rich.text import Text

from allocphase.text.fitted import Column, Fitted, folded, longest_word

NAMES = ("phase2?objects_per_slab=64", "time", "syscalls.mprotect", "a-claim-of-a-long-name")
HEADS = ("baseline", "candidate", "change", "95% interval", "sees")
FIGURES = ("1,234 MiB", "1,234 MiB", "+9900%", "-0.60% to +1.6%", "3.1%")
TABLE = Fitted(
    [
        Column("", figure=False, width=8),
        Column("verdict", figure=False, width=8),
        *map(Column, HEADS),
    ],
    [
        [Text(name), Text("not confirmed"), *map(Text, FIGURES)]
        for name in NAMES
    ],
)  # fmt: skip


def printed(table: Fitted, width: int) -> list[str]:
    stream = io.StringIO()
    Console(file=stream, width=width, highlight=False, markup=False).print(table)
    return [line.rstrip() for line in stream.getvalue().splitlines()]


@pytest.mark.parametrize("width", [40, 60, 79, 80, 81, 100, 140])
def test_no_line_is_wider_no_figure_is_cut_and_no_word_is_broken(width: int) -> None:
    lines = printed(TABLE, width)
    assert max(map(len, lines)) <= width
    text = "\n".join(lines)
    for figure in FIGURES:
        assert len(re.findall(rf"(?<!\S){re.escape(figure)}(?!\S)", text)) >= len(NAMES)
    words = {word for name in NAMES for word in re.split(r"[._?=-]", name)}
    assert all(re.search(rf"(?<![a-z0-9]){word}(?![a-z0-9])", text) for word in words)


def test_a_wide_terminal_has_a_line_a_row_and_no_more_than_that() -> None:
    assert len(printed(TABLE, 140)) == 1 + len(NAMES)
    assert max(map(len, printed(TABLE, 140))) == max(map(len, printed(TABLE, 300)))


def test_figures_that_do_not_fit_stand_below_under_the_names_again() -> None:
    table = Fitted(
        [Column("", figure=False), Column("one"), Column("two"), Column("three")],
        [[Text("libc"), Text("1.00 GiB"), Text("2.00 GiB"), Text("3.00 GiB")]],
    )
    assert printed(table, 22) == [
        "          one      two",
        "libc 1.00 GiB 2.00 GiB",
        "        three",
        "libc 3.00 GiB",
    ]
    assert len(printed(table, 31)) == 2


def test_a_name_is_not_folded_for_a_figure_that_has_room_in_a_block_below() -> None:
    table = Fitted(
        [Column("", figure=False, width=8), *map(Column, ("one", "two", "three"))],
        [[Text("large-blocks"), Text("1.00 GiB"), Text("2.00 GiB"), Text("3.00 GiB")]],
    )
    assert printed(table, 31) == [
        "                  one      two",
        "large-blocks 1.00 GiB 2.00 GiB",
        "                three",
        "large-blocks 3.00 GiB",
    ]
    assert [len(printed(table, width)) for width in (29, 36, 40)] == [5, 3, 2]


def test_a_row_without_a_figure_there_is_left_out_of_a_block_below() -> None:
    table = Fitted(
        [Column("", figure=False), Column("one"), Column("two")],
        [
            [Text("time"), Text("1.00 ns"), Text("2.00 ns")],
            [Text("calls"), Text("-"), Text("-")],
        ],
    )
    assert printed(table, 14) == [
        "          one",
        "time  1.00 ns",
        "calls       -",
        "          two",
        "time  2.00 ns",
    ]
    assert len(printed(table, 30)) == 3


@given(st.text(alphabet="ab ._-?=", min_size=1, max_size=40), st.integers(5, 30))
def test_a_table_is_never_wider_than_its_place(name: str, width: int) -> None:
    table = Fitted([Column("n", figure=False), Column("f")], [[Text(name), Text("12")]])
    assert max(map(len, printed(table, width))) <= width


@pytest.mark.parametrize(
    ("text", "width", "lines"),
    [
        ("not confirmed", 12, ["not", "confirmed"]),
        ("page_faults_in_calls", 15, ["page_faults_in_", "calls"]),
        ("short", 12, ["short"]),
        ("phase-report?allocations=6685", 16, ["phase-report?", "allocations=6685"]),
    ],
)
def test_a_name_is_folded_between_its_words(text: str, width: int, lines: list[str]) -> None:
    assert folded(text, width).split("\n") == lines


@given(st.text(alphabet="ab ._-?=", max_size=60), st.integers(4, 20))
def test_folding_loses_no_letter(text: str, width: int) -> None:
    assert "".join(folded(text, width).split()) == "".join(text.split())


@given(st.text(alphabet="ab ._-?=", max_size=60), st.integers(0, 10))
def test_folded_lines_fit_where_the_longest_word_does(text: str, more: int) -> None:
    width = longest_word(text) + more
    assert max(map(len, folded(text, width).split("\n"))) <= width
