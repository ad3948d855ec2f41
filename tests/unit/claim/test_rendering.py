"""Judged claims on the terminal, in Markdown and in JSON."""

from __future__ import annotations

import io
import json
import math

from allocphase.claim import (
    Finding,
    Judged,
    Section,
    Verdict,
    print_section,
    section_document,
    section_markdown,
)

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
SECTION = Section(
    title="Claims",
    source="A report.",
    run="by hand, 2026-01-01",
    machine="Abacus",
    claims=(
        Judged("C1", "Slow is slower than quick | by far", "page 1", (SUM, TIMED)),
        Judged("a-claim-of-a-long-name", "Quick | is quick", "page 2", (TIMED,)),
    ),
    thesis=("What is removed is gone.",),
)

TERMINAL = """\
Claims
A report.
Run: by hand, 2026-01-01, Abacus

C1           inconsistent   Slow is slower than quick | by far
             inconsistent   20.0x; claimed: 54.0x
                            its own figures: 6.46 µs / 323 ns
             inconclusive   2.00x (too few rounds for an interval); claimed: at
                            most 1.50x
                            time_per_op_ns of slow / quick on flow
                            ! slow: a timed process was interrupted 102 times:
                            the machine was not idle

a-claim-of-a inconclusive   Quick | is quick
-long-name
                            2.00x (too few rounds for an interval); claimed: at
                            most 1.50x
                            time_per_op_ns of slow / quick on flow
                            ! slow: a timed process was interrupted 102 times:
                            the machine was not idle

What is removed is gone.

2 claims: 1 inconsistent, 1 inconclusive
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


def test_no_escape_sequence_leaves_a_stream_that_is_no_terminal() -> None:
    assert "\x1b" not in printed(SECTION)


def test_markdown_has_a_row_for_each_check_and_its_bars_do_not_break_the_table() -> None:
    text = section_markdown(SECTION)
    assert text.startswith(MARKDOWN)
    rows = text.removeprefix(MARKDOWN).splitlines()[:3]
    assert [row.replace("\\|", "").count("|") for row in rows] == [6, 6, 6]
    assert rows[0].startswith("| C1: Slow is slower than quick \\| by far | **inconsistent** |")
    assert rows[1].startswith("|  |  | time_per_op_ns")
    assert text.endswith("\n\nWhat is removed is gone.\n")


def test_json_has_base_units_and_null_for_an_open_side() -> None:
    document = json.loads(json.dumps(section_document(SECTION), allow_nan=False))
    assert document["counts"] == {"inconsistent": 1, "inconclusive": 1}
    claim = document["claims"][0]
    assert (claim["verdict"], claim["own_figures"]) == ("inconsistent", "inconsistent")
    assert document["claims"][1]["own_figures"] is None
    timed = claim["checks"][1]
    assert (timed["value"], timed["lower"], timed["upper"]) == (2.0, 0.0, None)
    assert timed["notes"] == list(TIMED.notes)
