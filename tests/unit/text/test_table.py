"""Tables: one model for the terminal and for Markdown."""

from __future__ import annotations

import io

from allocphase.text.console import terminal
from allocphase.text.fitted import Column
from allocphase.text.table import Cell, Table, markdown_lines, rich_table

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


def test_a_terminal_has_the_names_first_and_aligns_figures() -> None:
    assert printed(TABLE) == [
        "                  a|b sees",
        "syscalls.mprotect   1   5%",
        "time               12    -",
    ]


def test_markdown_escapes_every_text_and_tells_what_must_be_seen() -> None:
    assert list(markdown_lines(TABLE)) == [
        "|  | a\\|b | sees |",
        "| --- | ---: | ---: |",
        "| syscalls.mprotect | 1 | 5% |",
        "| **time** | 12 | - |",
    ]


def test_a_table_without_a_column_has_the_others() -> None:
    assert printed(TABLE.without("sees"))[1:] == [
        "syscalls.mprotect   1",
        "time               12",
    ]
