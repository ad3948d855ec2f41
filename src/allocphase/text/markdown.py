"""Text from elsewhere in Markdown, where it must stay text."""

from __future__ import annotations

import re

from allocphase.text.line import plain

__all__ = ["escaped"]

_SPECIAL = re.compile(r"([\\`*_\[\]<>#|~&])")
# GitHub looks for these when the Markdown is rendered already: a backslash is gone by then.
_REFERENCE = re.compile(r"@(?=\w)|#(?=\d)")
_ZERO_WIDTH_SPACE = "\u200b"


def escaped(text: str) -> str:
    """One line without markup, which notifies nobody by an @name and refers to no issue by #1.

    What a reader sees is `text` with a zero-width space in such places. GitHub's dialect.
    """
    apart = _REFERENCE.sub(lambda sign: sign[0] + _ZERO_WIDTH_SPACE, plain(text))
    return _SPECIAL.sub(r"\\\1", apart)
