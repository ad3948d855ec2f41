"""Text from elsewhere among lines of our own."""

from __future__ import annotations

import re

__all__ = ["inert", "plain"]

# GitHub takes a line that begins with :: for a command, blanks before it or not, and ##[ anywhere;
# Azure and TeamCity have ##vso[ and ##teamcity[. Runners end a line at a return, too.
_COMMAND = re.compile(r"((?:^|[\r\n\x0b\x0c\x1c-\x1e\x85\u2028\u2029])\s*:)(?=:)|(#)(?=#\w*\[)")


def plain(text: str) -> str:
    """One line without control characters: a crashed allocator may print anything."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))


def inert(text: str) -> str:
    """The lines of a text, of which none is a command to a CI that reads its log.

    A blank stands where such a command would begin.
    """
    return _COMMAND.sub(r"\1\2 ", text)
