"""One line out of any text, and lines that command nobody."""

from __future__ import annotations

import io
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from allocphase.text.console import terminal
from allocphase.text.line import inert

COMMANDS = (
    "::error::x",
    "  ::set-output name=a::b",
    "\t::add-mask::x",
    "a\n::warning file=b::c",
    "a\r::warning::c",
    "a\r\n \u00a0::debug::c",
    ":::error::x",
    "in a line ##[error]x",
    "####[group]x",
    "##vso[task.setvariable variable=a]b",
    "##teamcity[testFailed name='a']",
)


def commands(text: str) -> list[str]:
    """As runners read a log: actions/runner, ActionCommand.TryParseV2 and TryParse."""
    lines = re.split(r"\r\n|\n|\r", text)
    return [one for one in lines if one.strip().startswith("::") or re.search(r"##\w*\[", one)]


@pytest.mark.parametrize("text", COMMANDS)
def test_no_line_of_a_text_is_a_command_to_a_ci(text: str) -> None:
    assert commands(text)
    assert not commands(inert(text))
    assert re.sub(r"\s", "", inert(text)) == re.sub(r"\s", "", text)


@given(st.lists(st.sampled_from((*COMMANDS, ":", "#", "[", "\n", " ")) | st.text()).map("".join))
def test_nor_is_one_of_any_texts_together(text: str) -> None:
    assert not commands(inert(text))


@pytest.mark.parametrize("text", ["std::vector", "a: b", "# title", "[1]: #[x]", "time:larson"])
def test_another_text_stays_as_it_is(text: str) -> None:
    assert inert(text) == text


def test_no_line_that_folding_begins_is_one() -> None:
    for width in range(60, 100):
        stream = io.StringIO()
        terminal(stream).print("x" * width + " ::error::y")
        assert not commands(stream.getvalue())
