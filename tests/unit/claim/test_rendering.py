"""Judged claims on the terminal, in Markdown and in JSON."""

from __future__ import annotations

import functools
import io
import json
import math
from dataclasses import replace

import pytest
from markdown_it import MarkdownIt

from allocphase.claim import (
    Finding,
    Judged,
    Section,
    Verdict,
    print_section,
    section_document,
    section_markdown,
)
from tests.support.screens import shown_at

TIMED = Finding(
    form="ratio",
    subject="time_per_op_ns of slow / quick on flow",
    verdict=Verdict.INCONCLUSIVE,
    expected="at most 1.50x",
    measured="2.00x (too few rounds for an interval)",
    value=2.0,
    lower=0.0,
    upper=math.inf,
    notes=("slow: a timed process was interrupted 102 times: the machine was not idle",),
)
SUM = Finding(
    form="arithmetic",
    subject="its own figures: 6.46 µs / 323 ns",
    verdict=Verdict.INCONSISTENT,
    expected="54.0x",
    measured="20.0x",
    value=19.99,
)
TIED = Finding(
    form="ratio",
    part="the time",
    subject="time_per_op_ns of slow / quick on flow",
    verdict=Verdict.DIFFERS_HERE,
    expected="about 54.0x (43.2x to 67.5x)",
    measured="2.00x (1.90x to 2.10x)",
    value=2.0,
    lower=1.9,
    upper=2.1,
    tied_to="the kernel's mmap()",
)
NOTE = Finding(
    form="note",
    part="of the frees",
    subject="syscalls.operation.munmap of slow on flow",
    verdict=Verdict.NOTED,
    expected="",
    measured="1,000",
    value=1000.0,
)
SECTION = Section(
    title="Claims",
    source="A report.",
    run="by hand, 2026-01-01",
    machine="Abacus",
    claims=(
        Judged("C1", "Slow is slower than quick | by far", "page 1", (SUM, TIMED)),
        Judged("a-claim-of-a-long-name", "Quick | is quick", "page 2", (TIMED,)),
        Judged("C3", "Slow is 54x slower than quick", "page 3", (TIED, NOTE)),
    ),
    thesis=("What is removed is gone.",),
)

TERMINAL = """\
Claims
A report.
Run: by hand, 2026-01-01, Abacus

C1          inconsistent       Slow is slower than quick | by far
            inconsistent       20.0x; claimed: 54.0x
                               its own figures: 6.46 µs / 323 ns
            inconclusive       2.00x (too few rounds for an interval); claimed:
                               at most 1.50x
                               time_per_op_ns of slow / quick on flow
                               ! slow: a timed process was interrupted 102
                               times: the machine was not idle

a-claim-of- inconclusive       Quick | is quick
a-long-name
                               2.00x (too few rounds for an interval); claimed:
                               at most 1.50x
                               time_per_op_ns of slow / quick on flow
                               ! slow: a timed process was interrupted 102
                               times: the machine was not idle

C3          differs here       Slow is 54x slower than quick
            differs here       the time
                               2.00x (1.90x to 2.10x); claimed: about 54.0x
                               (43.2x to 67.5x)
                               time_per_op_ns of slow / quick on flow
                               ! need not travel: tied to the kernel's mmap()
            noted              of the frees
                               1,000
                               syscalls.operation.munmap of slow on flow

What is removed is gone.

3 claims: 1 inconsistent, 1 inconclusive, 1 differs here
"""

MARKDOWN = """\
## Claims

A report. Run: by hand, 2026-01-01, Abacus.

| claim | verdict | what was checked | claimed | found |
| --- | --- | --- | --- | --- |
"""


def printed(section: Section) -> str:
    stream = io.StringIO()
    print_section(section, stream)
    return "".join(f"{line.rstrip()}\n" for line in stream.getvalue().splitlines())


def test_each_claim_stands_with_its_verdict_and_its_figures_in_80_columns() -> None:
    assert printed(SECTION) == TERMINAL
    assert max(len(line) for line in TERMINAL.splitlines()) <= 80


@pytest.mark.parametrize("columns", [60, 140])
def test_claims_are_as_wide_as_their_terminal(
    columns: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    lines = shown_at(columns, functools.partial(print_section, SECTION), monkeypatch)
    longest = max(map(len, map(str.rstrip, lines)))
    assert longest <= columns and (longest > 80) == (columns == 140)
    assert any(line.startswith("a-claim-of-") for line in lines)
    interval = "2.00x (1.90x to 2.10x); claimed: about 54.0x (43.2x to 67.5x)"
    assert any(interval in line for line in lines) == (columns == 140)


def test_no_escape_sequence_leaves_a_stream_that_is_no_terminal() -> None:
    assert "\x1b" not in printed(SECTION)


def test_markdown_has_a_row_for_each_check_and_its_bars_do_not_break_the_table() -> None:
    text = section_markdown(SECTION)
    assert text.startswith(MARKDOWN)
    rows = text.removeprefix(MARKDOWN).splitlines()[:3]
    assert [row.replace("\\|", "").count("|") for row in rows] == [6, 6, 6]
    assert rows[0].startswith("| C1: Slow is slower than quick \\| by far | **inconsistent** |")
    assert rows[1].startswith("|  |  | time\\_per\\_op\\_ns")
    assert (
        "| the time: time\\_per\\_op\\_ns of slow / quick on flow | about 54.0x (43.2x to" in text
    )
    assert "to 2.10x) (need not travel: tied to the kernel's mmap()) |" in text
    assert text.endswith("\n\nWhat is removed is gone.\n")


def test_json_has_base_units_and_null_for_an_open_side() -> None:
    document = json.loads(json.dumps(section_document(SECTION), allow_nan=False))
    assert document["counts"] == {"inconsistent": 1, "inconclusive": 1, "differs here": 1}
    claim = document["claims"][0]
    assert (claim["verdict"], claim["own_figures"]) == ("inconsistent", "inconsistent")
    assert document["claims"][1]["own_figures"] is None
    timed = claim["checks"][1]
    assert (timed["value"], timed["lower"], timed["upper"]) == (2.0, 0.0, None)
    assert timed["notes"] == list(TIMED.notes)
    tied = document["claims"][2]["checks"][0]
    assert (tied["part"], tied["tied_to"]) == (TIED.part, TIED.tied_to)


def test_nothing_that_a_claim_or_an_allocator_says_is_markup() -> None:
    """One function escapes it all: tests/unit/text/test_markdown.py tries that."""
    markup = "<b>|`x`, *y* [z](http://a.bc) @all #1\n# w"
    told = replace(
        TIED, subject=markup, measured=markup, expected=markup, part=markup, tied_to=markup
    )
    section = Section(
        title=markup,
        source=markup,
        run=markup,
        machine=markup,
        claims=(Judged(markup, markup, markup, (told, told)),),
        thesis=(markup,),
    )
    text = section_markdown(section)
    tokens = MarkdownIt("commonmark").enable("table").parse(text)
    inline = [child for token in tokens for child in token.children or ()]
    assert {child.type for child in inline} == {"text", "strong_open", "strong_close"}
    assert [token.type for token in tokens].count("tr_open") == 3
    assert [token.type for token in tokens].count("td_open") == 10
    assert "@all" not in text
    assert "#1" not in text
