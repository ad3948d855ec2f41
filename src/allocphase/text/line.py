"""One line out of any text."""

from __future__ import annotations

__all__ = ["plain"]


def plain(text: str) -> str:
    """One line without control characters: a crashed allocator may print anything."""
    return "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
