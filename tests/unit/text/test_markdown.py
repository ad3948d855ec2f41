"""Text from elsewhere in Markdown, read back by a renderer of CommonMark with GitHub's tables."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st
from markdown_it import MarkdownIt
from markdown_it.token import Token

from allocphase.text.line import plain
from allocphase.text.markdown import escaped

RENDERER = MarkdownIt("commonmark").enable(["table", "strikethrough"])

# What GitHub makes of a text when it is rendered: mentions, addresses, issues, links, emoji.
LIVE = re.compile(r"@\w|#\d|\bgh-\d|https?://|ftp://|www\.|:[\w+-]+:", re.IGNORECASE)

PARAGRAPH = ["paragraph_open", "inline", "paragraph_close"]
HEADING = ["heading_open", "inline", "heading_close"]
ITEM = ["bullet_list_open", "list_item_open", *PARAGRAPH, "list_item_close", "bullet_list_close"]
TABLE = ("table_", "thead_", "tbody_", "tr_", "th_", "td_", "inline")

HOSTILE = (
    *("1. one", "1.", "9) nine", "- item", "--", "---", "- - -", "+ item", "+", "= =", "=", "==="),
    *(":-", "-:", ":-:", "    code", "\tcode", "# title", "> quote", "```", "~~~", "a\n===\nb"),
    *("*a* _b_ **c** ~~d~~ ~e~", "`code`", "[a](b)", "![a](b)", "[a]: b", "[^1]", "- [ ] task"),
    *("<b>", "<!-- ", "<script>", "<http://a.bc>", "&amp;", "&#64;name", "a | b", "| - | - |"),
    *("@name", "\\@name", "a@b.cd", "a@-b.cd", "@org/team", "#1", "\\#1", "o/r#12", "GH-1", "gh-2"),
    *("www.a.bc", "WWW.a.bc", "http://a.bc", "https://a.bc/d?e=f", "Ftp://a.bc", "mailto:a@b.cd"),
    *(":tada:", "::tada::", ":+1:", "\\", "a\\", "\\\\", "!", "a  ", "\x00\x1b[31m", "a\u2028b"),
)

# An empty line is no block, and a lone dash stays what it is: see below.
anything = (
    st.lists(st.sampled_from(HOSTILE) | st.text(max_size=3)).map("".join) | st.text()
).filter(lambda text: plain(text) not in ("", "-"))


def shown(markdown: str, blocks: list[str]) -> str:
    """The text of the one inline block of what is rendered; around it these blocks alone."""
    tokens = RENDERER.parse(markdown)
    assert [token.type for token in tokens] == blocks
    return text_of(tokens[blocks.index("inline")])


def text_of(inline: Token) -> str:
    children = inline.children or []
    assert {child.type for child in children} <= {"text", "softbreak"}
    return "".join(child.content or "\n" for child in children)


def is_text(rendered: str, text: str) -> bool:
    """Whether a reader sees the line, and GitHub nothing else."""
    return rendered.replace("\u200b", "") == plain(text) and not LIVE.search(rendered)


@pytest.mark.parametrize("text", HOSTILE)
def test_hostile_text_stays_text_wherever_it_is_put(text: str) -> None:
    stays_text_wherever_it_is_put(text)


@given(anything)
def test_any_text_stays_text_wherever_it_is_put(text: str) -> None:
    stays_text_wherever_it_is_put(text)


def stays_text_wherever_it_is_put(text: str) -> None:
    line = escaped(text)
    assert is_text(shown(line, PARAGRAPH), text)
    assert is_text(shown(f"- {line}", ITEM), text)
    assert is_text(shown(f"# {line}", HEADING), text)
    before, _, after = shown(f"before\n{line}", PARAGRAPH).partition("\n")
    assert before == "before"
    assert is_text(after, text)


@given(anything)
def test_any_text_stays_in_its_cell_of_a_table(text: str) -> None:
    tokens = RENDERER.parse(f"| a | b |\n| --- | --- |\n| {escaped(text)} | x |")
    cells = [text_of(token) for token in tokens if token.type == "inline"]
    assert cells[:2] + cells[3:] == ["a", "b", "x"]
    assert is_text(cells[2], text)
    assert not [token for token in tokens if not token.type.startswith(TABLE)]


@given(st.text())
def test_no_sign_of_markup_is_without_its_backslash(text: str) -> None:
    found = escaped(text)
    assert "\n" not in found
    assert not re.search(r"(?<!\\)(?:\\\\)*[|<>`*_\[\]]", found)


def test_a_lone_dash_is_what_a_table_has_for_a_missing_figure() -> None:
    assert escaped("-") == "-"


@pytest.mark.parametrize(
    "text", ["1.05x", "-5.0%", "+3%", "2.5 of 3.5", "12:30", "phase2?a=1", ".5"]
)
def test_figures_and_names_are_readable_in_the_source_too(text: str) -> None:
    assert escaped(text) == text


def test_what_no_renderer_could_show_is_a_question_mark() -> None:
    assert escaped("\x1b[31m red") == "?\\[31m red"
