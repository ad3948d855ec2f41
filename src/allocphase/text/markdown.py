"""Text from elsewhere in Markdown, where it must stay text."""

from __future__ import annotations

import re

from allocphase.text.line import plain

__all__ = ["escaped"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&])")
# A list, a rule, the line under a heading or a table. A lone dash stays: a missing figure has it.
_BEGINNING = re.compile(r"^([0-9]{1,9})?(:?[-+=.)])(?=[-=:\s]|(?<!^-)$)")
# GitHub looks for these when the Markdown is rendered already: a backslash is gone by then.
_REFERENCE = re.compile(
    r"@(?=\S)|#(?=\d)|\bgh(?=-\d)"  # somebody's name or address, and issues
    r"|:(?=//)|www(?=\.)"  # links
    r"|:(?=[\w+-]+:)",  # emoji
    re.IGNORECASE,
)
_ZERO_WIDTH_SPACE = "\u200b"


def escaped(text: str) -> str:
    """One line without markup, which notifies nobody by an @name and refers to no issue by #1.

    What a reader sees is `text` with a zero-width space in such places, in addresses and in the
    names of emoji. GitHub's dialect.
    """
    apart = _REFERENCE.sub(lambda sign: sign[0] + _ZERO_WIDTH_SPACE, plain(text))
    return _BEGINNING.sub(r"\1\\\2", _SPECIAL.sub(r"\\\1", apart))
