"""Time and instructions that do not tell the same: when it is said, and with which figures."""

from __future__ import annotations

import math

import pytest

from allocphase.analysis.discrepancy import INSTRUCTIONS, TIME, WITNESSES, Change, discrepancy
from allocphase.analysis.measures import Measure
from allocphase.analysis.metric_names import measure
from allocphase.stats import Interval

FAULTS, CALLS = measure("page_faults"), measure("syscalls")


def changed(
    one: Measure, ratio: float, *, half: float = 0.0, base: float = 100.0, known: float = 1.0
) -> Change:
    """By that ratio, and by `half` of it more or less."""
    found = Interval(ratio, ratio * (1 - half), ratio * (1 + half), known)
    return Change(measure=one, base=base, candidate=base * ratio, ratio=found)


def said(time: Change, instructions: Change, *others: Change) -> str:
    return discrepancy(time, instructions, others, name="new", base="old")


def test_a_time_that_moved_with_its_instructions_needs_no_word() -> None:
    assert said(changed(TIME, 1.1, half=0.01), changed(INSTRUCTIONS, 1.12)) == ""
    assert said(changed(TIME, 0.5, half=0.01), changed(INSTRUCTIONS, 0.3)) == ""


def test_neither_moved() -> None:
    assert said(changed(TIME, 1.01, half=0.02), changed(INSTRUCTIONS, 1.0)) == ""


def test_a_time_that_moved_alone_is_held_against_what_else_moved_that_way() -> None:
    text = said(
        changed(TIME, 1.1, half=0.01),
        changed(INSTRUCTIONS, 1.0),
        changed(FAULTS, 1.5),
        changed(CALLS, 0.5),
    )
    assert text == (
        "new takes 1.100x of the time of old (1.089 to 1.111x), and 1.000x of its instructions: "
        "they tell less than half of that. What else is more: page faults in operation, 100 to "
        "150; not counted: caches and branch prediction."
    )


def test_where_nothing_else_moved_it_is_said_what_was_looked_at() -> None:
    text = said(changed(TIME, 0.9, half=0.01), changed(INSTRUCTIONS, 1.0), changed(FAULTS, 1.5))
    assert text.endswith(
        "Of what was counted beside (page faults in operation), nothing is less; not counted: the "
        "kernel, caches and branch prediction."
    )
    bare = said(changed(TIME, 0.9, half=0.01), changed(INSTRUCTIONS, 1.0))
    assert "Nothing that could account for it was counted beside" in bare


def test_against_its_instructions() -> None:
    text = said(changed(TIME, 1.1, half=0.01), changed(INSTRUCTIONS, 0.9))
    assert "the time of old (1.089 to 1.111x), although 0.900x of its instructions." in text


def test_instructions_without_the_time_name_what_went_the_other_way() -> None:
    text = said(changed(TIME, 1.0, half=0.01), changed(INSTRUCTIONS, 1.2), changed(FAULTS, 0.5))
    assert text.startswith(
        "new takes 1.200x of the instructions of old, and its time does not follow: 1.000x (0.990 "
        "to 1.010x). What else is less: page faults in operation, 100 to 50"
    )


@pytest.mark.parametrize("instructions", [1.004, 1.015, 0.985])
def test_an_interval_that_holds_what_would_follow_says_nothing(instructions: float) -> None:
    assert said(changed(TIME, 1.0, half=0.01), changed(INSTRUCTIONS, instructions)) == ""


def test_a_count_whose_processes_differ_moved_only_where_the_ranges_do_not_meet() -> None:
    arms = changed(TIME, 1.1, half=0.01), changed(INSTRUCTIONS, 1.0)
    assert "What else" not in said(*arms, changed(FAULTS, 1.2, half=0.3))
    assert "What else is more" in said(*arms, changed(FAULTS, 1.2, half=0.01))


def test_a_count_from_nothing_is_more() -> None:
    found = Interval(math.inf, math.inf, math.inf, 1.0)
    new = Change(measure=CALLS, base=0.0, candidate=12.0, ratio=found)
    text = said(changed(TIME, 1.1, half=0.01), changed(INSTRUCTIONS, 1.0), new)
    assert "What else is more: system calls in operation, 0 to 12" in text


def test_what_was_not_measured_says_nothing() -> None:
    nothing = Interval(math.nan, -math.inf, math.inf, math.nan)
    time = Change(measure=TIME, base=math.nan, candidate=1.0, ratio=nothing)
    assert said(time, changed(INSTRUCTIONS, 1.2)) == ""


def test_the_witnesses_are_counts() -> None:
    assert not any(one.timed for _, one in WITNESSES)
